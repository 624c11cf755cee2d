//! Columns from samples: what an input without declared columns, and schema discovery, go by.

use millstream_catalog::{ColumnDefinition, ColumnType, QueryDialect, RecordFormat};
use serde_json::Value;

use super::{column, csv, timestamp};

/// Finds the columns of records as a query of a language reads them.
pub(crate) fn columns_of<'r>(
    dialect: QueryDialect,
    format: &RecordFormat,
    records: impl IntoIterator<Item = &'r [u8]>,
) -> Vec<ColumnDefinition> {
    match (format, dialect) {
        (RecordFormat::Csv { delimiter }, QueryDialect::StreamAnalytics) => {
            named_columns(csv::char_of(delimiter), records)
        }
        (_, QueryDialect::StreamAnalytics) => json_columns(records),
        (_, QueryDialect::Kinesis | QueryDialect::Standard) => infer_columns(records),
    }
}

/// The columns of JSON records: those of [`infer_columns`], and each record and array as a value; so is what has values of
/// several types, or had none so far.
fn json_columns<'r>(records: impl IntoIterator<Item = &'r [u8]>) -> Vec<ColumnDefinition> {
    let found = found_in(records, true).into_iter();
    found.map(|(name, column_type)| mapped(name, column_type.unwrap_or(ColumnType::Value))).collect()
}

/// The columns of delimited text that begins with a line of names.
fn named_columns<'r>(delimiter: char, records: impl IntoIterator<Item = &'r [u8]>) -> Vec<ColumnDefinition> {
    let mut columns: Vec<(String, Option<ColumnType>)> = Vec::new();
    for record in records {
        let Ok(mut lines) = csv::lines(record) else { continue };
        let Some(Ok(names)) = lines.next().map(|line| csv::names(line, delimiter)) else { continue };
        for name in &names {
            note(&mut columns, name.clone(), None);
        }
        for values in lines.filter_map(|line| csv::split(line, delimiter).ok()) {
            for (name, text) in names.iter().zip(&values) {
                note(&mut columns, name.clone(), type_of_text(text.trim()));
            }
        }
    }
    let definition =
        |(name, column_type): (String, Option<ColumnType>)| ColumnDefinition::new(name, text_if_mixed(column_type));
    columns.into_iter().map(definition).collect()
}

/// What delimited text without a line of names looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Delimited {
    /// What stands between the values.
    pub delimiter: char,
    /// Columns by their places: `COL_1`, `COL_2`, ….
    pub columns: Vec<ColumnDefinition>,
    /// The values of the lines.
    pub rows: Vec<Vec<String>>,
}

/// What delimited texts have between their values, the likeliest first.
const DELIMITERS: [char; 4] = [',', '\t', '|', ';'];

/// Finds the columns of delimited text: the first delimiter that gives every line the same number of values, at least two.
#[must_use]
pub fn infer_delimited<'r>(records: impl IntoIterator<Item = &'r [u8]>) -> Option<Delimited> {
    let lines: Vec<&str> = records.into_iter().filter_map(|record| csv::lines(record).ok()).flatten().collect();
    DELIMITERS.into_iter().find_map(|delimiter| {
        let rows: Vec<Vec<String>> =
            lines.iter().map(|line| csv::split(line, delimiter)).collect::<Result<_, _>>().ok()?;
        let width = rows.first().map(Vec::len).filter(|width| *width > 1)?;
        rows.iter().all(|row| row.len() == width).then(|| {
            let columns = (0..width).map(|place| placed_column(place, &rows)).collect();
            Delimited { delimiter, columns, rows }
        })
    })
}

fn placed_column(place: usize, rows: &[Vec<String>]) -> ColumnDefinition {
    let types = rows.iter().map(|row| type_of_text(row[place].trim()));
    let column_type = text_if_mixed(types.reduce(both).flatten());
    ColumnDefinition::new(format!("COL_{}", place + 1), column_type)
}

