//! Result rows as records: JSON objects or delimited text.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMillisecondType};
use millstream_catalog::{QueryDialect, RecordFormat};
use serde_json::Value;

use crate::value::json;

/// The rows of a batch, each as one record; the hidden row time is left out, and so are columns that stand elsewhere.
pub(crate) fn encode(
    rows: &RecordBatch,
    format: &RecordFormat,
    dialect: QueryDialect,
    elsewhere: &[String],
) -> Vec<Vec<u8>> {
    let schema = rows.schema();
    let is_elsewhere = |name: &String| elsewhere.iter().any(|column| column.eq_ignore_ascii_case(name));
    let visible: Vec<usize> =
        (0..rows.num_columns() - 1).filter(|&column| !is_elsewhere(schema.field(column).name())).collect();
    let quoted = |&column: &usize| (json::quoted(schema.field(column).name()), column);
    let named: Vec<(String, usize)> = visible.iter().map(quoted).collect();
    (0..rows.num_rows())
        .map(|row| match format {
            RecordFormat::Json => object(rows, &named, row, dialect),
            RecordFormat::Csv { delimiter } => {
                let values: Vec<Value> = visible.iter().map(|&column| value(rows, column, row, dialect)).collect();
                let mut line = Vec::new();
                add_line(&mut line, values.iter(), delimiter);
                line
            }
        })
        .collect()
}

/// A row as a JSON object, of columns with their names in quotes; values without a fixed type stand in it as they came.
fn object(rows: &RecordBatch, columns: &[(String, usize)], row: usize, dialect: QueryDialect) -> Vec<u8> {
    let mut object = vec![b'{'];
    for (name, column) in columns {
        if object.len() > 1 {
            object.push(b',');
        }
        object.extend_from_slice(name.as_bytes());
        object.push(b':');
        match rows.column(*column).as_string_opt::<i64>().filter(|values| values.is_valid(row)) {
            Some(values) => object.extend_from_slice(values.value(row).as_bytes()),
            None => object.extend_from_slice(value(rows, *column, row, dialect).to_string().as_bytes()),
        }
    }
    object.push(b'}');
    object
}

/// A text by which a row is told from the others of its window: its texts, joined.
pub(crate) fn label(rows: &RecordBatch, row: usize) -> String {
    let text = |column: &ArrayRef| match column.data_type() {
        _ if column.is_null(row) => None,
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => match json::Value::of(column.as_string::<i64>().value(row)) {
            json::Value::Text(text) => Some(text.into_owned()),
            _ => None,
        },
        _ => None,
    };
    let visible = &rows.columns()[..rows.num_columns() - 1];
    visible.iter().filter_map(text).collect::<Vec<_>>().join(", ")
}

/// A column's values as texts, null as none; `None` when there is no such column.
pub(crate) fn texts(rows: &RecordBatch, column: &str, dialect: QueryDialect) -> Option<Vec<String>> {
    let schema = rows.schema();
    let visible = &schema.fields()[..rows.num_columns() - 1];
    let place = visible.iter().position(|field| field.name().eq_ignore_ascii_case(column))?;
    let text = |row| match value(rows, place, row, dialect) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some((0..rows.num_rows()).map(text).collect())
}

fn value(rows: &RecordBatch, column: usize, row: usize, dialect: QueryDialect) -> Value {
    let array = rows.column(column);
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::from(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Timestamp(..) => {
            Value::from(time(array.as_primitive::<TimestampMillisecondType>().value(row), dialect))
        }
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => serde_json::from_str(array.as_string::<i64>().value(row)).unwrap_or_default(),
        _ => Value::Null,
    }
}

/// A time as each service writes it: `2026-11-21 04:05:06.789`, or `2026-11-21T04:05:06.7890000Z`.
fn time(millis: i64, dialect: QueryDialect) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    match dialect {
        QueryDialect::Kinesis => at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        QueryDialect::StreamAnalytics => format!("{}0000Z", at.strftime("%Y-%m-%dT%H:%M:%S.%3f")),
    }
}

/// Adds values as a line of delimited text.
pub(super) fn add_line<'v>(text: &mut Vec<u8>, values: impl Iterator<Item = &'v Value>, delimiter: &str) {
    let cells: Vec<String> = values.map(|value| cell(value, delimiter)).collect();
    text.extend_from_slice(cells.join(delimiter).as_bytes());
    text.push(b'\n');
}

fn cell(value: &Value, delimiter: &str) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains(delimiter) || text.contains(['"', '\n']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::String(text) => text.clone(),
        // Delimited text has no records: the service writes what they are.
        Value::Object(_) => "Record".to_owned(),
        Value::Array(_) => "Array".to_owned(),
        other => other.to_string(),
    }
}
