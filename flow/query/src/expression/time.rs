//! Functions of time, on milliseconds since the epoch, UTC. Calendars are jiff's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use arrow::error::ArrowError;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};

use super::time_pattern::TimePattern;

type Result<T> = std::result::Result<T, ArrowError>;

/// A unit of time by its canonical name (`unit_name`), as date functions take it for their first argument.
const UNITS: [(&str, &[&str]); 12] = [
    ("year", &["yyyy", "yy"]),
    ("quarter", &["qq", "q"]),
    ("month", &["mm", "m"]),
    ("dayofyear", &["dy", "y"]),
    ("day", &["dd", "d"]),
    ("week", &["wk", "ww"]),
    ("weekday", &["dw"]),
    ("hour", &["hh"]),
    ("minute", &["mi", "n"]),
    ("second", &["ss", "s"]),
    ("millisecond", &["ms"]),
    ("microsecond", &["mcs"]),
];

/// The canonical name of a unit, by any of its names.
pub(crate) fn unit_name(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let found = UNITS.iter().find(|(canonical, short)| *canonical == name || short.contains(&name.as_str()));
    found.map(|(canonical, _)| *canonical)
}

/// The units of `EXTRACT` in the standard dialect, whose weeks are those of ISO 8601.
pub(super) fn standard_unit(name: &str) -> Option<&'static str> {
    let named = match name.to_uppercase().as_str() {
        "DOY" => "dayofyear",
        "DOW" => "weekday",
        "WEEK" => return Some("isoweek"),
        "YEAR" | "QUARTER" | "MONTH" | "DAY" | "HOUR" | "MINUTE" | "SECOND" => name,
        _ => return None,
    };
    unit_name(named)
}

/// `STEP(x BY y)`, `FLOOR(x TO unit)`: the last multiple of the length (since the epoch) not after the time.
pub(super) fn step(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let lengths = arguments[1].as_primitive::<Int64Type>();
    let times = arguments[0].as_primitive::<TimestampMillisecondType>();
    Ok(Arc::new(arrow::compute::binary::<_, _, _, TimestampMillisecondType>(times, lengths, |time, length| {
        time - time.rem_euclid(length.max(1))
    })?))
}

/// `CEIL(x TO unit)`: the first multiple of the length not before the time.
pub(super) fn step_up(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let lengths = arguments[1].as_primitive::<Int64Type>();
    let times = arguments[0].as_primitive::<TimestampMillisecondType>();
    Ok(Arc::new(arrow::compute::binary::<_, _, _, TimestampMillisecondType>(times, lengths, |time, length| {
        time.saturating_add((-time).rem_euclid(length.max(1)))
    })?))
}

/// `STEP(x BY y)` of integers.
pub(super) fn step_number(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, lengths) = (arguments[0].as_primitive::<Int64Type>(), arguments[1].as_primitive::<Int64Type>());
    Ok(Arc::new(arrow::compute::try_binary::<_, _, _, Int64Type>(values, lengths, |value, length| {
        if length > 0 { Ok(value - value.rem_euclid(length)) } else { Err(ArrowError::DivideByZero) }
    })?))
}

/// `2004-09-30 13:48:23.000`, as Kinesis' language writes a TIMESTAMP.
pub(super) fn to_sql_text(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    to_text(&arguments[0], |time| format!("{} {:.3}", time.date(), time.time()))
}

/// `2014-09-10T12:30:00.0000000Z`, as Stream Analytics writes a datetime.
pub(super) fn to_iso_text(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    to_text(&arguments[0], |time| format!("{}T{:.7}Z", time.date(), time.time()))
}

/// A point in time as values without a fixed type hold it.
pub(crate) fn iso_text(millis: i64) -> Option<String> {
    civil(millis).ok().map(|time| format!("{}T{:.7}Z", time.date(), time.time()))
}

