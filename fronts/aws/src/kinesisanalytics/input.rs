//! Inputs as requests give and change them.

use millstream_catalog::QueryInput;
use millstream_query::NewQuery;
use serde::Deserialize;

use super::schema::{InputSchema, Schema, SchemaUpdate};
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
        let names = in_application_names(self.name_prefix, streams(self.input_parallelism)?.unwrap_or(1))?;
        let (stream, source) = match (self.kinesis_streams_input, self.kinesis_firehose_input) {
            (Some(source), None) => (source.stream()?, source),
            (None, Some(source)) => (source.delivery()?, source),
            _ => return Err(invalid("exactly one of KinesisStreamsInput and KinesisFirehoseInput must be given")),
        };
        let schema = self.input_schema.ok_or_else(|| invalid("InputSchema must be given"))?;
        let Schema { format, columns, row_path } = schema.definition()?;
        let processor = self.input_processing_configuration.map(|given| given.definition(role)).transpose()?;
        let role = source.role(role);
        let consumer_group = String::new();
        let mut input = QueryInput {
            name: String::new(),
            stream,
            format,
            columns,
            role,
            consumer_group,
            processor,
            row_path,
            divided: Vec::new(),
        };
        name(&mut input, names);
        Ok(input)
    }
}

/// The prefix of an input's in-application streams, and how many there are.
pub(super) fn prefix_and_count(input: &QueryInput) -> (&str, usize) {
    (input.name.strip_suffix("_001").unwrap_or(&input.name), input.divided.len().max(1))
}

/// Gives an input the names of its in-application streams.
fn name(input: &mut QueryInput, names: Vec<String>) {
    input.name = names.first().cloned().unwrap_or_default();
    input.divided = if names.len() > 1 { names } else { Vec::new() };
}

impl InputUpdate {
    /// Changes the input that it names.
    pub(super) fn apply(self, query: &mut NewQuery) -> Result<(), ServiceError> {
        let id = self.input_id;
        Constraints::new().required("inputUpdates.inputId", id.as_ref()).finish()?;
        let count = streams(self.input_parallelism_update)?;
        let input = part_of(id.as_deref(), &mut query.inputs).ok_or_else(|| missing_part("input", id.as_deref()))?;
        let (prefix, now) = prefix_and_count(input);
        if self.name_prefix_update.is_some() || count.is_some_and(|count| count != now) {
            let prefix = self.name_prefix_update.unwrap_or_else(|| prefix.to_owned());
            name(input, in_application_names(Some(prefix), count.unwrap_or(now))?);
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
            update.apply(input)?;
        }
        match self.input_processing_configuration_update {
            Some(update) => update.apply(&mut input.processor),
            None => Ok(()),
        }
    }
}

/// The names of an input's in-application streams, between which the shards of its source are divided.
fn in_application_names(prefix: Option<String>, count: usize) -> Result<Vec<String>, ServiceError> {
    let prefix = prefix.filter(|prefix| !prefix.is_empty()).ok_or_else(|| invalid("NamePrefix must be given"))?;
    Ok((1..=count).map(|number| format!("{prefix}_{number:03}")).collect())
}

/// How many in-application streams are asked for, if that is said.
fn streams(parallelism: Option<Parallelism>) -> Result<Option<usize>, ServiceError> {
    let count = parallelism.and_then(|parallelism| parallelism.count);
    Constraints::new().range("inputParallelism.count", count, 1, PARALLELISM_MAX).finish()?;
    Ok(count.and_then(|count| usize::try_from(count).ok()))
}
