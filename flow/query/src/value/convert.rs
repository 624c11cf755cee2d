//! Values without a fixed type into the types of the language, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow::error::ArrowError;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::Literal;

use super::json::{BEYOND_INTEGERS, Value, canonical, quoted};
use crate::decode::timestamp;
use crate::expression::kernel::{Kernel, call};
use crate::expression::scope::literal;
use crate::plan::{ScalarExpr, VALUE};

type Result<T> = std::result::Result<T, ArrowError>;

/// The value in another type, where one of the two is [`VALUE`]: `CAST`, and `TRY_CAST` when `lenient`.
///
/// Fails at run time for a value that cannot be converted; `lenient`: makes NULL of it.
pub(crate) fn convert(value: ScalarExpr, to: &DataType, lenient: bool) -> ScalarExpr {
    if *to == VALUE {
        return into_value(value);
    }
    let (name, kernel): (&'static str, Kernel) = match (to, lenient) {
        (DataType::Int64, false) => ("value_to_bigint", integers::<false>),
        (DataType::Int64, true) => ("try_value_to_bigint", integers::<true>),
        (DataType::Float64, false) => ("value_to_float", floats::<false>),
        (DataType::Float64, true) => ("try_value_to_float", floats::<true>),
        (DataType::Boolean, false) => ("value_to_bit", booleans::<false>),
        (DataType::Boolean, true) => ("try_value_to_bit", booleans::<true>),
        (DataType::Timestamp(..), false) => ("value_to_datetime", times::<false>),
        (DataType::Timestamp(..), true) => ("try_value_to_datetime", times::<true>),
        (_, false) => ("value_to_text", texts::<false>),
        (_, true) => ("try_value_to_text", texts::<true>),
    };
    let text = value.text.clone();
    ScalarExpr { text, ..call(name, kernel, &[value], to.clone()) }
}

/// The value if it is one of that type, else NULL: what a comparison with a value of that type looks at. Numbers have none.
pub(crate) fn of_type(value: ScalarExpr, to: &DataType) -> ScalarExpr {
    let (name, kernel): (&'static str, Kernel) = match to {
        DataType::Boolean => ("value_if_bit", |values| {
            each::<_, BooleanArray, true>(&values[0], "", |value| match value {
                Value::Boolean(boolean) => Some(*boolean),
                _ => None,
            })
        }),
        DataType::Timestamp(..) => ("value_if_datetime", times::<true>),
        _ => ("value_if_text", |values| {
            each::<_, StringArray, true>(&values[0], "", |value| match value {
                Value::Text(text) => Some(text.to_string()),
                _ => None,
            })
        }),
    };
    let text = value.text.clone();
    ScalarExpr { text, ..call(name, kernel, &[value], to.clone()) }
}

/// The value if it is equal to anything: no record and no array.
pub(crate) fn scalars(value: ScalarExpr) -> ScalarExpr {
    let text = value.text.clone();
    let kernel: Kernel = |values| {
        let is_scalar = |json: &&str| !matches!(Value::of(json), Value::Record(_) | Value::Array(_));
        let scalars = values[0].as_string::<i64>().iter().map(|json| json.filter(is_scalar));
        Ok(Arc::new(scalars.collect::<LargeStringArray>()))
    };
    ScalarExpr { text, ..call("value_if_scalar", kernel, &[value], VALUE) }
}

/// Values in the one spelling of those that are equal.
pub(crate) fn canonical_values(value: ScalarExpr) -> ScalarExpr {
    let text = value.text.clone();
    let kernel: Kernel = |values| {
        let canonical = values[0].as_string::<i64>().iter().map(|json| json.map(canonical));
        Ok(Arc::new(canonical.collect::<LargeStringArray>()))
    };
    ScalarExpr { text, ..call("canonical", kernel, &[value], VALUE) }
}

/// A value of any type as one without a fixed type; constants are converted at once.
fn into_value(value: ScalarExpr) -> ScalarExpr {
    let text = value.text.clone();
    if let Some(constant) = value.physical.downcast_ref::<Literal>() {
        let one = constant.value().to_array().map_err(ArrowError::from);
        let made = one.and_then(|one| to_json(&[one]));
        if let Ok(made) = made.and_then(|made| Ok(ScalarValue::try_from_array(&made, 0)?)) {
            return ScalarExpr { text, ..literal(made) };
        }
    }
    ScalarExpr { text, ..call("to_value", to_json, &[value], VALUE) }
}

