//! Functions and casts of the standard dialect whose rules are its own: they give what Apache Flink gives.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use arrow::compute::is_null;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;

use super::grown::grown;
use super::{number, time};

type Result<T> = std::result::Result<T, ArrowError>;

/// `DATE_FORMAT(pattern, time)`: NULL of NULL.
pub(super) fn date_format(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let formatted = time::format_pattern(arguments)?;
    arrow::compute::nullif(&formatted, &is_null(&arguments[1])?)
}

/// `INITCAP(text)`: of each word of ASCII letters and digits the first letter is a capital, and no other is.
pub(super) fn initcap(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>().iter().map(|text| Some(capitalized(text?)));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

fn capitalized(text: &str) -> String {
    let mut inside = false;
    let letter = |letter: char| {
        let first = !std::mem::replace(&mut inside, letter.is_ascii_alphanumeric());
        if first { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    text.chars().map(letter).collect()
}

/// `POSITION(wanted IN text)` in characters from 1, 0 where it is not; nothing is found at the beginning.
pub(super) fn position(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (wanted, texts) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let places = wanted.iter().zip(texts).map(|(wanted, text)| {
        let (wanted, text) = (wanted?, text?);
        Some(text.find(wanted).map_or(0, |found| text[..found].chars().count() as i64 + 1))
    });
    Ok(Arc::new(places.collect::<Int64Array>()))
}

/// `OVERLAY(text PLACING other FROM start FOR length)`. A text in which nothing starts there stays as it is; without a length above
/// 0 nothing is left behind the other text.
pub(super) fn overlay(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, others) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let starts = arguments[2].as_primitive::<Int64Type>();
    let lengths: Vec<Option<i64>> = match arguments.get(3) {
        Some(lengths) => lengths.as_primitive::<Int64Type>().iter().collect(),
        None => others.iter().map(|other| Some(other?.chars().count() as i64)).collect(),
    };
    let rows = texts.iter().zip(others).zip(starts.iter().zip(lengths)).map(|((text, other), (start, length))| {
        let (text, other, start, length) = (text?, other?, start?, length?);
        let Some(before) = usize::try_from(start).ok().and_then(|start| start.checked_sub(1)) else {
            return Some(text.to_owned());
        };
        if before >= text.chars().count() {
            return Some(text.to_owned());
        }
        let covered = usize::try_from(length).ok().filter(|covered| *covered > 0);
        let behind = covered.map(|covered| text.chars().skip(before.saturating_add(covered)));
        Some(text.chars().take(before).chain(other.chars()).chain(behind.into_iter().flatten()).collect::<String>())
    });
    grown(rows.map(Ok))
}

/// `SUBSTRING(text FROM start FOR length)`: 0 is the beginning, too, and a start below is counted from the end. NULL of a negative
/// length.
pub(super) fn substring(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts, starts) = (arguments[0].as_string::<i32>(), arguments[1].as_primitive::<Int64Type>());
    let lengths: Vec<Option<i64>> = match arguments.get(2) {
        Some(lengths) => lengths.as_primitive::<Int64Type>().iter().collect(),
        None => vec![Some(i64::MAX); texts.len()],
    };
    let rows = texts.iter().zip(starts).zip(lengths).map(|((text, start), length)| {
        let (text, start, length) = (text?, start?, usize::try_from(length?).ok()?);
        let skipped = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
        let skipped = match start {
            0.. => skipped.saturating_sub(1),
            // Of a start in front of the text nothing is left.
            _ => text.chars().count().checked_sub(skipped).unwrap_or(usize::MAX),
        };
        Some(text.chars().skip(skipped).take(length).collect::<String>())
    });
    Ok(Arc::new(rows.collect::<StringArray>()))
}

/// A boolean as a text: `TRUE` or `FALSE`.
pub(super) fn boolean_to_text(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let values = arguments[0].as_boolean().iter();
    Ok(Arc::new(values.map(|value| Some(if value? { "TRUE" } else { "FALSE" })).collect::<StringArray>()))
}

/// A double as a text, as Java writes it: `1.5`, `1.0E-7`, `1.23456789E8`.
pub(super) fn double_to_text(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let values = arguments[0].as_primitive::<Float64Type>().iter();
    Ok(Arc::new(values.map(|value| value.map(double_text)).collect::<StringArray>()))
}

fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:E}");
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

/// A text as a whole number, without its fraction; a text that is no number is an error.
pub(super) fn text_to_integer(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let rows =
        arguments[0].as_string::<i32>().iter().map(|text| text.map(|text| known(integer(text), text)).transpose());
    Ok(Arc::new(rows.collect::<Result<Int64Array>>()?))
}

