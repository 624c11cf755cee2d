//! Result rows as records: JSON objects or delimited text.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMillisecondType};
use millstream_catalog::{QueryDialect, RecordFormat};
use serde_json::Value;

use crate::value::json;

/// What stands for records and arrays in delimited text, which has none: the service writes what they are.
const RECORD: &str = "Record";
const ARRAY: &str = "Array";

/// What a value takes in a record besides its text and its column's name: some digits, quotes, a colon and a comma.
const VALUE_BYTES: usize = 12;

/// What a record takes besides its bytes, in its log and where it waits.
pub(super) const ENTRY_BYTES: usize = 48;

/// The most characters of a record's partition key: what Kinesis allows.
const PARTITION_KEY_CHARS_MAX: usize = 256;

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
                let cells = visible.iter().map(|&column| cell_at(rows, column, row, dialect, delimiter));
                let mut line = cells.collect::<Vec<_>>().join(delimiter).into_bytes();
                line.push(b'\n');
                line
            }
        })
        .collect()
}

/// About how many bytes a row's record takes as JSON, with its key: in its log, and where it waits. Escapes are not counted.
pub(super) fn record_bytes(rows: &RecordBatch, row: usize) -> usize {
    let visible = rows.columns().iter().zip(rows.schema_ref().fields()).take(rows.num_columns() - 1);
    let (mut bytes, mut texts) = (ENTRY_BYTES, 0);
    for (column, field) in visible {
        let text = match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().value(row).len(),
            DataType::LargeUtf8 => column.as_string::<i64>().value(row).len(),
            _ => 0,
        };
        bytes += field.name().len() + VALUE_BYTES + text;
        texts += text;
    }
    bytes + texts.min(PARTITION_KEY_CHARS_MAX)
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
        match untyped(rows.column(*column), row) {
            Some(json) => object.extend_from_slice(json.as_bytes()),
            // Writing to memory cannot fail.
            None => drop(write_value(&mut object, rows.column(*column), row, dialect)),
        }
    }
    object.push(b'}');
    object
}

/// Adds a value of a column that has a type, as [`value`] is written.
fn write_value(text: &mut Vec<u8>, array: &ArrayRef, row: usize, dialect: QueryDialect) -> serde_json::Result<()> {
    if array.is_null(row) {
        return serde_json::to_writer(text, &Value::Null);
    }
    match array.data_type() {
        DataType::Int64 => serde_json::to_writer(text, &array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => serde_json::to_writer(text, &array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => serde_json::to_writer(text, &array.as_boolean().value(row)),
        DataType::Timestamp(..) => {
            serde_json::to_writer(text, &time(array.as_primitive::<TimestampMillisecondType>().value(row), dialect))
        }
        DataType::Utf8 => serde_json::to_writer(text, array.as_string::<i32>().value(row)),
        _ => serde_json::to_writer(text, &Value::Null),
    }
}

/// A text by which a row is told from the others of its window: its texts, joined, as far as they are a partition key.
pub(crate) fn label(rows: &RecordBatch, row: usize) -> String {
    let text = |column: &ArrayRef| match column.data_type() {
        _ if column.is_null(row) => None,
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).to_owned()),
        _ => match json::Value::of(untyped(column, row)?) {
            json::Value::Text(text) => Some(text.into_owned()),
            _ => None,
        },
    };
    let visible = &rows.columns()[..rows.num_columns() - 1];
    partition_key(&visible.iter().filter_map(text).collect::<Vec<_>>().join(", ")).to_owned()
}

/// The first characters of a text, as many as a partition key may have.
pub(super) fn partition_key(text: &str) -> &str {
    let end = text.char_indices().nth(PARTITION_KEY_CHARS_MAX).map_or(text.len(), |(end, _)| end);
    &text[..end]
}

/// A column's values as texts, null as none; `None` when there is no such column.
pub(crate) fn texts(rows: &RecordBatch, column: &str, dialect: QueryDialect) -> Option<Vec<String>> {
    let schema = rows.schema();
    let visible = &schema.fields()[..rows.num_columns() - 1];
    let place = visible.iter().position(|field| field.name().eq_ignore_ascii_case(column))?;
    let text = |row| match untyped(rows.column(place), row).map(|json| (json, json::Value::of(json))) {
        Some((_, json::Value::Text(text))) => text.into_owned(),
        Some((json, _)) => json.to_owned(),
        None => match value(rows, place, row, dialect) {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        },
    };
    Some((0..rows.num_rows()).map(text).collect())
}

/// The JSON text of a value without a fixed type, which is written as it came; `None`: there is none.
fn untyped(array: &ArrayRef, row: usize) -> Option<&str> {
    array.as_string_opt::<i64>().filter(|values| values.is_valid(row)).map(|values| values.value(row))
}

/// A value of a column that has a type.
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
        _ => Value::Null,
    }
}

