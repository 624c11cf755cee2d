//! What is inside of records and arrays, and what values are: `a.b.c`, `GetArrayElement` and the like.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, Int64Array, LargeStringArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use datafusion_common::ScalarValue;

use super::json::{self, Value};
use crate::decode;
use crate::expression::kernel::call;
use crate::expression::scope::literal;
use crate::plan::{ScalarExpr, VALUE};

type Result<T> = std::result::Result<T, ArrowError>;

/// A record's field, and a field of that: NULL where there is none, or no record.
pub(crate) fn path(record: ScalarExpr, names: &[&str]) -> ScalarExpr {
    let name = |name: &&str| literal(ScalarValue::Utf8(Some((*name).to_owned())));
    let arguments: Vec<ScalarExpr> = std::iter::once(record).chain(names.iter().map(name)).collect();
    call("field", field, &arguments, VALUE)
}

/// `GetRecordPropertyValue(record, name)`; several names lead into records inside of it.
pub(crate) fn field(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (records, names) = (arguments[0].as_string::<i64>(), &arguments[1..]);
    let found = records.iter().enumerate().map(|(row, record)| {
        let step = |json, names: &ArrayRef| {
            let names = names.as_string::<i32>();
            names.is_valid(row).then(|| json::member(json, names.value(row))).flatten()
        };
        names.iter().try_fold(record?, step).filter(|json| *json != "null")
    });
    Ok(Arc::new(found.collect::<LargeStringArray>()))
}

/// `GetArrayElement(array, index)`, counted from 0; NULL where there is none.
pub(crate) fn element(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (arrays, indexes) = (arguments[0].as_string::<i64>(), arguments[1].as_primitive::<Int64Type>());
    let found = arrays.iter().zip(indexes).map(|(array, index)| {
        let index = usize::try_from(index?).ok()?;
        json::elements(array?).nth(index).filter(|json| *json != "null")
    });
    Ok(Arc::new(found.collect::<LargeStringArray>()))
}

/// `GetArrayLength(array)`; NULL of what is none.
pub(crate) fn length(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let lengths = arguments[0].as_string::<i64>().iter().map(|json| {
        let array = json.filter(|json| matches!(Value::of(json), Value::Array(_)))?;
        Some(json::elements(array).count() as i64)
    });
    Ok(Arc::new(lengths.collect::<Int64Array>()))
}

/// `GetType(x)` of any type; NULL of NULL.
pub(crate) fn type_name(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let array = &arguments[0];
    let name = |row: usize| match array.data_type() {
        _ if array.is_null(row) => None,
        DataType::LargeUtf8 => Value::of(array.as_string::<i64>().value(row)).type_name(),
        DataType::Int64 => Some("bigint"),
        DataType::Float64 => Some("float"),
        DataType::Boolean => Some("bit"),
        DataType::Timestamp(..) => Some("datetime"),
        _ => Some("nvarchar(max)"),
    };
    Ok(Arc::new((0..array.len()).map(name).collect::<StringArray>()))
}

/// `JSON_PARSE(text)`: the record that a text is; NULL of what is none.
pub(crate) fn parse(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let records = arguments[0].as_string::<i64>().iter().map(|value| match Value::of(value?) {
        Value::Text(text) => decode::json::parse(&text).filter(|json| json.starts_with('{')),
        _ => None,
    });
    Ok(Arc::new(records.collect::<LargeStringArray>()))
}
