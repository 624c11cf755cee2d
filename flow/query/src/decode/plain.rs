//! Values as nearly all records write them, read from the record's bytes right into their column.
//!
//! What is written in another way is left to [`super::json`], which knows all ways: nothing here decides that a value is wrong.

use std::ops::Range;

use super::column::{Column, Values, end};
use super::timestamp;
use super::words::{DIGITS_MAX, digits, digits_count, plain_end};
use crate::plan::Fit;

/// Whole numbers below it are floating point as they are, and so is one of them divided by a power of ten that is one, too,
/// rounded once: what a reader of decimal numbers gives (Clinger, "How to Read Floating Point Numbers Accurately").
const EXACT_MAX: u64 = 1 << 53;

const NULL: &[u8] = b"null";

/// Texts of up to so many bytes are copied as so many.
const SHORT_TEXT: usize = 16;

/// Powers of ten that go with as many digits as one word of them has.
const POWERS: [f64; DIGITS_MAX] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The same as whole numbers.
const WHOLE_POWERS: [u64; DIGITS_MAX] = {
    let mut powers = [1; DIGITS_MAX];
    let mut place = 1;
    while place < DIGITS_MAX {
        powers[place] = powers[place - 1] * 10;
        place += 1;
    }
    powers
};

/// A number without an exponent: whether it is negative, its digits as a whole number, and how many stand behind the point.
struct Decimal {
    negative: bool,
    digits: u64,
    fraction: usize,
    end: usize,
}

impl Column {
    /// Adds the value that begins at a place, if it is plain; gives its end.
    #[inline]
    pub(super) fn read_plain(&mut self, data: &[u8], at: usize) -> Option<usize> {
        let behind = match &mut self.values {
            Values::Int(values) => {
                let number = decimal(data, at).filter(|number| number.fraction == 0);
                number.map(|Decimal { negative, digits, end, .. }| {
                    let int = digits.cast_signed();
                    values.push(if negative { -int } else { int });
                    end
                })
            }
            Values::Float(values) => decimal(data, at).filter(|number| number.digits < EXACT_MAX).map(|number| {
                values.push(number.float());
                number.end
            }),
            Values::Text { ends, bytes } => string_end(data, at).and_then(|behind| {
                push_text(bytes, data, at + 1..behind - 1);
                ends.push(end(bytes.len()).ok()?);
                Some(behind)
            }),
            Values::Time(values) => string_end(data, at).and_then(|behind| {
                values.push(timestamp::parse_bytes(&data[at + 1..behind - 1])?);
                Some(behind)
            }),
            Values::Json { ends, bytes } if self.fit == Fit::Converted => {
                string_end(data, at).or_else(|| decimal_end(data, at)).inspect(|&behind| {
                    bytes.extend_from_slice(&data[at..behind]);
                    ends.push(bytes.len() as i64);
                })
            }
            Values::Boolean(values) => truth(data, at).map(|(truth, behind)| {
                values.push(truth);
                behind
            }),
            Values::Json { .. } => None,
        };
        if behind.is_some() {
            self.note_valid();
            return behind;
        }
        let null = data.get(at..at + NULL.len()) == Some(NULL);
        null.then(|| {
            self.push_null();
            at + NULL.len()
        })
    }
}

/// Adds a text that stands in the data. A short one comes with what is behind it, which is taken back: that is two words, and no
/// bytes are counted.
#[inline]
fn push_text(bytes: &mut Vec<u8>, data: &[u8], text: Range<usize>) {
    match data.get(text.start..).and_then(<[u8]>::first_chunk::<SHORT_TEXT>) {
        Some(chunk) if text.len() <= SHORT_TEXT => {
            let length = bytes.len() + text.len();
            bytes.extend_from_slice(chunk);
            bytes.truncate(length);
        }
        _ => bytes.extend_from_slice(&data[text]),
    }
}

/// The end of a value that nobody wants, if it is plain.
#[inline]
pub(super) fn skip_plain(data: &[u8], at: usize) -> Option<usize> {
    match data.get(at)? {
        b'"' => string_end(data, at),
        b't' | b'f' => truth(data, at).map(|(_, behind)| behind),
        _ => decimal_end(data, at),
    }
}

/// `true` or `false`, and its end.
fn truth(data: &[u8], at: usize) -> Option<(bool, usize)> {
    let rest = data.get(at..)?;
    match rest.first()? {
        b't' => rest.starts_with(b"true").then_some((true, at + 4)),
        _ => rest.starts_with(b"false").then_some((false, at + 5)),
    }
}

