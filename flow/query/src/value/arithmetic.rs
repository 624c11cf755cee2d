//! Arithmetic with values without a fixed type: what it gives is known by each row's values alone.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, LargeStringArray};
use arrow::error::ArrowError;

use super::json::{Value, quoted};
use crate::dialect::syntax::BinaryOperator;
use crate::expression::kernel::Kernel;

type Result<T> = std::result::Result<T, ArrowError>;

/// What computes an operator, and its name.
pub(crate) fn kernel(operator: BinaryOperator) -> (&'static str, Kernel) {
    match operator {
        BinaryOperator::Add => ("add_values", |values| computed(values, add)),
        BinaryOperator::Subtract => ("subtract_values", |values| {
            computed(values, |left, right| numbers("-", left, right, i64::checked_sub, |left, right| left - right))
        }),
        BinaryOperator::Multiply => ("multiply_values", |values| {
            computed(values, |left, right| numbers("*", left, right, i64::checked_mul, |left, right| left * right))
        }),
        BinaryOperator::Divide => ("divide_values", |values| {
            computed(values, |left, right| {
                numbers(
                    "/",
                    left,
                    right,
                    i64::checked_div,
                    |left, right| if right == 0.0 { f64::NAN } else { left / right },
                )
            })
        }),
        _ => ("remainder_of_values", |values| {
            computed(values, |left, right| numbers("%", left, right, i64::checked_rem, |left, right| left % right))
        }),
    }
}

fn computed(arguments: &[ArrayRef], compute: impl Fn(&Value<'_>, &Value<'_>) -> Result<String>) -> Result<ArrayRef> {
    let (left, right) = (arguments[0].as_string::<i64>(), arguments[1].as_string::<i64>());
    let row = |(left, right): (Option<&str>, Option<&str>)| match (left, right) {
        (Some(left), Some(right)) => compute(&Value::of(left), &Value::of(right)).map(Some),
        _ => Ok(None),
    };
    Ok(Arc::new(left.iter().zip(right).map(row).collect::<Result<LargeStringArray>>()?))
}

/// `+`, which joins texts.
fn add(left: &Value<'_>, right: &Value<'_>) -> Result<String> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(quoted(&format!("{left}{right}"))),
        _ => numbers("+", left, right, i64::checked_add, |left, right| left + right),
    }
}

/// An operator of numbers: integers stay integers. No result is an error, as it is of a division by zero.
fn numbers(
    operator: &str,
    left: &Value<'_>,
    right: &Value<'_>,
    of_integers: fn(i64, i64) -> Option<i64>,
    of_floats: fn(f64, f64) -> f64,
) -> Result<String> {
    let result = match (left, right) {
        (Value::Int(left), Value::Int(right)) => of_integers(*left, *right).map(|result| result.to_string()),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            let result = of_floats(float(left), float(right));
            result.is_finite().then(|| serde_json::Value::from(result).to_string())
        }
        _ => {
            let (left, right) = (left.type_name().unwrap_or("NULL"), right.type_name().unwrap_or("NULL"));
            let message = format!("expected numbers on both sides of `{operator}`, found {left} and {right}");
            return Err(ArrowError::ComputeError(message));
        }
    };
    result.ok_or_else(|| ArrowError::ComputeError(format!("{left:?} {operator} {right:?} has no result")))
}

fn float(value: &Value<'_>) -> f64 {
    match value {
        Value::Int(int) => *int as f64,
        Value::Float(float) => *float,
        _ => f64::NAN,
    }
}
