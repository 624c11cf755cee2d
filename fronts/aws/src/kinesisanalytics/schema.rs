//! How records become rows, as requests give it: of inputs and of reference data.

use millstream_catalog::pipeline::column_type;
use millstream_catalog::{ColumnDefinition, RecordFormat};
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

impl InputSchema {
    /// How records become rows, and their columns.
    pub(super) fn definition(self) -> Result<(RecordFormat, Vec<ColumnDefinition>), ServiceError> {
        check_encoding(self.record_encoding.as_deref())?;
        Ok((format(self.record_format)?, columns(self.record_columns.unwrap_or_default())?))
    }
}

impl SchemaUpdate {
    /// Changes how records become rows.
    pub(super) fn apply(
        self,
        format: &mut RecordFormat,
        columns: &mut Vec<ColumnDefinition>,
    ) -> Result<(), ServiceError> {
        check_encoding(self.record_encoding_update.as_deref())?;
        if self.record_format_update.is_some() {
            *format = self::format(self.record_format_update)?;
        }
        if let Some(given) = self.record_column_updates {
            *columns = self::columns(given)?;
        }
        Ok(())
    }
}

fn check_encoding(encoding: Option<&str>) -> Result<(), ServiceError> {
    match encoding.filter(|encoding| *encoding != "UTF-8") {
        Some(other) => Err(invalid(format!("RecordEncoding {other} is not supported by this node; expected UTF-8"))),
        None => Ok(()),
    }
}

fn format(format: Option<Format>) -> Result<RecordFormat, ServiceError> {
    let Some(format) = format else { return Ok(RecordFormat::Json) };
    let mapping = format.mapping_parameters;
    match format.record_format_type.as_deref() {
        None | Some("JSON") => {
            let path = mapping.and_then(|mapping| mapping.json).and_then(|json| json.record_row_path);
            match path.as_deref() {
                None | Some("$") => Ok(RecordFormat::Json),
                Some(path) => Err(invalid(format!("RecordRowPath {path} is not supported by this node; expected $"))),
            }
        }
        Some("CSV") => delimited(mapping.and_then(|mapping| mapping.csv)),
        Some(other) => Err(invalid(format!("RecordFormatType must be JSON or CSV, found {other}"))),
    }
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
    Ok(ColumnDefinition { name, column_type, mapping: column.mapping, declared: Some(declared) })
}

/// How records become rows, as a schema of the service.
pub(super) fn described(format: &RecordFormat, columns: &[ColumnDefinition]) -> Value {
    let columns: Vec<Value> = columns
        .iter()
        .map(|column| json!({ "Name": column.name, "SqlType": column.declared, "Mapping": column.mapping }))
        .collect();
    let format = match format {
        RecordFormat::Json => {
            json!({ "RecordFormatType": "JSON", "MappingParameters": { "JSONMappingParameters": { "RecordRowPath": "$" } } })
        }
        RecordFormat::Csv { delimiter } => json!({
            "RecordFormatType": "CSV",
            "MappingParameters": { "CSVMappingParameters": { "RecordRowDelimiter": "\n", "RecordColumnDelimiter": delimiter } },
        }),
    };
    json!({ "RecordFormat": format, "RecordEncoding": "UTF-8", "RecordColumns": columns })
}
