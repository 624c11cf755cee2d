//! How names, types, texts and lengths of time are written in a language.

use arrow::datatypes::DataType;

/// The language that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Flink,
    StreamAnalytics,
}

/// Units, longest first, with their milliseconds.
const UNITS: [(i64, &str); 4] = [(86_400_000, "DAY"), (3_600_000, "HOUR"), (60_000, "MINUTE"), (1_000, "SECOND")];

impl Spelling {
    pub(super) fn name(self, name: &str) -> String {
        match self {
            Self::Flink => format!("`{}`", name.replace('`', "``")),
            Self::StreamAnalytics => format!("[{name}]"),
        }
    }

    pub(super) fn text(text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    /// The type of a value; `None`: the language has no such type.
    pub(super) fn data_type(self, data_type: &DataType) -> Option<&'static str> {
        let (flink, stream_analytics) = match data_type {
            DataType::Int64 => ("BIGINT", "bigint"),
            DataType::Float64 => ("DOUBLE", "float"),
            DataType::Utf8 => ("STRING", "nvarchar(max)"),
            DataType::Boolean => ("BOOLEAN", "bit"),
            DataType::Timestamp(..) => ("TIMESTAMP_LTZ(3)", "datetime"),
            _ => return None,
        };
        Some(if self == Self::Flink { flink } else { stream_analytics })
    }

    /// A length of time: `INTERVAL '90' MINUTE` of Flink.
    pub(super) fn interval(millis: i64) -> String {
        let sign = if millis < 0 { "-" } else { "" };
        let length = millis.abs();
        let (unit_ms, unit) = UNITS.iter().find(|(unit, _)| length > 0 && length % unit == 0).unwrap_or(&UNITS[3]);
        let (whole, rest) = (length / unit_ms, length % unit_ms);
        let digits = whole.to_string().len();
        // Two digits are what an interval holds unless it says more.
        let precision = if digits > 2 { format!("({digits})") } else { String::new() };
        match rest {
            0 => format!("INTERVAL '{sign}{whole}' {unit}{precision}"),
            rest => format!("INTERVAL '{sign}{whole}.{rest:03}' {unit}{precision}"),
        }
    }

    /// A unit and how many of it, for Stream Analytics' functions: `minute, 5`.
    pub(super) fn count(millis: i64) -> String {
        let whole = UNITS.iter().find(|(unit, _)| millis != 0 && millis % unit == 0);
        match whole {
            Some((unit, name)) => format!("{}, {}", name.to_lowercase(), millis / unit),
            None => format!("millisecond, {millis}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_the_longest_unit_that_is_whole() {
        for (millis, flink, azure) in [
            (1, "INTERVAL '0.001' SECOND", "millisecond, 1"),
            (90_000, "INTERVAL '90' SECOND", "second, 90"),
            (5_400_000, "INTERVAL '90' MINUTE", "minute, 90"),
            (100 * 86_400_000, "INTERVAL '100' DAY(3)", "day, 100"),
            (-1_500, "INTERVAL '-1.500' SECOND", "millisecond, -1500"),
            (0, "INTERVAL '0' SECOND", "millisecond, 0"),
        ] {
            assert_eq!((Spelling::interval(millis).as_str(), Spelling::count(millis).as_str()), (flink, azure));
        }
    }
}
