//! Points in time as milliseconds since the Unix epoch, UTC.
//!
//! Milliseconds are what the log stamps, what Kinesis and Event Hubs report and what windows are cut by.
//! Formatting for people goes through `jiff`; this file only holds the conversions every crate needs.

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// `2026-11-21T04:05:06.789Z`, as every text of the product prints a time.
///
/// Times outside jiff's range (years -9999 to 9999) print as the bare number.
#[must_use]
pub fn rfc3339(millis: Millis) -> String {
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => millis.to_string(),
    }
}

/// The time that a text such as `2026-11-21T04:05:06Z` names, in any offset, cut to milliseconds; `None` when it names none.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<Millis> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_times() {
        let named = 1_795_233_906_000;
        assert_eq!(rfc3339(named), "2026-11-21T04:05:06.000Z");
        for text in ["2026-11-21T04:05:06Z", "2026-11-21T06:05:06+02:00", "2026-11-21T04:05:06.0009Z"] {
            assert_eq!(from_rfc3339(text), Some(named), "{text}");
        }
        assert_eq!(from_rfc3339("tomorrow"), None);
    }
}
