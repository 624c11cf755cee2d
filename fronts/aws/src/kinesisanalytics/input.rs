//! Inputs as requests give them.

use millstream_catalog::pipeline::column_type;
use millstream_catalog::{ColumnDefinition, QueryInput, RecordFormat};
use serde::Deserialize;
use serde_json::Value;

use super::invalid;
use crate::json_protocol::{Constraints, ServiceError};
use crate::place::resource;

/// The largest number of in-application streams of an input, in the service.
const PARALLELISM_MAX: i64 = 64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    name_prefix: Option<String>,
    kinesis_streams_input: Option<Source>,
    kinesis_firehose_input: Option<Source>,
    input_schema: Option<InputSchema>,
    input_processing_configuration: Option<Value>,
    input_parallelism: Option<Parallelism>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parallelism {
    count: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Source {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    pub(super) role_arn: Option<String>,
}

/// How a source's records become rows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InputSchema {
    record_format: Option<Format>,
    record_encoding: Option<String>,
    record_columns: Option<Vec<Column>>,
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

impl Input {
    /// The input with the name by which the SQL knows it.
    pub(super) fn definition(self) -> Result<QueryInput, ServiceError> {
        if self.input_processing_configuration.is_some() {
            return Err(invalid("InputProcessingConfiguration is not supported by this node"));
        }
        check_parallelism(self.input_parallelism)?;
        let prefix = self.name_prefix.filter(|prefix| !prefix.is_empty());
        let prefix = prefix.ok_or_else(|| invalid("NamePrefix must be given"))?;
        let (stream, role) = match (self.kinesis_streams_input, self.kinesis_firehose_input) {
            (Some(source), None) => (stream_of(&source, "kinesis", "stream/")?, source.role_arn),
            (None, Some(source)) => {
                (format!("delivery/{}", stream_of(&source, "firehose", "deliverystream/")?), source.role_arn)
            }
            _ => return Err(invalid("exactly one of KinesisStreamsInput and KinesisFirehoseInput must be given")),
        };
        let schema = self.input_schema.ok_or_else(|| invalid("InputSchema must be given"))?;
        let (format, columns) = schema.definition()?;
        Ok(QueryInput {
            name: format!("{prefix}_001"),
            stream,
            format,
            columns,
            role: role.unwrap_or_default(),
            consumer_group: String::new(),
        })
    }
}

impl InputSchema {
    /// How records become rows, and their columns.
    pub(super) fn definition(self) -> Result<(RecordFormat, Vec<ColumnDefinition>), ServiceError> {
        if let Some(other) = self.record_encoding.as_deref().filter(|encoding| *encoding != "UTF-8") {
            return Err(invalid(format!("RecordEncoding {other} is not supported by this node; expected UTF-8")));
        }
        let columns = self.record_columns.unwrap_or_default();
        Ok((format(self.record_format)?, columns.into_iter().map(column).collect::<Result<_, _>>()?))
    }
}

/// An input's rows are one in-application stream here, so what names several of them must not find the others missing.
fn check_parallelism(parallelism: Option<Parallelism>) -> Result<(), ServiceError> {
    let count = parallelism.and_then(|parallelism| parallelism.count);
    Constraints::new().range("inputParallelism.count", count, 1, PARALLELISM_MAX).finish()?;
    if count.is_some_and(|count| count > 1) {
        return Err(invalid(
            "InputParallelism.Count over 1 is not supported by this node: the rows of all shards are in the stream _001",
        ));
    }
    Ok(())
}

/// The stream of a source's ARN.
pub(super) fn stream_of(source: &Source, service: &str, kind: &str) -> Result<String, ServiceError> {
    let arn = source.resource_arn.as_deref().unwrap_or_default();
    resource(arn, service, kind)
        .map(str::to_owned)
        .ok_or_else(|| invalid(format!("{arn} is not the ARN of a {service} {kind}…")))
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

fn column(column: Column) -> Result<ColumnDefinition, ServiceError> {
    let name = column.name.ok_or_else(|| invalid("every record column needs a Name"))?;
    let declared = column.sql_type.ok_or_else(|| invalid(format!("column {name} needs a SqlType")))?;
    let column_type =
        column_type(&declared).ok_or_else(|| invalid(format!("column {name} has the unknown type {declared}")))?;
    Ok(ColumnDefinition { name, column_type, mapping: column.mapping, declared: Some(declared) })
}
