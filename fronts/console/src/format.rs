//! Numbers, times and bytes as people read them. Short forms for figures, exact forms for data.

use millstream_types::{Millis, time::rfc3339};

/// `1,234`, `12.4`, `0.35`, `1.2 M`: a figure of at most five signs.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "–".to_owned(),
        _ if size >= 1e9 => format!("{:.1} G", value / 1e9),
        _ if size >= 1e6 => format!("{:.1} M", value / 1e6),
        _ if size >= 99.95 => grouped(value.round() as i64),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ if size >= 0.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `12,345,678`.
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// [`grouped`] of a count.
pub fn count(value: u64) -> String {
    grouped(i64::try_from(value).unwrap_or(i64::MAX))
}

/// `512 B`, `3.4 KiB`, `1.0 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `3 ms`, `1.2 s`, `4 min`, `5 h`, `2 d`.
pub fn duration(millis: i64) -> String {
    match millis.abs() {
        0..=999 => format!("{millis} ms"),
        1_000..=59_949 => format!("{:.1} s", millis as f64 / 1e3),
        59_950..=5_399_999 => format!("{} min", (millis as f64 / 6e4).round()),
        5_400_000..=172_799_999 => format!("{} h", (millis as f64 / 3.6e6).round()),
        _ => format!("{} d", (millis as f64 / 8.64e7).round()),
    }
}

/// `04:05:06.789`: the time of day, UTC, for rows that are seconds old.
pub fn clock(millis: Millis) -> String {
    let whole = rfc3339(millis);
    match whole.split_once('T') {
        Some((_, time)) => time.trim_end_matches('Z').to_owned(),
        None => whole,
    }
}

/// `2026-11-21 04:05:06`, UTC; empty for the zero time, which stands for never.
pub fn date_time(millis: Millis) -> String {
    if millis == 0 {
        return String::new();
    }
    let whole = rfc3339(millis);
    whole.get(..19).map_or(whole.clone(), |seconds| seconds.replace('T', " "))
}

/// A time near `now`: `04:05:06` on the same day, else with its date; a dash for the zero time, which stands for never.
pub fn recent(millis: Millis, now: Millis) -> String {
    const DAY_MS: i64 = 86_400_000;
    match date_time(millis) {
        never if never.is_empty() => "–".to_owned(),
        whole if millis.div_euclid(DAY_MS) == now.div_euclid(DAY_MS) => whole[whole.len().min(11)..].to_owned(),
        whole => whole,
    }
}

/// Bytes as text, at most `max` characters of it; bytes that are not UTF-8 as hexadecimal.
pub fn payload(data: &[u8], max: usize) -> String {
    let head = &data[..data.len().min(max * 4)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut may have split the last character; bytes that are wrong before that are no text.
        Err(error) if data.len() > head.len() && head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return hexadecimal(data, max),
    };
    if text.chars().any(|sign| sign.is_control() && !matches!(sign, '\n' | '\r' | '\t')) {
        return hexadecimal(data, max);
    }
    cut(text.trim_end(), max)
}

/// At most `max` characters, the last an ellipsis when something was cut.
pub fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

fn hexadecimal(data: &[u8], max: usize) -> String {
    let shown = data.len().min(max / 3);
    let mut text = String::with_capacity(shown * 3 + 1);
    for (index, byte) in data[..shown].iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    if shown < data.len() {
        text.push('…');
    }
    text
}

/// JSON with one field a line where the bytes are JSON, else [`payload`].
pub fn pretty(data: &[u8], max: usize) -> String {
    match serde_json::from_slice::<serde_json::Value>(data) {
        Ok(value) if data.len() <= max => serde_json::to_string_pretty(&value).unwrap_or_else(|_| payload(data, max)),
        _ => payload(data, max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let cases = [
            (0.0, "0"),
            (0.5, "0.50"),
            (3.0, "3"),
            (12.345, "12.3"),
            (99.97, "100"),
            (1234.6, "1,235"),
            (2.5e6, "2.5 M"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!((size(1023), size(1024), size(1_048_576)), ("1023 B".into(), "1.0 KiB".into(), "1.0 MiB".into()));
        assert_eq!(
            (duration(999), duration(1500), duration(3_600_000)),
            ("999 ms".into(), "1.5 s".into(), "60 min".into())
        );
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(clock(1_000), "00:00:01.000");
        assert_eq!(date_time(86_400_000), "1970-01-02 00:00:00");
    }

    #[test]
    fn payloads_are_text_or_hexadecimal() {
        assert_eq!(payload("{\"a\":\"ä\"}\n".as_bytes(), 20), "{\"a\":\"ä\"}");
        assert_eq!(payload(&[0, 255, 16], 20), "00 ff 10");
        assert_eq!(payload("äöüäöü".as_bytes(), 4), "äöü…");
        assert_eq!(payload("ä".repeat(100).as_bytes(), 3), "ää…");
        assert_eq!(payload(&[7; 100], 9), "07 07 07…");
    }
}
