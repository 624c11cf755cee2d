//! Two values without a fixed type compared.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::error::ArrowError;

use super::json::Value;
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
        (Value::Int(left), Value::Float(right)) => (*left as f64).partial_cmp(right),
        (Value::Float(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
