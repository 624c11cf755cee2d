//! Inputs as requests give and change them.

use millstream_catalog::QueryInput;
use millstream_query::NewQuery;
use serde::Deserialize;

use super::schema::{InputSchema, SchemaUpdate};
use super::source::{ProcessingConfiguration, ProcessingUpdate, Source, SourceUpdate};
use super::{invalid, missing_part, part_of};
use crate::json_protocol::{Constraints, ServiceError};

/// The largest number of in-application streams of an input, in the service.
const PARALLELISM_MAX: i64 = 64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Input {
    name_prefix: Option<String>,
    kinesis_streams_input: Option<Source>,
    kinesis_firehose_input: Option<Source>,
    input_schema: Option<InputSchema>,
    input_processing_configuration: Option<ProcessingConfiguration>,
    input_parallelism: Option<Parallelism>,
}

/// One of `InputUpdates`: what is not given stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InputUpdate {
    input_id: Option<String>,
    name_prefix_update: Option<String>,
    kinesis_streams_input_update: Option<SourceUpdate>,
    kinesis_firehose_input_update: Option<SourceUpdate>,
    input_schema_update: Option<SchemaUpdate>,
    input_processing_configuration_update: Option<ProcessingUpdate>,
    input_parallelism_update: Option<Parallelism>,
}

#[derive(Debug, Deserialize)]
struct Parallelism {
    #[serde(rename = "Count", alias = "CountUpdate")]
    count: Option<i64>,
}

impl Input {
    /// The input with the name by which the SQL knows it; `role` where the request names none.
    pub(super) fn definition(self, role: &str) -> Result<QueryInput, ServiceError> {
        check_parallelism(self.input_parallelism)?;
        let name = in_application_name(self.name_prefix)?;
        let (stream, source) = match (self.kinesis_streams_input, self.kinesis_firehose_input) {
            (Some(source), None) => (source.stream()?, source),
            (None, Some(source)) => (source.delivery()?, source),
            _ => return Err(invalid("exactly one of KinesisStreamsInput and KinesisFirehoseInput must be given")),
        };
        let schema = self.input_schema.ok_or_else(|| invalid("InputSchema must be given"))?;
        let (format, columns) = schema.definition()?;
        let processor = self.input_processing_configuration.map(|given| given.definition(role)).transpose()?;
        let role = source.role(role);
        Ok(QueryInput { name, stream, format, columns, role, consumer_group: String::new(), processor })
    }
}

impl InputUpdate {
    /// Changes the input that it names.
    pub(super) fn apply(self, query: &mut NewQuery) -> Result<(), ServiceError> {
        let id = self.input_id;
        Constraints::new().required("inputUpdates.inputId", id.as_ref()).finish()?;
        check_parallelism(self.input_parallelism_update)?;
        let input = part_of(id.as_deref(), &mut query.inputs).ok_or_else(|| missing_part("input", id.as_deref()))?;
        if self.name_prefix_update.is_some() {
            input.name = in_application_name(self.name_prefix_update)?;
        }
        let is_delivery = |stream: &String| stream.starts_with("delivery/");
        let is_stream = |stream: &String| !stream.starts_with("delivery/");
        if let Some(update) = self.kinesis_streams_input_update {
            update.apply(&mut input.stream, &mut input.role, is_stream, Source::stream)?;
        }
        if let Some(update) = self.kinesis_firehose_input_update {
            update.apply(&mut input.stream, &mut input.role, is_delivery, Source::delivery)?;
        }
        if let Some(update) = self.input_schema_update {
            update.apply(&mut input.format, &mut input.columns)?;
        }
        match self.input_processing_configuration_update {
            Some(update) => update.apply(&mut input.processor),
            None => Ok(()),
        }
    }
}

/// The name of the one in-application stream of an input.
fn in_application_name(prefix: Option<String>) -> Result<String, ServiceError> {
    let prefix = prefix.filter(|prefix| !prefix.is_empty());
    prefix.map(|prefix| format!("{prefix}_001")).ok_or_else(|| invalid("NamePrefix must be given"))
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
