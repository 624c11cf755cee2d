//! Times as headers, addresses and documents have them. Pure.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use millstream_types::Millis;

/// `Sat, 21 Nov 2026 08:15:00 GMT`
pub(crate) fn rfc1123(millis: Millis) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `2026-11-21T08:15:00.1230000Z`
pub(crate) fn iso8601(millis: Millis) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{}0000Z", at.strftime("%Y-%m-%dT%H:%M:%S.%3f"))
}

/// The same of microseconds since the epoch.
pub(crate) fn iso8601_micros(micros: u64) -> String {
    let at = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    format!("{}0Z", at.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S.%6f"))
}

/// A time as [`iso8601_micros`] writes it, and no other.
pub(crate) fn parse_iso8601_micros(text: &str) -> Option<u64> {
    let micros = u64::try_from(text.parse::<Timestamp>().ok()?.as_microsecond()).ok()?;
    (iso8601_micros(micros) == text).then_some(micros)
}

/// A time of a header.
pub(crate) fn parse_rfc1123(text: &str) -> Option<Millis> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(at.as_millisecond())
}

/// A time of a shared access signature: a date, or a date and a time with or without seconds, in UTC.
pub(crate) fn parse_iso8601(text: &str) -> Option<Millis> {
    if text.len() == "2026-11-21".len() {
        let date: Date = text.parse().ok()?;
        return Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond());
    }
    Some(text.parse::<Timestamp>().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        let millis = 1_795_248_900_123;
        assert_eq!(rfc1123(millis), "Sat, 21 Nov 2026 08:15:00 GMT");
        assert_eq!(iso8601(millis), "2026-11-21T08:15:00.1230000Z");
        let micros = 1_795_248_900_123_456;
        assert_eq!(iso8601_micros(micros), "2026-11-21T08:15:00.1234560Z");
        assert_eq!(parse_iso8601_micros("2026-11-21T08:15:00.1234560Z"), Some(micros));
        for other in ["2026-11-21T08:15:00.123456Z", "2026-11-21T08:15:00.1234567Z", "2026-11-21", "soon", ""] {
            assert_eq!(parse_iso8601_micros(other), None, "{other}");
        }
        assert_eq!(parse_rfc1123("Sat, 21 Nov 2026 08:15:00 GMT"), Some(1_795_248_900_000));
        assert_eq!(parse_rfc1123("yesterday"), None);
        for (text, expected) in [
            ("2026-11-21", Some(1_795_219_200_000)),
            ("2026-11-21T08:15Z", Some(1_795_248_900_000)),
            ("2026-11-21T08:15:00Z", Some(1_795_248_900_000)),
            ("2026-11-21T08:15:00.1230000Z", Some(millis)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_iso8601(text), expected, "{text}");
        }
    }
}
