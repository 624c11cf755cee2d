//! Numbers, times, prices and texts as people read them.

use jiff::civil::Date;
use millstream_catalog::{Money, PlanQuota, Price, QuotaPeriod, Throttle};
use millstream_types::{Millis, time::rfc3339};

/// `12,345,678`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 call`, `2,000 calls`.
pub fn calls(value: u64) -> String {
    format!("{} {}", count(value), if value == 1 { "call" } else { "calls" })
}

/// `29.00 EUR`.
pub fn money(amount: Money, currency: &str) -> String {
    format!("{amount} {currency}")
}

/// `2026-11-21`.
pub fn date(time: Millis) -> String {
    rfc3339(time).get(..10).unwrap_or_default().to_owned()
}

/// `2026-11-21 04:05`, UTC.
pub fn date_time(time: Millis) -> String {
    rfc3339(time).get(..16).map(|minutes| minutes.replace('T', " ")).unwrap_or_default()
}

/// `21 Nov`.
pub fn day(date: Date) -> String {
    date.strftime("%-d %b").to_string()
}

/// The lines of a price: `29.00 EUR a month`, `10,000 calls a month included`, `0.001 EUR for each call more`.
pub fn price_lines(price: &Price, currency: &str) -> Vec<String> {
    if price.is_free() {
        return vec!["free".to_owned()];
    }
    let mut lines = Vec::new();
    if price.month.0 > 0 {
        lines.push(format!("{} a month", money(price.month, currency)));
    }
    if price.call.0 == 0 {
        return lines;
    }
    if price.included_calls > 0 {
        lines.push(format!("{} a month included", calls(price.included_calls)));
        lines.push(format!("{} for each call more", money(price.call, currency)));
    } else {
        lines.push(format!("{} for each call", money(price.call, currency)));
    }
    lines
}

/// `10,000 calls a month`.
pub fn quota(quota: &PlanQuota) -> String {
    let period = match quota.period {
        QuotaPeriod::Day => "day",
        QuotaPeriod::Week => "week",
        QuotaPeriod::Month => "month",
    };
    format!("{} a {period}", calls(quota.limit))
}

/// `10 calls a second, 20 at once`.
pub fn throttle(throttle: &Throttle) -> String {
    format!("{} calls a second, {} at once", throttle.rate(), count(throttle.burst.into()))
}

/// A text's paragraphs: what an empty line parts.
pub fn paragraphs(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_end);
    let mut paragraphs = vec![String::new()];
    for line in lines {
        match paragraphs.last_mut() {
            Some(last) if !line.is_empty() => {
                if !last.is_empty() {
                    last.push('\n');
                }
                last.push_str(line);
            }
            Some(last) if !last.is_empty() => paragraphs.push(String::new()),
            _ => {}
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// A body as text: JSON with one field a line, at most `max` characters; what is no text is only counted.
pub fn body(bytes: &[u8], max: usize) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return format!("{} bytes that are no text", bytes.len()) };
    let pretty = (text.len() <= max)
        .then(|| serde_json::from_str::<serde_json::Value>(text).ok())
        .flatten()
        .and_then(|value| serde_json::to_string_pretty(&value).ok());
    match pretty {
        Some(pretty) => pretty,
        None if text.chars().count() > max => text.chars().take(max).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_said_in_lines() {
        let price = |month: &str, included_calls, call: &str| Price {
            month: Money::parse(month).unwrap(),
            included_calls,
            call: Money::parse(call).unwrap(),
        };
        assert_eq!(price_lines(&price("0", 5, "0"), "EUR"), ["free"]);
        assert_eq!(price_lines(&price("29", 5, "0"), "EUR"), ["29.00 EUR a month"]);
        assert_eq!(price_lines(&price("0", 0, "0.001"), "EUR"), ["0.001 EUR for each call"]);
        assert_eq!(
            price_lines(&price("29", 10_000, "0.001"), "USD"),
            ["29.00 USD a month", "10,000 calls a month included", "0.001 USD for each call more"]
        );
    }

    #[test]
    fn texts_are_parted_and_bounded() {
        assert_eq!(paragraphs("a\nb\n\n\n c\n"), ["a\nb", " c"]);
        assert_eq!(paragraphs("\n \n"), Vec::<String>::new());
        assert_eq!(body(b"{\"a\":1}", 100), "{\n  \"a\": 1\n}");
        assert_eq!((body("äöü".as_bytes(), 2), body(&[255], 9)), ("äö…".into(), "1 bytes that are no text".into()));
        assert_eq!((calls(1), calls(1_234_567)), ("1 call".into(), "1,234,567 calls".into()));
    }
}
