//! Two values without a fixed type compared.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::error::ArrowError;

use super::json::{BEYOND_INTEGERS, Value};
use crate::dialect::syntax::BinaryOperator;
use crate::expression::kernel::Kernel;

type Result<T> = std::result::Result<T, ArrowError>;

/// What computes a comparison, and its name.
pub(crate) fn kernel(operator: BinaryOperator) -> (&'static str, Kernel) {
    match operator {
        BinaryOperator::Less => ("less", |values| compared(values, Ordering::is_lt)),
        BinaryOperator::LessOrEqual => ("less_or_equal", |values| compared(values, Ordering::is_le)),
        BinaryOperator::Greater => ("greater", |values| compared(values, Ordering::is_gt)),
        BinaryOperator::GreaterOrEqual => ("greater_or_equal", |values| compared(values, Ordering::is_ge)),
        BinaryOperator::NotEqual => ("not_equal", |values| compared(values, Ordering::is_ne)),
        _ => ("equal", |values| compared(values, Ordering::is_eq)),
    }
}

/// NULL where the two are of different types, or are no scalars.
fn compared(arguments: &[ArrayRef], holds: fn(Ordering) -> bool) -> Result<ArrayRef> {
    let (left, right) = (arguments[0].as_string::<i64>(), arguments[1].as_string::<i64>());
    let rows = left.iter().zip(right).map(|(left, right)| order(&Value::of(left?), &Value::of(right?)).map(holds));
    Ok(Arc::new(rows.collect::<BooleanArray>()))
}

fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Float(right)) => order_exactly(*left, *right),
        (Value::Float(left), Value::Int(right)) => order_exactly(*right, *left).map(Ordering::reverse),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// By their values: an integer beyond 2^53 is not rounded to the floating point next to it.
fn order_exactly(int: i64, float: f64) -> Option<Ordering> {
    match float {
        _ if float.is_nan() => None,
        _ if float >= BEYOND_INTEGERS => Some(Ordering::Less),
        _ if float < -BEYOND_INTEGERS => Some(Ordering::Greater),
        _ => 0.0.partial_cmp(&float.fract()).map(|rest| int.cmp(&(float as i64)).then(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floating_point_are_ordered_exactly() {
        for (left, right, expected) in [
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("9007199254740992", "9007199254740992.0", Ordering::Equal),
            ("9223372036854775807", "9223372036854775808", Ordering::Less),
            ("-9223372036854775808", "-9223372036854775808.0", Ordering::Equal),
            ("-9223372036854775808", "-1e19", Ordering::Greater),
            ("-1", "-1.5", Ordering::Greater),
            ("1", "1.5", Ordering::Less),
            ("0", "-0.0", Ordering::Equal),
        ] {
            assert_eq!(order(&Value::of(left), &Value::of(right)), Some(expected), "{left} {right}");
            assert_eq!(order(&Value::of(right), &Value::of(left)), Some(expected.reverse()), "{right} {left}");
        }
    }
}