/// The same, where a text that is no number is NULL.
pub(super) fn text_to_integer_or_null(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let rows = arguments[0].as_string::<i32>().iter().map(|text| integer(text?));
    Ok(Arc::new(rows.collect::<Int64Array>()))
}

/// A text as a double; a text that is no number is an error.
pub(super) fn text_to_double(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let rows =
        arguments[0].as_string::<i32>().iter().map(|text| text.map(|text| known(double(text), text)).transpose());
    Ok(Arc::new(rows.collect::<Result<Float64Array>>()?))
}

/// The same, where a text that is no number is NULL.
pub(super) fn text_to_double_or_null(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let rows = arguments[0].as_string::<i32>().iter().map(|text| double(text?));
    Ok(Arc::new(rows.collect::<Float64Array>()))
}

fn known<T>(number: Option<T>, text: &str) -> Result<T> {
    number.ok_or_else(|| ArrowError::CastError(format!("expected a number, found `{text}`")))
}

fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match whole {
        "" | "+" | "-" if !fraction.is_empty() => Some(0),
        whole => whole.parse().ok(),
    }
}

/// A number may end with `d` or `f`, as Java writes them in its programs.
fn double(text: &str) -> Option<f64> {
    let text = text.trim();
    if matches!(text.trim_start_matches(['+', '-']), "NaN" | "Infinity") {
        return text.parse().ok();
    }
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    // No other words are numbers.
    let is_number = digits.ends_with(|last: char| last.is_ascii_digit() || last == '.');
    if is_number { digits.parse().ok() } else { None }
}

/// `ROUND(x, places)`, half away from zero: of a double that digit which its shortest decimal has.
pub(super) fn round(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let Some(values) = arguments[0].as_primitive_opt::<Float64Type>() else { return number::round(arguments) };
    let places = arguments[1].as_primitive::<Int64Type>();
    Ok(Arc::new(arrow::compute::binary::<_, _, _, Float64Type>(values, places, rounded)?))
}

fn rounded(value: f64, places: i64) -> f64 {
    let scientific = format!("{:e}", value.abs());
    let Some((digits, exponent)) = scientific.split_once('e') else { return value };
    let digits = digits.replace('.', "");
    // How many digits are left of it.
    let kept = exponent.parse::<i64>().unwrap_or(0).saturating_add(1).saturating_add(places);
    let Ok(kept) = usize::try_from(kept) else { return 0.0 };
    let Some(next) = digits.as_bytes().get(kept) else { return value };
    let whole = digits[..kept].parse::<u64>().unwrap_or(0) + u64::from(*next >= b'5');
    let rounded: f64 = format!("{whole}e{}", places.saturating_neg()).parse().unwrap_or(value);
    if value < 0.0 && whole > 0 { -rounded } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_java_does() {
        for (value, text) in [
            (1.5, "1.5"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.0009, "9.0E-4"),
            (1e7, "1.0E7"),
            (-123_456_789.125, "-1.23456789125E8"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }

    #[test]
    fn whole_numbers_are_read_without_their_fraction() {
        let texts =
            [("12", Some(12)), (" -7.9 ", Some(-7)), ("1.", Some(1)), (".5", Some(0)), ("1.x", None), ("", None)];
        for (text, number) in texts {
            assert_eq!(integer(text), number, "{text}");
        }
    }

    #[test]
    fn doubles_are_read_as_java_does() {
        for (text, number) in [("1d", Some(1.0)), ("1e3", Some(1e3)), (".5", Some(0.5)), ("inf", None), ("0x10", None)]
        {
            assert_eq!(double(text), number, "{text}");
        }
        assert_eq!(double("-Infinity"), Some(f64::NEG_INFINITY));
    }

    #[test]
    fn doubles_are_rounded_by_the_digits_they_are_written_with() {
        for (value, places, result) in [
            (1.005, 2, 1.01),
            (2.675, 2, 2.68),
            (-2.5, 0, -3.0),
            (0.5, 0, 1.0),
            (0.4, 0, 0.0),
            (1234.5, -2, 1200.0),
            (99.9, 0, 100.0),
            (5.0, -1, 10.0),
            (4.0, -1, 0.0),
            (1e15, 2, 1e15),
            (0.0, 1, 0.0),
        ] {
            assert_eq!(rounded(value, places), result, "{value}, {places}");
        }
        assert_eq!(rounded(f64::INFINITY, 1), f64::INFINITY);
    }

    #[test]
    fn words_are_letters_and_digits_of_ascii() {
        assert_eq!(capitalized("hELLO wORLD_x 1ab naïve"), "Hello World_X 1ab NaïVe");
    }
}