/// The end of a string of ASCII without escapes.
#[inline]
fn string_end(data: &[u8], at: usize) -> Option<usize> {
    if data.get(at) != Some(&b'"') {
        return None;
    }
    let end = plain_end(data, at + 1);
    (data.get(end) == Some(&b'"')).then_some(end + 1)
}

/// A number of JSON of few digits, without an exponent.
#[inline]
fn decimal(data: &[u8], at: usize) -> Option<Decimal> {
    let negative = data.get(at) == Some(&b'-');
    let from = at + usize::from(negative);
    let (whole, count) = digits(data, from);
    let end = from + count;
    if !starts_number(data, from, count) {
        return None;
    }
    match data.get(end) {
        Some(b'.') => {
            let (behind, fraction) = digits(data, end + 1);
            // Only of few digits in all the sum is a number of 64 bits.
            let end = number_end(data, (count, fraction), end + 1 + fraction)?;
            Some(Decimal { negative, digits: whole * WHOLE_POWERS[fraction] + behind, fraction, end })
        }
        Some(b'e' | b'E') => None,
        _ => Some(Decimal { negative, digits: whole, fraction: 0, end }),
    }
}

/// The end of such a number.
#[inline]
fn decimal_end(data: &[u8], at: usize) -> Option<usize> {
    let from = at + usize::from(data.get(at) == Some(&b'-'));
    let count = digits_count(data, from);
    let end = from + count;
    if !starts_number(data, from, count) {
        return None;
    }
    match data.get(end) {
        Some(b'.') => {
            let fraction = digits_count(data, end + 1);
            number_end(data, (count, fraction), end + 1 + fraction)
        }
        Some(b'e' | b'E') => None,
        _ => Some(end),
    }
}

/// Whether a number begins with so many digits, all of which were read.
#[inline]
fn starts_number(data: &[u8], at: usize, count: usize) -> bool {
    count > 0 && count < DIGITS_MAX && (count == 1 || data[at] != b'0')
}

/// The end of a number with a fraction, if it ends there.
#[inline]
fn number_end(data: &[u8], (whole, fraction): (usize, usize), end: usize) -> Option<usize> {
    let ends = fraction > 0 && whole + fraction < DIGITS_MAX && !matches!(data.get(end), Some(b'e' | b'E'));
    ends.then_some(end)
}

impl Decimal {
    fn float(&self) -> f64 {
        // A whole number is one first: -0 is 0, -0.0 is not.
        if self.fraction == 0 {
            let int = self.digits.cast_signed();
            return if self.negative { -int } else { int } as f64;
        }
        let float = self.digits as f64 / POWERS[self.fraction];
        if self.negative { -float } else { float }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;
    use arrow::datatypes::{DataType, Float64Type, Int64Type};
    use proptest::prelude::*;

    use super::*;

    fn read(data_type: &DataType, text: &str) -> Option<(arrow::array::ArrayRef, usize)> {
        let mut column = Column::new(data_type, Fit::Converted);
        let behind = column.read_plain(text.as_bytes(), 0)?;
        Some((column.finish(), behind))
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        for text in
            ["", "-", "01", "1.", "1.e", "1e3", "1.5e3", ".5", "+1", "nul", "t", "1234567890123456", "\"a", "\"a\\n\""]
        {
            for data_type in [DataType::Int64, DataType::Float64, DataType::Utf8, DataType::LargeUtf8] {
                assert!(read(&data_type, text).is_none(), "{text} as {data_type}");
            }
            assert_eq!(skip_plain(text.as_bytes(), 0), None, "{text}");
        }
        assert!(read(&DataType::Int64, "1.0").is_none());
        assert_eq!(skip_plain(b"x\"abc\",", 1), Some(6));
        assert_eq!(skip_plain(b"-12.50}", 0), Some(6));
    }

    proptest! {
        #[test]
        fn numbers_are_what_everybody_reads(text in "-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,14})?") {
            let plain = read(&DataType::Float64, &text).map(|(array, _)| array.as_primitive::<Float64Type>().value(0));
            let is_whole = !text.contains('.');
            let expected = if is_whole { text.parse::<i64>().unwrap() as f64 } else { text.parse::<f64>().unwrap() };
            if let Some(float) = plain {
                prop_assert_eq!(float.to_bits(), expected.to_bits());
            }
            let plain = read(&DataType::Int64, &text).map(|(array, end)| (array.as_primitive::<Int64Type>().value(0), end));
            prop_assert_eq!(plain, is_whole.then(|| (text.parse().unwrap(), text.len())));
        }
    }
}