fn to_text(times: &ArrayRef, write: fn(DateTime) -> String) -> Result<ArrayRef> {
    let times = times.as_primitive::<TimestampMillisecondType>();
    let texts = times.iter().map(|time| time.map(|time| civil(time).map(write)).transpose());
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// `CHAR_TO_TIMESTAMP(pattern, text)`.
pub(super) fn parse_pattern(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    parse_by(arguments, |millis| millis)
}

/// `CHAR_TO_DATE(pattern, text)`: the beginning of the day.
pub(super) fn parse_date(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    parse_by(arguments, |millis| millis - millis.rem_euclid(24 * 60 * 60 * 1000))
}

fn parse_by(arguments: &[ArrayRef], take: fn(i64) -> i64) -> Result<ArrayRef> {
    let (patterns, texts) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let mut last = None;
    let rows = patterns.iter().zip(texts).map(|(pattern, text)| {
        let (Some(pattern), Some(text)) = (pattern, text) else { return Ok(None) };
        let found = compiled(&mut last, pattern)?.parse(text).map_err(ArrowError::ParseError)?;
        Ok(Some(take(found)))
    });
    Ok(Arc::new(rows.collect::<Result<TimestampMillisecondArray>>()?))
}

/// `TIMESTAMP_TO_CHAR(pattern, time)`, which says `null` of NULL.
pub(super) fn format_pattern(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (patterns, times) = (arguments[0].as_string::<i32>(), arguments[1].as_primitive::<TimestampMillisecondType>());
    let mut last = None;
    let rows = patterns.iter().zip(times).map(|(pattern, time)| {
        let Some(pattern) = pattern else { return Ok(None) };
        let pattern = compiled(&mut last, pattern)?;
        Ok(Some(match time {
            Some(time) => pattern.format(civil(time)?),
            None => "null".to_owned(),
        }))
    });
    Ok(Arc::new(rows.collect::<Result<StringArray>>()?))
}

/// The pattern that was used last, or the one that comes in its place: patterns seldom change from row to row.
fn compiled<'l>(last: &'l mut Option<(String, TimePattern)>, pattern: &str) -> Result<&'l TimePattern> {
    if last.as_ref().is_none_or(|(known, _)| known != pattern) {
        *last = Some((pattern.to_owned(), TimePattern::new(pattern).map_err(ArrowError::ParseError)?));
    }
    last.as_ref().map(|(_, pattern)| pattern).ok_or_else(out_of_range)
}

/// Milliseconds since the epoch as a point in time.
pub(super) fn from_millis(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let times: TimestampMillisecondArray = arguments[0].as_primitive::<Int64Type>().reinterpret_cast();
    Ok(Arc::new(times))
}

/// A point in time as milliseconds since the epoch.
pub(super) fn to_millis(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let millis: Int64Array = arguments[0].as_primitive::<TimestampMillisecondType>().reinterpret_cast();
    Ok(Arc::new(millis))
}

/// `TSDIFF(later, earlier)`: milliseconds from the second to the first.
pub(super) fn difference(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (left, right) = pair_of_times(&arguments[0], &arguments[1]);
    Ok(Arc::new(arrow::compute::try_binary::<_, _, _, Int64Type>(left, right, |a, b| {
        a.checked_sub(b).ok_or_else(out_of_range)
    })?))
}

/// `DATEPART(unit, time)`, `EXTRACT(unit FROM time)`.
pub(super) fn part(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let times = arguments[1].as_primitive::<TimestampMillisecondType>();
    let units = arguments[0].as_string::<i32>();
    let parts = units.iter().zip(times).map(|(unit, time)| match (unit, time) {
        (Some(unit), Some(time)) => part_of(unit, civil(time)?).map(Some),
        _ => Ok(None),
    });
    Ok(Arc::new(parts.collect::<Result<Int64Array>>()?))
}