/// Values as JSON texts.
pub(crate) fn to_json(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let array = &arguments[0];
    let json = |row: usize| {
        if array.is_null(row) {
            return None;
        }
        match array.data_type() {
            DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(row).to_string()),
            DataType::Float64 => float_text(array.as_primitive::<Float64Type>().value(row)),
            DataType::Boolean => Some(array.as_boolean().value(row).to_string()),
            DataType::Utf8 => Some(quoted(array.as_string::<i32>().value(row))),
            DataType::Timestamp(..) => {
                let time = array.as_primitive::<TimestampMillisecondType>().value(row);
                crate::expression::time::iso_text(time).map(|time| quoted(&time))
            }
            DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row).to_owned()),
            _ => None,
        }
    };
    Ok(Arc::new((0..array.len()).map(json).collect::<LargeStringArray>()))
}

/// Floating point as values without a fixed type, whole numbers as integers.
pub(crate) fn numbers_to_values(floats: &ArrayRef) -> ArrayRef {
    let floats = floats.as_primitive::<Float64Type>();
    let json = |float: Option<f64>| float.and_then(float_text).map(|json| canonical(&json).into_owned());
    Arc::new(floats.iter().map(json).collect::<LargeStringArray>())
}

/// What is no number has no place in JSON.
fn float_text(float: f64) -> Option<String> {
    float.is_finite().then(|| serde_json::Value::from(float).to_string())
}

fn integers<const LENIENT: bool>(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    each::<_, Int64Array, LENIENT>(&arguments[0], "bigint", |value| match value {
        Value::Int(int) => Some(*int),
        Value::Float(float) if float.abs() < BEYOND_INTEGERS => Some(*float as i64),
        Value::Boolean(boolean) => Some(i64::from(*boolean)),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    })
}

fn floats<const LENIENT: bool>(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    each::<_, Float64Array, LENIENT>(&arguments[0], "float", |value| match value {
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        Value::Boolean(boolean) => Some(f64::from(u8::from(*boolean))),
        Value::Text(text) => text.parse().ok().filter(|float: &f64| float.is_finite()),
        _ => None,
    })
}

fn booleans<const LENIENT: bool>(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    each::<_, BooleanArray, LENIENT>(&arguments[0], "bit", |value| match value {
        Value::Int(int) => Some(*int != 0),
        Value::Float(float) => Some(*float != 0.0),
        Value::Boolean(boolean) => Some(*boolean),
        Value::Text(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        Value::Text(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        _ => None,
    })
}

fn times<const LENIENT: bool>(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    each::<_, TimestampMillisecondArray, LENIENT>(&arguments[0], "datetime", |value| match value {
        Value::Text(text) => timestamp::parse(text),
        _ => None,
    })
}

fn texts<const LENIENT: bool>(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    each::<_, StringArray, LENIENT>(&arguments[0], "nvarchar(max)", |value| {
        Some(match value {
            Value::Null => return None,
            Value::Boolean(boolean) => boolean.to_string(),
            Value::Int(int) => int.to_string(),
            Value::Float(float) => serde_json::Value::from(*float).to_string(),
            Value::Text(text) => text.to_string(),
            Value::Array(json) | Value::Record(json) => (*json).to_owned(),
        })
    })
}

/// `CAST(x AS record)`, `CAST(x AS array)`: the value if it is one.
pub(crate) fn of_shape(value: ScalarExpr, record: bool, lenient: bool) -> ScalarExpr {
    let (name, kernel): (&'static str, Kernel) = match (record, lenient) {
        (true, false) => ("value_to_record", shaped::<true, false>),
        (true, true) => ("try_value_to_record", shaped::<true, true>),
        (false, false) => ("value_to_array", shaped::<false, false>),
        (false, true) => ("try_value_to_array", shaped::<false, true>),
    };
    let text = value.text.clone();
    ScalarExpr { text, ..call(name, kernel, &[value], VALUE) }
}

fn shaped<const RECORD: bool, const LENIENT: bool>(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let name = if RECORD { "record" } else { "array" };
    each::<_, LargeStringArray, LENIENT>(&arguments[0], name, |value| match value {
        Value::Record(json) if RECORD => Some((*json).to_owned()),
        Value::Array(json) if !RECORD => Some((*json).to_owned()),
        _ => None,
    })
}

/// Each value read; one that cannot be is an error or, when lenient, NULL.
fn each<T, A: Array + FromIterator<Option<T>> + 'static, const LENIENT: bool>(
    values: &ArrayRef,
    to: &str,
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> Result<ArrayRef> {
    let read = |json: Option<&str>| {
        let Some(json) = json else { return Ok(None) };
        match (Value::of(json), LENIENT) {
            (Value::Null, _) => Ok(None),
            (value, true) => Ok(read(&value)),
            (value, false) => read(&value).map(Some).ok_or_else(|| not_convertible(json, to)),
        }
    };
    Ok(Arc::new(values.as_string::<i64>().iter().map(read).collect::<Result<A>>()?))
}

fn not_convertible(json: &str, to: &str) -> ArrowError {
    let shown: String = json.chars().take(100).collect();
    let kind = Value::of(json).type_name().unwrap_or("NULL");
    ArrowError::CastError(format!("expected a {to}, found the {kind} {shown}"))
}