fn type_of_text(text: &str) -> Option<ColumnType> {
    if text.is_empty() {
        return None;
    }
    Some(match csv::value_of(text) {
        column::Value::Boolean(_) => ColumnType::Boolean,
        column::Value::Int(_) => ColumnType::BigInt,
        column::Value::Float(_) => ColumnType::Double,
        _ if text.len() >= TIME_LENGTH_MIN && timestamp::parse(text).is_some() => ColumnType::Timestamp,
        _ => ColumnType::Text,
    })
}

/// The shortest text that is taken for a time: `2026-11-21T04:05:06`.
const TIME_LENGTH_MIN: usize = 19;

/// Finds the columns of JSON records: fields in the order of their first appearance, values of objects by their path
/// (`Location.Lat`), each with the type that fits all samples. Records that are no JSON objects are passed over.
#[must_use]
pub fn infer_columns<'r>(records: impl IntoIterator<Item = &'r [u8]>) -> Vec<ColumnDefinition> {
    let found = found_in(records, false).into_iter();
    found.map(|(name, column_type)| mapped(name, text_if_mixed(column_type))).collect()
}

fn mapped(name: String, column_type: ColumnType) -> ColumnDefinition {
    ColumnDefinition { mapping: Some(format!("$.{name}")), name, column_type, declared: None }
}

/// Where values have no type of their own, those that have nothing in common are texts.
fn text_if_mixed(column_type: Option<ColumnType>) -> ColumnType {
    column_type.filter(|column_type| *column_type != ColumnType::Value).unwrap_or(ColumnType::Text)
}

/// The columns of JSON records in the order of their first appearance; `whole`: records are columns beside what is in them.
fn found_in<'r>(records: impl IntoIterator<Item = &'r [u8]>, whole: bool) -> Vec<(String, Option<ColumnType>)> {
    let mut columns: Vec<(String, Option<ColumnType>)> = Vec::new();
    for record in records {
        for value in serde_json::Deserializer::from_slice(record).into_iter::<Value>().map_while(Result::ok) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| fields(item, "", whole, &mut columns)),
                other => fields(&other, "", whole, &mut columns),
            }
        }
    }
    columns
}

fn fields(value: &Value, prefix: &str, whole: bool, columns: &mut Vec<(String, Option<ColumnType>)>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        if whole || !value.is_object() {
            note(columns, name.clone(), type_of(value));
        }
        if value.is_object() {
            fields(value, &format!("{name}."), whole, columns);
        }
    }
}

/// Notes a type that a column was found with.
fn note(columns: &mut Vec<(String, Option<ColumnType>)>, name: String, found: Option<ColumnType>) {
    match columns.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => *known = both(*known, found),
        None => columns.push((name, found)),
    }
}

fn type_of(value: &Value) -> Option<ColumnType> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(ColumnType::Boolean),
        Value::Number(number) if number.is_i64() => Some(ColumnType::BigInt),
        Value::Number(_) => Some(ColumnType::Double),
        Value::String(text) if text.len() >= TIME_LENGTH_MIN && timestamp::parse(text).is_some() => {
            Some(ColumnType::Timestamp)
        }
        Value::String(_) => Some(ColumnType::Text),
        Value::Array(_) | Value::Object(_) => Some(ColumnType::Value),
    }
}