fn part_of(unit: &str, time: DateTime) -> Result<i64> {
    Ok(match unit {
        "year" => i64::from(time.year()),
        "quarter" => i64::from((time.month() - 1) / 3 + 1),
        "month" => i64::from(time.month()),
        "dayofyear" => i64::from(time.day_of_year()),
        "day" => i64::from(time.day()),
        // Weeks begin on Sunday, the one of January 1st is the first.
        "week" => {
            let first = time.date().first_of_year().weekday().to_sunday_zero_offset();
            i64::from((time.day_of_year() - 1 + i16::from(first)) / 7 + 1)
        }
        "isoweek" => i64::from(time.date().iso_week_date().week()),
        "weekday" => i64::from(time.weekday().to_sunday_one_offset()),
        "hour" => i64::from(time.hour()),
        "minute" => i64::from(time.minute()),
        "second" => i64::from(time.second()),
        "millisecond" => i64::from(time.millisecond()),
        "microsecond" => i64::from(time.millisecond()) * 1_000,
        other => return Err(ArrowError::ComputeError(format!("`{other}` is not a unit of time"))),
    })
}

/// `DATENAME(unit, time)`: months and weekdays by their English names, all else as digits.
pub(super) fn part_name(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let times = arguments[1].as_primitive::<TimestampMillisecondType>();
    let units = arguments[0].as_string::<i32>();
    let names = units.iter().zip(times).map(|(unit, time)| match (unit, time) {
        (Some("month"), Some(time)) => Ok(Some(civil(time)?.strftime("%B").to_string())),
        (Some("weekday"), Some(time)) => Ok(Some(civil(time)?.strftime("%A").to_string())),
        (Some(unit), Some(time)) => Ok(Some(part_of(unit, civil(time)?)?.to_string())),
        _ => Ok(None),
    });
    Ok(Arc::new(names.collect::<Result<StringArray>>()?))
}

/// `DATEADD(unit, count, time)`.
pub(super) fn add(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let units = arguments[0].as_string::<i32>();
    let counts = arguments[1].as_primitive::<Int64Type>();
    let times = arguments[2].as_primitive::<TimestampMillisecondType>();
    let sums = units.iter().zip(counts).zip(times).map(|((unit, count), time)| match (unit, count, time) {
        (Some(unit), Some(count), Some(time)) => add_to(unit, count, time).map(Some),
        _ => Ok(None),
    });
    Ok(Arc::new(sums.collect::<Result<TimestampMillisecondArray>>()?))
}

fn add_to(unit: &str, count: i64, time: i64) -> Result<i64> {
    let months = match unit {
        "year" => Some(12),
        "quarter" => Some(3),
        "month" => Some(1),
        _ => None,
    };
    if let Some(months) = months {
        let count = count.checked_mul(months).ok_or_else(out_of_range)?;
        let span = Span::new().try_months(count).map_err(|_| out_of_range())?;
        let moved = civil(time)?.checked_add(span).map_err(|_| out_of_range())?;
        return millis(moved);
    }
    if unit == "microsecond" {
        return time.checked_add(count / 1_000).ok_or_else(out_of_range);
    }
    let moved = count.checked_mul(unit_millis(unit)?).and_then(|length| time.checked_add(length));
    moved.ok_or_else(out_of_range)
}

/// `DATEDIFF(unit, start, end)`: how many boundaries of the unit lie between the two.
pub(super) fn boundaries(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let units = arguments[0].as_string::<i32>();
    let (starts, ends) = pair_of_times(&arguments[1], &arguments[2]);
    let counts = units.iter().zip(starts).zip(ends).map(|((unit, start), end)| match (unit, start, end) {
        (Some(unit), Some(start), Some(end)) => Ok(Some(boundary(unit, end)? - boundary(unit, start)?)),
        _ => Ok(None),
    });
    Ok(Arc::new(counts.collect::<Result<Int64Array>>()?))
}

/// The number of the unit a time lies in, counted from some fixed one.
fn boundary(unit: &str, time: i64) -> Result<i64> {
    let at = civil(time)?;
    let year = i64::from(at.year());
    Ok(match unit {
        "year" => year,
        "quarter" => year * 4 + i64::from((at.month() - 1) / 3),
        "month" => year * 12 + i64::from(at.month()),
        // 1970-01-01 was a Thursday, weeks begin on Sunday.
        "week" => (time.div_euclid(86_400_000) + 4).div_euclid(7),
        "microsecond" => time.checked_mul(1_000).ok_or_else(out_of_range)?,
        unit => time.div_euclid(unit_millis(unit)?),
    })
}