/// A time as each service writes it: `2026-11-21 04:05:06.789`, or `2026-11-21T04:05:06.7890000Z`.
fn time(millis: i64, dialect: QueryDialect) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    match dialect {
        QueryDialect::Kinesis | QueryDialect::Standard => at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        QueryDialect::StreamAnalytics => format!("{}0000Z", at.strftime("%Y-%m-%dT%H:%M:%S.%3f")),
    }
}

/// Adds values as a line of delimited text.
pub(super) fn add_line<'v>(text: &mut Vec<u8>, values: impl Iterator<Item = &'v Value>, delimiter: &str) {
    let cells: Vec<String> = values.map(|value| cell(value, delimiter)).collect();
    text.extend_from_slice(cells.join(delimiter).as_bytes());
    text.push(b'\n');
}

fn cell_at(rows: &RecordBatch, column: usize, row: usize, dialect: QueryDialect, delimiter: &str) -> String {
    let Some(json) = untyped(rows.column(column), row) else {
        return cell(&value(rows, column, row, dialect), delimiter);
    };
    match json::Value::of(json) {
        json::Value::Null => String::new(),
        json::Value::Text(text) => text_cell(&text, delimiter),
        json::Value::Record(_) => RECORD.to_owned(),
        json::Value::Array(_) => ARRAY.to_owned(),
        _ => json.to_owned(),
    }
}

fn text_cell(text: &str, delimiter: &str) -> String {
    if text.contains(delimiter) || text.contains(['"', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

fn cell(value: &Value, delimiter: &str) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text_cell(text, delimiter),
        Value::Object(_) => RECORD.to_owned(),
        Value::Array(_) => ARRAY.to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder};
    use millstream_types::{EncodedRecords, RecordBatch};

    use super::*;

    #[test]
    fn a_partition_key_is_no_longer_than_the_service_allows() {
        assert_eq!(partition_key("A, B"), "A, B");
        assert_eq!(partition_key(&"x".repeat(256)).len(), 256);
        assert_eq!(partition_key(&"\u{20ac}".repeat(300)), "\u{20ac}".repeat(256));
    }
    use crate::{Executor, InputSchema, plan};

    /// The bytes that a query makes of one record, with a column `r` without a fixed type.
    fn made(sql: &str, record: &str, format: &RecordFormat) -> String {
        let dialect = QueryDialect::StreamAnalytics;
        let column = ColumnDefinition::new("r", ColumnType::Value);
        let input = InputSchema::new("i", Some(vec![column]));
        let mut executor =
            Executor::new(plan(dialect, sql, &[input]).unwrap(), EventOrder::default(), &[RecordFormat::Json], &[1]);
        let mut records = EncodedRecords::default();
        records.push(b"", b"", record.as_bytes());
        let (bytes, count) = records.freeze();
        let batch = RecordBatch { base_offset: 0, count, append_time: 1_700_000_000_000, bytes };
        let produced = executor.push(0, 0, &batch, 0).unwrap();
        assert_eq!(produced.errors, [], "{sql}");
        let rows = produced.of_output(0).unwrap().unwrap();
        String::from_utf8(encode(&rows, format, dialect, &[]).concat()).unwrap()
    }

    #[test]
    fn values_leave_as_the_bytes_that_came() {
        let record = r#"{"r":{ "a":1.50,"b":12345678901234567890123,"c":"\u00e4"}}"#;
        let csv = RecordFormat::Csv { delimiter: ";".into() };
        let sql = "SELECT r, r.a, r.b, r.c INTO o FROM i";
        let json = r#"{"r":{ "a":1.50,"b":12345678901234567890123,"c":"\u00e4"},"a":1.50,"b":12345678901234567890123,"c":"\u00e4"}"#;
        assert_eq!(made(sql, record, &RecordFormat::Json), json);
        assert_eq!(made(sql, record, &csv), "Record;1.50;12345678901234567890123;ä\n");
    }

    #[test]
    fn results_are_json_that_everybody_reads() {
        let sql = "SELECT r, r.a, r.t, r.l INTO o FROM i";
        let record = r#"{"r":{"a":1e400,"t":"1e400","l":[1e400,-1e400 ,"]",1e4]}}"#;
        let json =
            r#"{"r":{"a":null,"t":"1e400","l":[null,null ,"]",1e4]},"a":null,"t":"1e400","l":[null,null ,"]",1e4]}"#;
        let found = made(sql, record, &RecordFormat::Json);
        assert_eq!(found, json);
        serde_json::from_str::<Value>(&found).unwrap();
        assert_eq!(made("SELECT r INTO o FROM i", r#"{"r":-1e400}"#, &RecordFormat::Json), r#"{"r":null}"#);
        let parsed = r#"{"r":{"lone":"{\"a\":\"\\ud800\"}","far":"{\"a\":1e400}"}}"#;
        let sql = "SELECT JSON_PARSE(r.lone) AS lone, JSON_PARSE(r.far) AS far INTO o FROM i";
        assert_eq!(made(sql, parsed, &RecordFormat::Json), r#"{"lone":null,"far":{"a":null}}"#);
    }
}
