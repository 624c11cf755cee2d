//! Amounts of money and prices: decimal numbers, never floating-point.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Millionths in a currency's unit: fine enough for a price per call.
const MILLIONTHS: i64 = 1_000_000;

/// Decimals that a text may have.
const DECIMALS: usize = 6;

/// The largest amount that a text may say, in units: its sums over years of calls stay far from the type's end.
const UNITS_MAX: i64 = 1_000_000_000;

/// An amount of money in millionths of its currency's unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

impl Money {
    /// Reads an amount that is not below zero: `0`, `29`, `29.90`, `0.000125`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (units, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(units) || !digits(decimals) || units.len() > 10 || decimals.len() > DECIMALS {
            return None;
        }
        let units: i64 = units.parse().ok().filter(|units| *units <= UNITS_MAX)?;
        let millionths: i64 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
        Some(Self(units * MILLIONTHS + millionths))
    }

    /// So many times the amount; ends at the largest amount there is.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        let product = i128::from(self.0) * i128::from(count);
        Self(i64::try_from(product).unwrap_or(i64::MAX))
    }

    /// Both amounts together; ends at the largest amount there is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// To whole hundredths, halves away from zero: what can be paid.
    #[must_use]
    pub fn rounded(self) -> Self {
        let hundredth = MILLIONTHS / 100;
        let half = if self.0 < 0 { -hundredth / 2 } else { hundredth / 2 };
        Self(self.0.saturating_add(half) / hundredth * hundredth)
    }
}

/// At least two decimals, more when the amount has more: `29.00`, `0.000125`.
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let millionths = self.0.checked_abs().unwrap_or(i64::MAX);
        let decimals = format!("{:06}", millionths % MILLIONTHS);
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(formatter, "{sign}{}.{}", millionths / MILLIONTHS, &decimals[..kept])
    }
}

/// What a subscription costs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// For each month begun.
    #[serde(default)]
    pub month: Money,
    /// Calls of a month that cost nothing more.
    #[serde(default)]
    pub included_calls: u64,
    /// For each call beyond those.
    #[serde(default)]
    pub call: Money,
}

impl Price {
    /// Whether nothing ever costs anything.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.month.0 == 0 && self.call.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_shown_exactly() {
        for (text, millionths, shown) in [
            ("0", 0, "0.00"),
            ("29", 29_000_000, "29.00"),
            ("29.9", 29_900_000, "29.90"),
            ("0.000125", 125, "0.000125"),
            ("1000000000", 1_000_000_000_000_000, "1000000000.00"),
        ] {
            let read = Money::parse(text);
            assert_eq!(read, Some(Money(millionths)), "{text}");
            assert_eq!(Money(millionths).to_string(), shown);
        }
        for text in ["", "-1", "1.", ".5", "1,5", "1e3", "1.0000001", "1000000001", "٣", " 1", "+1"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
        assert_eq!(Money(-1_500_000).to_string(), "-1.50");
    }

    #[test]
    fn sums_are_rounded_once_at_the_end() {
        assert_eq!(Money(125).times(3).to_string(), "0.000375");
        assert_eq!(Money(125).times(39).rounded().to_string(), "0.00");
        assert_eq!(Money(125).times(40).rounded().to_string(), "0.01");
        assert_eq!(Money(i64::MAX).plus(Money(1)), Money(i64::MAX));
        assert_eq!(Money(i64::MAX).times(9), Money(i64::MAX));
    }
}