/// `DATETIMEFROMPARTS(year, month, day, hour, minute, second, millisecond)`.
pub(super) fn from_parts(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let parts: Vec<&Int64Array> = arguments.iter().map(|argument| argument.as_primitive()).collect();
    let rows = 0..arguments[0].len();
    let times = rows.map(|row| {
        let fields: Option<Vec<i64>> = parts.iter().map(|part| part.is_valid(row).then(|| part.value(row))).collect();
        fields.map(|fields| from_fields(&fields)).transpose()
    });
    Ok(Arc::new(times.collect::<Result<TimestampMillisecondArray>>()?))
}

fn from_fields(fields: &[i64]) -> Result<i64> {
    let invalid = |_| ArrowError::ComputeError(format!("{fields:?} are no parts of a time"));
    let narrow = |index: usize| i8::try_from(fields[index]);
    let year = i16::try_from(fields[0]).map_err(invalid)?;
    let (month, day) = (narrow(1).map_err(invalid)?, narrow(2).map_err(invalid)?);
    let (hour, minute) = (narrow(3).map_err(invalid)?, narrow(4).map_err(invalid)?);
    let (second, millisecond) = (narrow(5).map_err(invalid)?, i32::try_from(fields[6]).map_err(invalid)?);
    let nanosecond = millisecond.checked_mul(1_000_000).ok_or_else(out_of_range)?;
    let time = DateTime::new(year, month, day, hour, minute, second, nanosecond);
    millis(time.map_err(|_| ArrowError::ComputeError(format!("{fields:?} are no parts of a time")))?)
}

fn pair_of_times<'a>(
    left: &'a ArrayRef,
    right: &'a ArrayRef,
) -> (&'a TimestampMillisecondArray, &'a TimestampMillisecondArray) {
    (left.as_primitive(), right.as_primitive())
}

/// The length of a unit by its canonical name; those that have none are an error.
pub(crate) fn unit_millis(unit: &str) -> Result<i64> {
    Ok(match unit {
        "week" => 7 * 86_400_000,
        "day" | "dayofyear" | "weekday" => 86_400_000,
        "hour" => 3_600_000,
        "minute" => 60_000,
        "second" => 1_000,
        "millisecond" => 1,
        other => return Err(ArrowError::ComputeError(format!("`{other}` is not a unit of time"))),
    })
}

fn civil(millis: i64) -> Result<DateTime> {
    let time = Timestamp::from_millisecond(millis).map_err(|_| out_of_range())?;
    Ok(TimeZone::UTC.to_datetime(time))
}

fn millis(time: DateTime) -> Result<i64> {
    let zoned = time.to_zoned(TimeZone::UTC).map_err(|_| out_of_range())?;
    let rounded = zoned.timestamp().round(Unit::Millisecond).map_err(|_| out_of_range())?;
    Ok(rounded.as_millisecond())
}

fn out_of_range() -> ArrowError {
    ArrowError::ComputeError("the time is out of the range of years -9999 to 9999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_counted_not_elapsed_time() {
        assert_eq!(boundary("second", 2_100).unwrap() - boundary("second", 900).unwrap(), 2);
        assert_eq!(boundary("second", 1_999).unwrap() - boundary("second", 900).unwrap(), 1);
        assert_eq!(boundary("year", 0).unwrap() - boundary("year", -1).unwrap(), 1);
    }

    #[test]
    fn months_are_added_by_the_calendar() {
        let january_31 = from_fields(&[2015, 1, 31, 0, 0, 0, 0]).unwrap();
        assert_eq!(add_to("month", 1, january_31).unwrap(), from_fields(&[2015, 2, 28, 0, 0, 0, 0]).unwrap());
        assert!(add_to("year", i64::MAX, 0).is_err());
        assert!(from_fields(&[2015, 13, 1, 0, 0, 0, 0]).is_err());
    }
}
