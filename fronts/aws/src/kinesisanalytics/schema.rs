//! How records become rows, as requests give it: of inputs and of reference data.

use millstream_catalog::pipeline::column_type;
use millstream_catalog::{ColumnDefinition, QueryInput, RecordFormat};
use serde::Deserialize;
use serde_json::{Value, json};

use super::invalid;
use crate::json_protocol::ServiceError;

/// How a source's records become rows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InputSchema {
    record_format: Option<Format>,
    record_encoding: Option<String>,
    record_columns: Option<Vec<Column>>,
}

/// Changes of a schema: what is not given stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SchemaUpdate {
    record_format_update: Option<Format>,
    record_encoding_update: Option<String>,
    record_column_updates: Option<Vec<Column>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Format {
    record_format_type: Option<String>,
    mapping_parameters: Option<Mapping>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    #[serde(rename = "JSONMappingParameters")]
    json: Option<JsonMapping>,
    #[serde(rename = "CSVMappingParameters")]
    csv: Option<CsvMapping>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonMapping {
    record_row_path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CsvMapping {
    record_row_delimiter: Option<String>,
    record_column_delimiter: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Column {
    name: Option<String>,
    sql_type: Option<String>,
    mapping: Option<String>,
}

/// How records become rows.
pub(super) struct Schema {
    pub(super) format: RecordFormat,
    pub(super) columns: Vec<ColumnDefinition>,
    /// Where rows are in a record, as the request says it; empty: the record is one.
    pub(super) row_path: String,
}

impl InputSchema {
    /// How records become rows, and their columns.
    pub(super) fn definition(self) -> Result<Schema, ServiceError> {
        check_encoding(self.record_encoding.as_deref())?;
        let (format, row_path) = format(self.record_format)?;
        let columns = columns(self.record_columns.unwrap_or_default())?;
        check_declared(&row_path, &columns)?;
        Ok(Schema { format, columns, row_path })
    }

    /// The same of a table, each of whose records is a row.
    pub(super) fn of_table(self) -> Result<(RecordFormat, Vec<ColumnDefinition>), ServiceError> {
        let Schema { format, columns, row_path } = self.definition()?;
        if !row_path.is_empty() {
            let message =
                format!("RecordRowPath {row_path} of reference data is not supported by this node; expected $");
            return Err(invalid(message));
        }
        Ok((format, columns))
    }
}

impl SchemaUpdate {
    /// Changes how records become rows.
    pub(super) fn apply(self, input: &mut QueryInput) -> Result<(), ServiceError> {
        check_encoding(self.record_encoding_update.as_deref())?;
        if self.record_format_update.is_some() {
            (input.format, input.row_path) = format(self.record_format_update)?;
        }
        if let Some(given) = self.record_column_updates {
            input.columns = columns(given)?;
        }
        check_declared(&input.row_path, &input.columns)
    }
}

fn check_encoding(encoding: Option<&str>) -> Result<(), ServiceError> {
    match encoding.filter(|encoding| *encoding != "UTF-8") {
        Some(other) => Err(invalid(format!("RecordEncoding {other} is not supported by this node; expected UTF-8"))),
        None => Ok(()),
    }
}

/// Columns are found out from records that are rows.
fn check_declared(row_path: &str, columns: &[ColumnDefinition]) -> Result<(), ServiceError> {
    match row_path.is_empty() || !columns.is_empty() {
        true => Ok(()),
        false => Err(invalid(format!("RecordColumns must be given with RecordRowPath {row_path}"))),
    }
}

/// A record's format, and where rows are in it.
fn format(format: Option<Format>) -> Result<(RecordFormat, String), ServiceError> {
    let Some(format) = format else { return Ok((RecordFormat::Json, String::new())) };
    let mapping = format.mapping_parameters;
    match format.record_format_type.as_deref() {
        None | Some("JSON") => {
            let path = mapping.and_then(|mapping| mapping.json).and_then(|json| json.record_row_path);
            Ok((RecordFormat::Json, row_path(path)?))
        }
        Some("CSV") => Ok((delimited(mapping.and_then(|mapping| mapping.csv))?, String::new())),
        Some(other) => Err(invalid(format!("RecordFormatType must be JSON or CSV, found {other}"))),
    }
}

/// `$`, or names that lead to a record or an array of them: `$.data.records`, `$.data.records[0:]`.
fn row_path(path: Option<String>) -> Result<String, ServiceError> {
    let Some(path) = path.filter(|path| path != "$") else { return Ok(String::new()) };
    let names = path.strip_prefix("$.").unwrap_or_default();
    let names = names.strip_suffix("[0:]").or(names.strip_suffix("[*]")).unwrap_or(names);
    if names.split('.').any(|name| name.is_empty() || name.contains(['[', ']', '$', '*'])) {
        let expected = "expected $ or the names that lead to an array, such as $.data.records[0:]";
        return Err(invalid(format!("RecordRowPath {path} is not supported by this node; {expected}")));
    }
    Ok(path)
}

fn delimited(mapping: Option<CsvMapping>) -> Result<RecordFormat, ServiceError> {
    let Some(CsvMapping { record_row_delimiter: row, record_column_delimiter: column }) = mapping else {
        return Ok(RecordFormat::Csv { delimiter: ",".to_owned() });
    };
    let unsupported = |member: &str, found: &str, expected: &str| {
        invalid(format!("{member} {found:?} is not supported by this node; expected {expected}"))
    };
    if let Some(row) = row.as_deref().filter(|row| *row != "\n") {
        return Err(unsupported("RecordRowDelimiter", row, "\"\\n\""));
    }
    let delimiter = column.unwrap_or_else(|| ",".to_owned());
    let mut chars = delimiter.chars();
    match (chars.next(), chars.next()) {
        (Some(char), None) if !matches!(char, '"' | '\n' | '\r') => Ok(RecordFormat::Csv { delimiter }),
        _ => Err(unsupported("RecordColumnDelimiter", &delimiter, "one character that is no quote and no line's end")),
    }
}

fn columns(columns: Vec<Column>) -> Result<Vec<ColumnDefinition>, ServiceError> {
    columns.into_iter().map(column).collect()
}

fn column(column: Column) -> Result<ColumnDefinition, ServiceError> {
    let name = column.name.ok_or_else(|| invalid("every record column needs a Name"))?;
    let declared = column.sql_type.ok_or_else(|| invalid(format!("column {name} needs a SqlType")))?;
    let column_type =
        column_type(&declared).ok_or_else(|| invalid(format!("column {name} has the unknown type {declared}")))?;
    if let Some(mapping) = column.mapping.as_deref().filter(|mapping| mapping.contains("[*]")) {
        return Err(invalid(format!(
            "the mapping {mapping} of column {name} is not supported; arrays are read by [0:]"
        )));
    }
    Ok(ColumnDefinition { name, column_type, mapping: column.mapping, declared: Some(declared) })
}

/// How records become rows, as a schema of the service.
pub(super) fn described(format: &RecordFormat, columns: &[ColumnDefinition], row_path: &str) -> Value {
    let columns: Vec<Value> = columns
        .iter()
        .map(|column| json!({ "Name": column.name, "SqlType": column.declared, "Mapping": column.mapping }))
        .collect();
    let format = match format {
        RecordFormat::Json => {
            let path = if row_path.is_empty() { "$" } else { row_path };
            json!({ "RecordFormatType": "JSON", "MappingParameters": { "JSONMappingParameters": { "RecordRowPath": path } } })
        }
        RecordFormat::Csv { delimiter } => json!({
            "RecordFormatType": "CSV",
            "MappingParameters": { "CSVMappingParameters": { "RecordRowDelimiter": "\n", "RecordColumnDelimiter": delimiter } },
        }),
    };
    json!({ "RecordFormat": format, "RecordEncoding": "UTF-8", "RecordColumns": columns })
}
