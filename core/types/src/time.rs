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
