//! Units by their names, and how fine a metric is kept. Pure.

use super::input::{Real, invalid};
use crate::json_protocol::ServiceError;

/// What a value is measured in that nobody named a unit of.
pub(super) const NONE: &str = "None";

/// All units of the service.
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    NONE,
];

/// A unit that was given, if it is one.
pub(super) fn parse(unit: Option<&str>) -> Result<Option<&'static str>, ServiceError> {
    let Some(unit) = unit else { return Ok(None) };
    match UNITS.iter().find(|known| **known == unit) {
        Some(known) => Ok(Some(known)),
        None => Err(invalid(format!("The parameter Unit must be a value in the set [ {} ].", UNITS.join(", ")))),
    }
}

/// Whether a metric is kept by the second.
pub(super) fn is_high_resolution(seconds: Option<Real>) -> Result<bool, ServiceError> {
    match seconds.map(|seconds| seconds.0) {
        None | Some(60.0) => Ok(false),
        Some(1.0) => Ok(true),
        Some(other) => Err(invalid(format!("The parameter StorageResolution must be 1 or 60, got {other}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_resolutions_are_checked() {
        assert_eq!(parse(Some("Count/Second")).unwrap(), Some("Count/Second"));
        assert_eq!(parse(None).unwrap(), None);
        assert!(parse(Some("count")).is_err());
        let resolution = |seconds: Option<f64>| is_high_resolution(seconds.map(Real));
        assert_eq!([None, Some(60.0), Some(1.0)].map(|seconds| resolution(seconds).unwrap()), [false, false, true]);
        assert!(resolution(Some(5.0)).is_err());
    }
}
