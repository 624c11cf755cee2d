//! Decimal numbers of up to 38 significant digits, kept exactly.
//!
//! A number is a coefficient without trailing zeros and a power of ten. Owns parsing, the plain text form, order, sums and
//! the comparable bytes that sort keys are made of.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::error::NumberError;

/// Significant digits that a number may have.
pub const DIGITS_MAX: u32 = 38;
/// Ten to this power is the largest magnitude's order: 9.9…E+125.
pub const MAGNITUDE_MAX: i32 = 125;
/// Ten to this power is the smallest magnitude above zero.
pub const MAGNITUDE_MIN: i32 = -130;
/// Length of [`Number::ordered_bytes`].
pub const ORDERED_BYTES: usize = 19;

/// A decimal number. Equal numbers are equal values: `1.0`, `1` and `10E-1` are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Below 10^38; no trailing zeros; 0 only for zero.
    coefficient: u128,
    /// The value is the coefficient times ten to this power; 0 for zero.
    exponent: i16,
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self { negative: false, coefficient: 0, exponent: 0 };

    /// The number `coefficient` times ten to the `exponent`.
    ///
    /// # Errors
    /// [`NumberError::TooPrecise`], [`NumberError::TooLarge`], [`NumberError::TooSmall`].
    pub fn from_parts(negative: bool, coefficient: u128, exponent: i32) -> Result<Self, NumberError> {
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        let (mut coefficient, mut exponent) = (coefficient, exponent);
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        let digits = digits_of(coefficient);
        if digits > DIGITS_MAX {
            return Err(NumberError::TooPrecise);
        }
        let magnitude = exponent + digits as i32 - 1;
        if magnitude > MAGNITUDE_MAX {
            return Err(NumberError::TooLarge);
        }
        if magnitude < MAGNITUDE_MIN {
            return Err(NumberError::TooSmall);
        }
        // 38 digits below 10^-130 reach down to 10^-167, far inside an i16.
        Ok(Self { negative, coefficient, exponent: exponent as i16 })
    }

    /// Sign (true: negative), coefficient and power of ten, as [`Number::from_parts`] takes them.
    #[must_use]
    pub fn parts(self) -> (bool, u128, i32) {
        (self.negative, self.coefficient, i32::from(self.exponent))
    }

    /// The exact sum.
    ///
    /// # Errors
    /// As [`Number::from_parts`], when the sum cannot be kept exactly.
    pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
        if self.coefficient == 0 {
            return Ok(other);
        }
        if other.coefficient == 0 {
            return Ok(self);
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        // The lower number ends in a digit other than zero, so digits of the sum reach from there to the top of the higher:
        // what does not fit a u128 here is longer than 38 digits in any case.
        let shift = (high.exponent - low.exponent) as u32;
        let scale = 10u128.checked_pow(shift).ok_or(NumberError::TooPrecise)?;
        let raised = high.coefficient.checked_mul(scale).ok_or(NumberError::TooPrecise)?;
        let exponent = i32::from(low.exponent);
        if high.negative == low.negative {
            let sum = raised.checked_add(low.coefficient).ok_or(NumberError::TooPrecise)?;
            return Self::from_parts(high.negative, sum, exponent);
        }
        let negative = if raised >= low.coefficient { high.negative } else { low.negative };
        Self::from_parts(negative, raised.abs_diff(low.coefficient), exponent)
    }

    /// The number with its sign turned.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { negative: self.coefficient != 0 && !self.negative, ..self }
    }

    /// Bytes that compare as the numbers do: a sign byte, the magnitude, the digits as of 38; negative ones complemented.
    #[must_use]
    pub fn ordered_bytes(self) -> [u8; ORDERED_BYTES] {
        let mut bytes = [0; ORDERED_BYTES];
        if self.coefficient == 0 {
            bytes[0] = 1;
            return bytes;
        }
        let (magnitude, digits) = self.scaled();
        bytes[0] = 2;
        bytes[1..3].copy_from_slice(&((magnitude + 1024) as u16).to_be_bytes());
        bytes[3..].copy_from_slice(&digits.to_be_bytes());
        if self.negative {
            bytes[0] = 0;
            bytes[1..].iter_mut().for_each(|byte| *byte = !*byte);
        }
        bytes
    }

    /// Bytes that the number counts for in an item's size: two digits a byte and one or two around them.
    #[must_use]
    pub fn size(self) -> usize {
        1 + digits_of(self.coefficient).div_ceil(2) as usize + usize::from(self.negative)
    }

    /// Order of magnitude, and the coefficient stretched to 38 digits.
    fn scaled(self) -> (i32, u128) {
        let digits = digits_of(self.coefficient);
        (i32::from(self.exponent) + digits as i32, self.coefficient * 10u128.pow(DIGITS_MAX - digits))
    }
}

