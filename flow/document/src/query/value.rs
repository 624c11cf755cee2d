//! How values compare, and what they weigh.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::{Number, Value};

/// A value, or undefined.
pub type Defined = Option<Value>;

/// The order of all values, as ORDER BY has it: undefined, null, false, true, numbers, texts, lists, objects.
#[must_use]
pub fn compare(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(Value::Bool(left)), Some(Value::Bool(right))) => left.cmp(right),
        (Some(Value::Number(left)), Some(Value::Number(right))) => compare_numbers(left, right),
        (Some(Value::String(left)), Some(Value::String(right))) => left.cmp(right),
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            let parts = left.iter().zip(right).map(|(left, right)| compare(Some(left), Some(right)));
            parts.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        // Objects have no order that a client could rely on: one that stays the same is enough.
        (Some(left @ Value::Object(_)), Some(right @ Value::Object(_))) => {
            let text = |value: &Value| {
                let mut out = String::new();
                canonical(Some(value), &mut out);
                out
            };
            text(left).cmp(&text(right))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(value: Option<&Value>) -> u8 {
    match value {
        None => 0,
        Some(Value::Null) => 1,
        Some(Value::Bool(_)) => 2,
        Some(Value::Number(_)) => 3,
        Some(Value::String(_)) => 4,
        Some(Value::Array(_)) => 5,
        Some(Value::Object(_)) => 6,
    }
}

/// Whether two values are of one type, which is when they can be compared in a filter.
pub(super) fn same_type(left: &Value, right: &Value) -> bool {
    rank(Some(left)) == rank(Some(right))
}

fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => float(left).total_cmp(&float(right)),
    }
}

/// A number as the binary fraction that it is in this dialect; -0 is 0.
pub(super) fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or_default() + 0.0
}

/// Whether two values are the same; 1 and 1.0 are, and so are objects with their members in another order.
#[must_use]
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right).is_eq(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same = |(name, value)| right.get::<String>(name).is_some_and(|other| equal(value, other));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => left == right,
    }
}

/// A number as a value: whole when it is; undefined when it is none (a division by zero).
pub(super) fn number(value: f64) -> Defined {
    /// Whole numbers up to here are exact.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

/// A text that is the same for equal values and different for others.
pub(super) fn canonical(value: Option<&Value>, out: &mut String) {
    match value {
        None => out.push('u'),
        Some(Value::Number(number)) => {
            // Writing into a text does not fail.
            let _ = match number.as_i64() {
                Some(whole) => write!(out, "{whole}"),
                None => write!(out, "{}", float(number)),
            };
        }
        Some(Value::Array(parts)) => {
            out.push('[');
            for part in parts {
                canonical(Some(part), out);
                out.push(',');
            }
            out.push(']');
        }
        Some(Value::Object(members)) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (name, member) in sorted {
                let _ = write!(out, "{name:?}:");
                canonical(Some(member), out);
                out.push(',');
            }
            out.push('}');
        }
        Some(plain) => {
            let _ = write!(out, "{plain}");
        }
    }
}

/// Bytes of a value that an expression may make out of others: more than the documents that it is made from can hold, less
/// than what would hurt.
const MADE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Undefined for a value that is too large to be made.
pub(super) fn within_bounds(bytes: usize) -> Option<()> {
    (bytes <= MADE_BYTES_MAX).then_some(())
}

/// About how many bytes a value takes in memory.
#[must_use]
pub fn weight(value: &Value) -> usize {
    /// A value's own place.
    const PLACE: usize = 32;
    PLACE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(parts) => parts.iter().map(weight).sum(),
            // A member has its hash, its name and its value.
            Value::Object(members) => members.iter().map(|(name, member)| 40 + name.len() + weight(member)).sum(),
            _ => 0,
        }
}
