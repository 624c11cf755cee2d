//! Statistics by their names, and periods as the service takes them. Pure.

use millstream_insight::Minute;
use millstream_types::Millis;

use super::input::invalid;
use crate::json_protocol::ServiceError;

/// What is told of a period's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistic {
    SampleCount,
    Average,
    Sum,
    Minimum,
    Maximum,
}

impl Statistic {
    pub(super) fn parse(name: &str) -> Result<Self, ServiceError> {
        Ok(match name {
            "SampleCount" => Self::SampleCount,
            "Average" => Self::Average,
            "Sum" => Self::Sum,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            other => {
                return Err(invalid(format!(
                    "The statistic {other} is not supported by this node: expected SampleCount, Average, Sum, Minimum or \
                     Maximum"
                )));
            }
        })
    }

    /// Its member in an answer.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SampleCount => "SampleCount",
            Self::Average => "Average",
            Self::Sum => "Sum",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
        }
    }

    pub(super) fn of(self, values: &Minute) -> f64 {
        match self {
            Self::SampleCount => values.count,
            Self::Average => values.average(),
            Self::Sum => values.sum,
            Self::Minimum => values.min,
            Self::Maximum => values.max,
        }
    }
}

/// A period in milliseconds.
pub(super) fn period(seconds: f64) -> Result<Millis, ServiceError> {
    /// A minute, in seconds.
    const MINUTE: f64 = 60.0;
    /// Periods of metrics in high resolution, in seconds.
    const SHORT: [f64; 4] = [1.0, 5.0, 10.0, 30.0];
    /// The longest, in seconds: as long as values are kept.
    const LONGEST: f64 = 15.0 * 86_400.0;
    let whole_minutes = (MINUTE..=LONGEST).contains(&seconds) && seconds % MINUTE == 0.0;
    if !whole_minutes && !SHORT.contains(&seconds) {
        return Err(invalid(format!(
            "Period must be 1, 5, 10, 30 or a multiple of 60 up to {LONGEST} seconds on this node, got {seconds}"
        )));
    }
    Ok(seconds as Millis * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_and_periods_are_checked() {
        let values = Minute { start: 0, count: 4.0, sum: 10.0, min: 1.0, max: 5.0 };
        let told = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]
            .map(|name| Statistic::parse(name).unwrap().of(&values));
        assert_eq!(told, [4.0, 2.5, 10.0, 1.0, 5.0]);
        assert!(Statistic::parse("p99").is_err());
        assert_eq!(period(300.0).unwrap(), 300_000);
        assert_eq!(period(10.0).unwrap(), 10_000);
        for bad in [0.0, 7.0, 90.0, -60.0, f64::NAN, 1e300] {
            assert!(period(bad).is_err(), "{bad}");
        }
    }
}