/// The type that holds what either holds.
fn both(left: Option<ColumnType>, right: Option<ColumnType>) -> Option<ColumnType> {
    match (left, right) {
        (None, other) | (other, None) => other,
        (Some(left), Some(right)) if left == right => Some(left),
        (Some(ColumnType::BigInt | ColumnType::Double), Some(ColumnType::BigInt | ColumnType::Double)) => {
            Some(ColumnType::Double)
        }
        (Some(ColumnType::Text | ColumnType::Timestamp), Some(ColumnType::Text | ColumnType::Timestamp)) => {
            Some(ColumnType::Text)
        }
        (Some(_), Some(_)) => Some(ColumnType::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_fit_all_samples() {
        let records: [&[u8]; 3] = [
            br#"{"symbol":"MSFT","shares":1,"price":2,"at":"2018-07-09T14:30:05Z","where":{"lat":47}}"#,
            br#"{"symbol":"AMZN","shares":null,"price":2.5,"at":"2018-07-09T14:30:06Z"}"#,
            b"no json",
        ];
        let found = infer_columns(records);
        let shown: Vec<(&str, ColumnType)> =
            found.iter().map(|column| (column.name.as_str(), column.column_type)).collect();
        assert_eq!(
            shown,
            [
                ("symbol", ColumnType::Text),
                ("shares", ColumnType::BigInt),
                ("price", ColumnType::Double),
                ("at", ColumnType::Timestamp),
                ("where.lat", ColumnType::BigInt),
            ]
        );
    }

    #[test]
    fn records_are_columns_where_they_are_values() {
        let records: [&[u8]; 2] = [
            br#"{"id":1,"place":{"lat":47,"tags":["a"]},"mixed":1,"none":null,"at":"2018-07-09T14:30:05Z"}"#,
            br#"{"id":2.5,"place":{"lat":48},"mixed":"x","at":"now"}"#,
        ];
        let shown = |columns: Vec<ColumnDefinition>| -> Vec<(String, ColumnType)> {
            columns.into_iter().map(|column| (column.name, column.column_type)).collect()
        };
        let column = |name: &str, column_type| (name.to_owned(), column_type);
        let found = columns_of(QueryDialect::StreamAnalytics, &RecordFormat::Json, records);
        let expected = [
            column("id", ColumnType::Double),
            column("place", ColumnType::Value),
            column("place.lat", ColumnType::BigInt),
            column("place.tags", ColumnType::Value),
            column("mixed", ColumnType::Value),
            column("none", ColumnType::Value),
            column("at", ColumnType::Text),
        ];
        assert_eq!(shown(found), expected);
        let found = shown(columns_of(QueryDialect::Kinesis, &RecordFormat::Json, records));
        let texts = ["place.tags", "mixed", "none", "at"].map(|name| column(name, ColumnType::Text));
        assert_eq!(found[..2], [column("id", ColumnType::Double), column("place.lat", ColumnType::BigInt)]);
        assert_eq!(found[2..], texts);
    }

    #[test]
    fn delimited_text_is_told_by_lines_of_one_width() {
        let found = infer_delimited([&b"A|1|2018-07-09T14:30:05Z\nB,x|2.5|\n"[..], b"\"C|C\"|3|"]).unwrap();
        let types: Vec<(&str, ColumnType)> =
            found.columns.iter().map(|column| (column.name.as_str(), column.column_type)).collect();
        assert_eq!(
            types,
            [("COL_1", ColumnType::Text), ("COL_2", ColumnType::Double), ("COL_3", ColumnType::Timestamp)]
        );
        assert_eq!((found.delimiter, found.rows[2].join("/").as_str()), ('|', "C|C/3/"));
        for none in [&b"words without order"[..], b"a,b\nc\n", b"", b"\xff,1"] {
            assert_eq!(infer_delimited([none]), None);
        }
    }

    #[test]
    fn the_first_line_of_delimited_text_names_the_columns() {
        let records: [&[u8]; 2] = [b"symbol, shares,at\nA,1,2018-07-09T14:30:05Z\n", b"shares,note\n2.5,\n"];
        let format = RecordFormat::Csv { delimiter: ",".into() };
        let found = columns_of(QueryDialect::StreamAnalytics, &format, records);
        let shown: Vec<(&str, ColumnType)> =
            found.iter().map(|column| (column.name.as_str(), column.column_type)).collect();
        assert_eq!(
            shown,
            [
                ("symbol", ColumnType::Text),
                ("shares", ColumnType::Double),
                ("at", ColumnType::Timestamp),
                ("note", ColumnType::Text),
            ]
        );
    }
}
