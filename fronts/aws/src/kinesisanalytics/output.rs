//! Outputs as requests give and change them.

use millstream_catalog::{OutputHanding, OutputTarget, QueryOutput, RecordFormat};
use millstream_query::NewQuery;
use serde::Deserialize;

use super::source::{Source, SourceUpdate};
use super::{invalid, missing_part, part_of};
use crate::json_protocol::{Constraints, ServiceError};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Output {
    name: Option<String>,
    lambda_output: Option<Source>,
    kinesis_streams_output: Option<Source>,
    kinesis_firehose_output: Option<Source>,
    destination_schema: Option<DestinationSchema>,
}

/// One of `OutputUpdates`: what is not given stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OutputUpdate {
    output_id: Option<String>,
    name_update: Option<String>,
    lambda_output_update: Option<SourceUpdate>,
    kinesis_streams_output_update: Option<SourceUpdate>,
    kinesis_firehose_output_update: Option<SourceUpdate>,
    destination_schema_update: Option<DestinationSchema>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationSchema {
    record_format_type: Option<String>,
}

impl Output {
    /// The output; `role` where the request names none.
    pub(super) fn definition(self, role: &str) -> Result<QueryOutput, ServiceError> {
        let name = self.name.filter(|name| !name.is_empty()).ok_or_else(|| invalid("every output needs a Name"))?;
        let (target, source) = match (self.lambda_output, self.kinesis_streams_output, self.kinesis_firehose_output) {
            (Some(source), None, None) => (function(&source)?, source),
            (None, Some(source), None) => (stream(&source)?, source),
            (None, None, Some(source)) => (delivery(&source)?, source),
            _ => return Err(invalid(format!("output {name} needs exactly one destination"))),
        };
        let format = format(self.destination_schema)?;
        let (role, handing) = (source.role(role), OutputHanding::default());
        Ok(QueryOutput { name, target, format, role, handing })
    }
}

impl OutputUpdate {
    /// Changes the output that it names.
    pub(super) fn apply(self, query: &mut NewQuery) -> Result<(), ServiceError> {
        let id = self.output_id;
        Constraints::new().required("outputUpdates.outputId", id.as_ref()).finish()?;
        let output = part_of(id.as_deref(), &mut query.outputs).ok_or_else(|| missing_part("output", id.as_deref()))?;
        if let Some(name) = self.name_update {
            output.name = name;
        }
        let QueryOutput { target, role, .. } = output;
        if let Some(update) = self.lambda_output_update {
            update.apply(target, role, |target| matches!(target, OutputTarget::Function { .. }), function)?;
        }
        if let Some(update) = self.kinesis_streams_output_update {
            update.apply(target, role, |target| delivery_of(target) == Some(false), stream)?;
        }
        if let Some(update) = self.kinesis_firehose_output_update {
            update.apply(target, role, |target| delivery_of(target) == Some(true), delivery)?;
        }
        if self.destination_schema_update.is_some() {
            output.format = format(self.destination_schema_update)?;
        }
        Ok(())
    }
}

/// Whether a stream's target is a delivery stream's own; `None`: it is no stream.
fn delivery_of(target: &OutputTarget) -> Option<bool> {
    match target {
        OutputTarget::Stream { name } => Some(name.starts_with("delivery/")),
        _ => None,
    }
}

fn function(source: &Source) -> Result<OutputTarget, ServiceError> {
    Ok(OutputTarget::Function { name: source.function()? })
}

fn stream(source: &Source) -> Result<OutputTarget, ServiceError> {
    Ok(OutputTarget::Stream { name: source.stream()? })
}

fn delivery(source: &Source) -> Result<OutputTarget, ServiceError> {
    Ok(OutputTarget::Stream { name: source.delivery()? })
}

fn format(schema: Option<DestinationSchema>) -> Result<RecordFormat, ServiceError> {
    match schema.and_then(|schema| schema.record_format_type).as_deref() {
        None | Some("JSON") => Ok(RecordFormat::Json),
        Some("CSV") => Ok(RecordFormat::Csv { delimiter: ",".to_owned() }),
        Some(other) => Err(invalid(format!("RecordFormatType must be JSON or CSV, found {other}"))),
    }
}