fn digits_of(coefficient: u128) -> u32 {
    coefficient.checked_ilog10().map_or(1, |log| log + 1)
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ordered_bytes().cmp(&other.ordered_bytes())
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        // 20 digits at most: always inside the limits.
        Self::from_parts(false, u128::from(value), 0).unwrap_or(Self::ZERO)
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let malformed = || NumberError::Malformed { text: text.to_owned() };
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, power) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], parse_power(&unsigned[at + 1..]).ok_or_else(malformed)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(malformed());
        }
        let digits = whole.bytes().chain(fraction.bytes());
        if !digits.clone().all(|digit| digit.is_ascii_digit()) {
            return Err(malformed());
        }
        let mut coefficient = 0u128;
        // Zeros are held back until another digit follows, so that trailing ones never count as digits.
        let mut zeros = 0u32;
        for digit in digits {
            if digit == b'0' {
                zeros += 1;
                continue;
            }
            let scale =
                if coefficient == 0 { 1 } else { 10u128.checked_pow(zeros + 1).ok_or(NumberError::TooPrecise)? };
            zeros = 0;
            coefficient = coefficient
                .checked_mul(scale)
                .and_then(|raised| raised.checked_add(u128::from(digit - b'0')))
                .ok_or(NumberError::TooPrecise)?;
        }
        let exponent = i64::from(power) - fraction.len() as i64 + i64::from(zeros);
        Self::from_parts(negative, coefficient, exponent.clamp(-100_000, 100_000) as i32)
    }
}

/// The power of ten after an `e`; one too long to read stays far outside the limits.
fn parse_power(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i32>().unwrap_or(i32::MAX).min(10_000);
    Some(if text.starts_with('-') { -size } else { size })
}

impl fmt::Display for Number {
    /// Plain digits without a power of ten, as tables give numbers back.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let digits = self.coefficient.to_string();
        let exponent = i32::from(self.exponent);
        if exponent >= 0 {
            return write!(formatter, "{sign}{digits}{:0<1$}", "", exponent as usize);
        }
        let fraction = exponent.unsigned_abs() as usize;
        if digits.len() > fraction {
            let (whole, rest) = digits.split_at(digits.len() - fraction);
            write!(formatter, "{sign}{whole}.{rest}")
        } else {
            write!(formatter, "{sign}0.{digits:0>fraction$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn texts_are_normalised() {
        for (text, plain) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("+1.50", "1.5"),
            ("-.5", "-0.5"),
            ("5.", "5"),
            ("1E3", "1000"),
            ("12.34e-4", "0.001234"),
            ("1e-130", &format!("0.{}1", "0".repeat(129))),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("1000000000000000000000000000000000000000000", "1000000000000000000000000000000000000000000"),
        ] {
            assert_eq!(number(text).to_string(), plain, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for (text, error) in [
            ("1E126", NumberError::TooLarge),
            ("1E99999999999", NumberError::TooLarge),
            ("1E-131", NumberError::TooSmall),
            ("123456789012345678901234567890123456789", NumberError::TooPrecise),
            ("1.00000000000000000000000000000000000001", NumberError::TooPrecise),
        ] {
            assert_eq!(text.parse::<Number>(), Err(error), "{text}");
        }
        for text in ["", "-", ".", "abc", "1e", "1e+", "0x1", "1_0", "NaN", "1 ", "--1", "é"] {
            assert!(matches!(text.parse::<Number>(), Err(NumberError::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn sums_are_exact() {
        for (left, right, sum) in [
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("-5", "3.25", "-1.75"),
            ("1e20", "1e-10", "100000000000000000000.0000000001"),
            ("0", "7", "7"),
        ] {
            assert_eq!(number(left).checked_add(number(right)).unwrap(), number(sum));
        }
        assert_eq!(number("1e60").checked_add(number("1")), Err(NumberError::TooPrecise));
    }

    fn any_number() -> impl Strategy<Value = Number> {
        (any::<bool>(), 0..10u128.pow(38), -120..80i32)
            .prop_map(|(negative, coefficient, exponent)| Number::from_parts(negative, coefficient, exponent).unwrap())
    }

    proptest! {
        #[test]
        fn texts_parse_back(number in any_number()) {
            prop_assert_eq!(number.to_string().parse::<Number>().unwrap(), number);
        }

        #[test]
        fn bytes_keep_the_order(left in -1_000_000_000i64..1_000_000_000, right in -1_000_000_000i64..1_000_000_000, scale in -9..9i32) {
            let of = |value: i64| Number::from_parts(value < 0, value.unsigned_abs().into(), scale).unwrap();
            prop_assert_eq!(of(left).ordered_bytes().cmp(&of(right).ordered_bytes()), left.cmp(&right));
        }

        #[test]
        fn order_agrees_with_subtraction(left in any_number(), right in any_number()) {
            if let Ok(difference) = left.checked_add(right.negated()) {
                prop_assert_eq!(left.cmp(&right), difference.cmp(&Number::ZERO));
            }
        }

        #[test]
        fn any_text_is_safe(text in "\\PC{0,60}") {
            let _ = text.parse::<Number>();
        }
    }
}
