//! Records of columns, and records with what they are ordered by: what `Collect`, `TopOne` and `LAG(*)` give.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, LargeStringArray};
use arrow::error::ArrowError;
use datafusion_common::ScalarValue;

use super::convert::{convert, to_json};
use super::json::quoted;
use crate::expression::kernel::call;
use crate::expression::scope::literal;
use crate::plan::{ScalarExpr, VALUE};
use crate::window::key::encode_value;

type Result<T> = std::result::Result<T, ArrowError>;

/// A record of columns, given with their names.
pub(crate) fn record(columns: &[(String, ScalarExpr)]) -> ScalarExpr {
    let mut arguments = Vec::with_capacity(columns.len() * 2);
    for (name, column) in columns {
        arguments.push(literal(ScalarValue::Utf8(Some(quoted(name)))));
        arguments.push(convert(column.clone(), &VALUE, false));
    }
    call("record", made, &arguments, VALUE)
}

/// Names, each as JSON has it, and values in turns.
fn made(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let rows = arguments.first().map_or(0, Array::len);
    let record = |row: usize| {
        let mut json = String::from("{");
        for pair in arguments.chunks_exact(2) {
            let (name, value) = (pair[0].as_string::<i32>(), pair[1].as_string::<i64>());
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(name.value(row));
            json.push(':');
            json.push_str(if value.is_null(row) { "null" } else { value.value(row) });
        }
        json.push('}');
        Some(json)
    };
    Ok(Arc::new((0..rows).map(record).collect::<LargeStringArray>()))
}

/// A value as bytes that sort as it is ranked: by columns of integers, floats and times, each ascending or descending, NULL the
/// least of all; where they are the same, by the value's text.
pub(crate) fn ranked(value: &ScalarExpr, order: &[(ScalarExpr, bool)]) -> ScalarExpr {
    let mut arguments = vec![value.clone()];
    for (column, descending) in order {
        arguments.push(column.clone());
        arguments.push(literal(ScalarValue::Boolean(Some(*descending))));
    }
    call("ranked", ranks, &arguments, arrow::datatypes::DataType::Binary)
}

fn ranks(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, order) = arguments.split_at(1);
    let values = to_json(values)?;
    let values = values.as_string::<i64>();
    let rank = |row: usize| {
        let mut bytes = Vec::new();
        for pair in order.chunks_exact(2) {
            let start = bytes.len();
            encode_value(&pair[0], row, &mut bytes);
            if pair[1].as_boolean().value(row) {
                bytes[start..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        // At most 16 columns of 9 bytes.
        let length = bytes.len() as u8;
        bytes.extend_from_slice(if values.is_null(row) { "null" } else { values.value(row) }.as_bytes());
        bytes.push(length);
        bytes
    };
    Ok(Arc::new(BinaryArray::from_iter_values((0..values.len()).map(rank))))
}

/// The value that was ranked.
pub(crate) fn of_rank(bytes: &[u8]) -> &str {
    let value = bytes.split_last().and_then(|(length, rest)| rest.get(usize::from(*length)..));
    value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or("null")
}
