//! How a condition compares: its operator's name taken apart, and one comparison.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::pattern::{Pattern, Syntax};
use super::request::Context;

/// An operator as documents name it: `ForAllValues:StringNotLikeIfExists`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) set: Set,
    pub(super) test: Test,
    /// Whether it holds where the comparison does not.
    pub(super) negated: bool,
    /// Whether it holds where the key has no value.
    pub(super) if_exists: bool,
}

/// Which of a key's values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// The one that there is.
    None,
    All,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Text { ignore_case: bool, wildcards: bool },
    Name,
    Number(Comparison),
    Date(Comparison),
    Bool,
    Address,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// The operator of a name; `None` when there is none.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (set, name) = match name.split_once(':') {
            Some(("ForAllValues", name)) => (Set::All, name),
            Some(("ForAnyValue", name)) => (Set::Any, name),
            Some(_) => return None,
            None => (Set::None, name),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (test, negated) = test(name)?;
        (test != Test::Null || (set == Set::None && !if_exists)).then_some(Self { set, test, negated, if_exists })
    }
}

fn test(name: &str) -> Option<(Test, bool)> {
    let text = |ignore_case, wildcards| Test::Text { ignore_case, wildcards };
    Some(match name {
        "StringEquals" => (text(false, false), false),
        "StringNotEquals" => (text(false, false), true),
        "StringEqualsIgnoreCase" => (text(true, false), false),
        "StringNotEqualsIgnoreCase" => (text(true, false), true),
        "StringLike" => (text(false, true), false),
        "StringNotLike" => (text(false, true), true),
        // Base 64 on both sides: the same bytes are the same text.
        "BinaryEquals" => (text(false, false), false),
        "ArnEquals" | "ArnLike" => (Test::Name, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Name, true),
        "Bool" => (Test::Bool, false),
        "Null" => (Test::Null, false),
        "IpAddress" => (Test::Address, false),
        "NotIpAddress" => (Test::Address, true),
        _ => {
            if let Some(comparison) = name.strip_prefix("Numeric") {
                let (comparison, negated) = self::comparison(comparison)?;
                (Test::Number(comparison), negated)
            } else {
                let (comparison, negated) = self::comparison(name.strip_prefix("Date")?)?;
                (Test::Date(comparison), negated)
            }
        }
    })
}

fn comparison(name: &str) -> Option<(Comparison, bool)> {
    Some(match name {
        "Equals" => (Comparison::Equal, false),
        "NotEquals" => (Comparison::Equal, true),
        "LessThan" => (Comparison::Less, false),
        "LessThanEquals" => (Comparison::LessOrEqual, false),
        "GreaterThan" => (Comparison::Greater, false),
        "GreaterThanEquals" => (Comparison::GreaterOrEqual, false),
        _ => return None,
    })
}

/// What a document wants a value compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Text(Pattern),
    Number(f64),
    /// Milliseconds since the epoch.
    Date(i64),
    Bool(bool),
    Network {
        address: IpAddr,
        bits: u8,
    },
}

impl Wanted {
    /// Reads a value as the test wants it; the error completes the sentence "the value …".
    pub(super) fn parse(text: &str, test: Test, variables: bool) -> Result<Self, String> {
        let pattern = |wildcards| Pattern::parse(text, Syntax { wildcards, variables }).map(Self::Text);
        match test {
            Test::Text { wildcards, .. } => pattern(wildcards),
            Test::Name => pattern(true),
            Test::Number(_) => number(text).map(Self::Number).ok_or_else(|| format!("`{text}` is no number")),
            Test::Date(_) => date(text).map(Self::Date).ok_or_else(|| format!("`{text}` is no date")),
            Test::Bool | Test::Null => {
                boolean(text).map(Self::Bool).ok_or_else(|| format!("`{text}` is neither `true` nor `false`"))
            }
            Test::Address => network(text).ok_or_else(|| format!("`{text}` is no address or network")),
        }
    }

    /// Whether a value is as wanted; one that is no number, date, … is not.
    pub(super) fn matches(&self, test: Test, found: &str, context: &Context) -> bool {
        match (self, test) {
            (Self::Text(pattern), Test::Name) => pattern.matches_name(found, context),
            (Self::Text(pattern), Test::Text { ignore_case: true, .. }) => {
                pattern.matches_ignoring_case(found, context)
            }
            (Self::Text(pattern), _) => pattern.matches(found, context),
            (Self::Number(wanted), Test::Number(comparison)) => {
                number(found).and_then(|found| found.partial_cmp(wanted)).is_some_and(|found| comparison.holds(found))
            }
            (Self::Date(wanted), Test::Date(comparison)) => {
                date(found).is_some_and(|found| comparison.holds(found.cmp(wanted)))
            }
            (Self::Bool(wanted), _) => boolean(found) == Some(*wanted),
            (Self::Network { address, bits }, _) => {
                found.parse::<IpAddr>().is_ok_and(|found| within(found, *address, *bits))
            }
            _ => false,
        }
    }
}

impl Comparison {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found == Ordering::Equal,
            Self::Less => found == Ordering::Less,
            Self::LessOrEqual => found != Ordering::Greater,
            Self::Greater => found == Ordering::Greater,
            Self::GreaterOrEqual => found != Ordering::Less,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A moment, a day, or seconds since the epoch.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond());
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        return Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond());
    }
    text.parse::<i64>().ok()?.checked_mul(1_000)
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn network(text: &str) -> Option<Wanted> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(whole), |bits| bits.parse().ok().filter(|bits| *bits <= whole))?;
    Some(Wanted::Network { address, bits })
}

fn within(found: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (found, network, width) = match (found.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(found), IpAddr::V4(network)) => (u128::from(found.to_bits()), u128::from(network.to_bits()), 32),
        (IpAddr::V6(found), IpAddr::V6(network)) => (found.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let free = width - u32::from(bits);
    found.checked_shr(free).unwrap_or(0) == network.checked_shr(free).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_operators() {
        let found = Operator::parse("ForAnyValue:StringNotLikeIfExists").unwrap();
        let test = Test::Text { ignore_case: false, wildcards: true };
        assert_eq!(found, Operator { set: Set::Any, test, negated: true, if_exists: true });
        for wrong in ["", "StringEqual", "For:StringEquals", "NullIfExists", "ForAnyValue:Null", "NumericLike", "Date"]
        {
            assert_eq!(Operator::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn networks() {
        let check = |wanted: &str, found: &str, expected| {
            let wanted = Wanted::parse(wanted, Test::Address, false).unwrap();
            assert_eq!(wanted.matches(Test::Address, found, &Context::default()), expected, "{found}");
        };
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("0.0.0.0/0", "11.1.2.3", true);
        check("::/0", "::1", true);
        check("127.0.0.1", "127.0.0.1", true);
        check("2001:db8::/32", "2001:db8:1::1", true);
        assert!(Wanted::parse("10.0.0.0/33", Test::Address, false).is_err());
    }
}
