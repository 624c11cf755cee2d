//! The tests of patterns on one value. Pure.

use std::net::IpAddr;

use serde_json::Value;

use super::{FilterError, wrong};

/// Numbers are compared to five digits behind the point and lie within a thousand million to both sides.
const NUMBER_SCALE: f64 = 1e5;
const NUMBER_MAX: f64 = 1e9;

/// The words of tests that are objects.
const TESTS: [&str; 7] = ["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix"];

/// One test of a field's list.
#[derive(Debug)]
pub(super) enum Test {
    Exists(bool),
    Value(Match),
    /// A value that none of these holds of.
    NoneOf(Vec<Match>),
}

/// What a value has to be.
#[derive(Debug)]
pub(super) enum Match {
    /// A text, `true`, `false` or `null`.
    Same(Value),
    /// A number, scaled.
    Number(f64),
    /// Numbers between two ends, scaled; whether each end belongs to them.
    Range((f64, bool), (f64, bool)),
    Prefix(String),
    Suffix(String),
    /// In lower case.
    IgnoringCase(String),
    /// An address in a network of so many leading bits.
    Network(IpAddr, u32),
}

/// Whether a word names a test.
pub(super) fn is_test(word: &str) -> bool {
    TESTS.contains(&word)
}

impl Test {
    pub(super) fn compile(value: &Value) -> Result<Self, FilterError> {
        let Value::Object(object) = value else { return Ok(Self::Value(Match::plain(value)?)) };
        let mut entries = object.iter();
        let (Some((word, argument)), None) = (entries.next(), entries.next()) else {
            return Err(wrong("Only one key allowed in match expression"));
        };
        match (word.as_str(), argument) {
            ("exists", Value::Bool(exists)) => Ok(Self::Exists(*exists)),
            ("exists", _) => Err(wrong("exists match pattern must be either true or false.")),
            ("anything-but", Value::Array(list)) if list.is_empty() => {
                Err(wrong("Value of anything-but must be an array with at least one value"))
            }
            ("anything-but", Value::Array(list)) => {
                Ok(Self::NoneOf(list.iter().map(Match::plain).collect::<Result<_, _>>()?))
            }
            ("anything-but", Value::Object(inner)) => match inner.iter().next() {
                Some((word, argument)) if inner.len() == 1 && matches!(word.as_str(), "prefix" | "suffix") => {
                    Ok(Self::NoneOf(vec![Match::compile(word, argument)?]))
                }
                _ => Err(wrong("Unsupported anything-but pattern")),
            },
            ("anything-but", plain) => Ok(Self::NoneOf(vec![Match::plain(plain)?])),
            (word, argument) => Ok(Self::Value(Match::compile(word, argument)?)),
        }
    }

    /// Whether it holds of a field that is there or not, with these plain values. What is `null` or empty is there, and yet
    /// does not exist, as the service has it.
    pub(super) fn holds_of(&self, present: bool, values: &[&Value]) -> bool {
        match self {
            Self::Exists(true) => values.iter().any(|value| !value.is_null() && value.as_str() != Some("")),
            Self::Exists(false) => !present,
            Self::Value(expected) => values.iter().any(|value| expected.holds_of(value)),
            Self::NoneOf(excluded) => {
                values.iter().any(|value| !excluded.iter().any(|excluded| excluded.holds_of(value)))
            }
        }
    }
}

impl Match {
    fn plain(value: &Value) -> Result<Self, FilterError> {
        match value {
            Value::Number(_) => Ok(Self::Number(number(value)?)),
            Value::String(_) | Value::Bool(_) | Value::Null => Ok(Self::Same(value.clone())),
            Value::Array(_) | Value::Object(_) => {
                Err(wrong("Match value must be String, number, true, false, or null"))
            }
        }
    }

    fn compile(word: &str, argument: &Value) -> Result<Self, FilterError> {
        let text = || argument.as_str().ok_or_else(|| wrong(&format!("{word} match pattern must be a string")));
        match word {
            "prefix" => Ok(Self::Prefix(text()?.to_owned())),
            "suffix" => Ok(Self::Suffix(text()?.to_owned())),
            "equals-ignore-case" => Ok(Self::IgnoringCase(text()?.to_lowercase())),
            "cidr" => network(text()?).ok_or_else(|| wrong("Malformed CIDR: cidr match pattern must be ADDRESS/BITS")),
            "numeric" => numeric(argument),
            other => {
                let other: String = other.chars().take(80).collect();
                Err(wrong(&format!("Unrecognized match type {other}")))
            }
        }
    }

    fn holds_of(&self, value: &Value) -> bool {
        let text = || value.as_str().unwrap_or_default();
        let number = || value.as_f64().map(scaled);
        match self {
            Self::Same(expected) => expected == value,
            Self::Number(expected) => number() == Some(*expected),
            Self::Range((from, with_from), (to, with_to)) => number().is_some_and(|found| {
                (found > *from || (*with_from && found == *from)) && (found < *to || (*with_to && found == *to))
            }),
            Self::Prefix(prefix) => value.is_string() && text().starts_with(prefix.as_str()),
            Self::Suffix(suffix) => value.is_string() && text().ends_with(suffix.as_str()),
            Self::IgnoringCase(expected) => value.is_string() && text().to_lowercase() == *expected,
            Self::Network(network, bits) => {
                text().parse().is_ok_and(|address: IpAddr| leading(address, *bits) == leading(*network, *bits))
            }
        }
    }
}

/// `["=", 5]`, `["<", 5]`, `[">", 0, "<=", 5]`
fn numeric(argument: &Value) -> Result<Match, FilterError> {
    let list = argument.as_array().ok_or_else(|| wrong("Value of numeric must be an array."))?;
    let mut bounds = list.iter();
    let (mut from, mut to) = ((f64::NEG_INFINITY, false), (f64::INFINITY, false));
    let mut seen = (false, false);
    while let Some(operator) = bounds.next() {
        let Some(value) = bounds.next().filter(|value| value.is_number()) else {
            return Err(wrong("Value of a numeric operator must be a number"));
        };
        let value = number(value)?;
        match operator.as_str() {
            Some("=") if list.len() == 2 => return Ok(Match::Number(value)),
            Some(operator @ (">" | ">=")) if !seen.0 => (from, seen.0) = ((value, operator == ">="), true),
            Some(operator @ ("<" | "<=")) if !seen.1 => (to, seen.1) = ((value, operator == "<="), true),
            _ => return Err(wrong("Unrecognized numeric range operator")),
        }
    }
    if seen == (false, false) {
        return Err(wrong("Invalid member in numeric match: expected operators and numbers"));
    }
    if from.0 >= to.0 {
        return Err(wrong("Bottom must be less than top"));
    }
    Ok(Match::Range(from, to))
}

fn number(value: &Value) -> Result<f64, FilterError> {
    match value.as_f64() {
        Some(number) if number.abs() <= NUMBER_MAX => Ok(scaled(number)),
        _ => Err(wrong("Numeric values must be between -1000000000 and 1000000000")),
    }
}

fn scaled(number: f64) -> f64 {
    (number * NUMBER_SCALE).round()
}

fn network(text: &str) -> Option<Match> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(Match::Network(address, bits))
}

/// The first bits of an address, and which kind it is of.
fn leading(address: IpAddr, bits: u32) -> (bool, u128) {
    let (number, width) = match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    (address.is_ipv4(), number.checked_shr(width - bits.min(width)).unwrap_or(0))
}
