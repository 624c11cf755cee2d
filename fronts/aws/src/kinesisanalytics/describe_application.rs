//! `DescribeApplication`

use millstream_catalog::{
    ColumnDefinition, OutputTarget, QueryDefinition, QueryInput, QueryOutput, RecordFormat, StartAt,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{KinesisAnalytics, check_name, logging, reference};
use crate::json_protocol::{JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NameInput {
    pub(super) application_name: Option<String>,
}

pub(super) fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: NameInput = request.input()?;
    check_name(input.application_name.as_deref())?;
    let query = front.application(&input.application_name.unwrap_or_default())?;
    Ok(json!({ "ApplicationDetail": detail(front, &query) }))
}

fn detail(front: &KinesisAnalytics, query: &QueryDefinition) -> Value {
    let inputs: Vec<Value> = query
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| self::input(front, index, input, query.start_at))
        .collect();
    let outputs: Vec<Value> =
        query.outputs.iter().enumerate().map(|(index, output)| self::output(front, index, output)).collect();
    let error_log = query.resource.as_ref().and_then(|resource| resource.error_log.as_ref());
    json!({
        "ApplicationName": query.name,
        "ApplicationDescription": query.description,
        "ApplicationARN": front.arn(&query.name),
        "ApplicationStatus": front.status(&query.name),
        "CreateTimestamp": query.created as f64 / 1_000.0,
        "LastUpdateTimestamp": query.modified as f64 / 1_000.0,
        "InputDescriptions": inputs,
        "OutputDescriptions": outputs,
        "ReferenceDataSourceDescriptions": reference::described(&query.references),
        "CloudWatchLoggingOptionDescriptions": logging::described(front, error_log),
        "ApplicationCode": query.sql,
        "ApplicationVersionId": query.version,
    })
}

/// The id of an application's input by its place.
pub(super) fn input_id(index: usize) -> String {
    format!("{}.1", index + 1)
}

fn starting_position(start_at: StartAt) -> &'static str {
    match start_at {
        StartAt::Latest => "NOW",
        StartAt::TrimHorizon => "TRIM_HORIZON",
        StartAt::LastStopped | StartAt::Time(_) => "LAST_STOPPED_POINT",
    }
}

/// What a resource is named by; the role is left out when none was given.
fn resource(arn: &str, role: &str) -> Value {
    let mut shown = json!({ "ResourceARN": arn });
    if !role.is_empty() {
        shown["RoleARN"] = json!(role);
    }
    shown
}

fn input(front: &KinesisAnalytics, index: usize, input: &QueryInput, start_at: StartAt) -> Value {
    let (member, arn) = match input.stream.strip_prefix("delivery/") {
        Some(name) => {
            ("KinesisFirehoseInputDescription", front.place.arn("firehose", &format!("deliverystream/{name}")))
        }
        None => ("KinesisStreamsInputDescription", front.place.arn("kinesis", &format!("stream/{}", input.stream))),
    };
    let mut shown = json!({
        "InputStartingPositionConfiguration": { "InputStartingPosition": starting_position(start_at) },
        "InputId": input_id(index),
        "NamePrefix": input.name.strip_suffix("_001").unwrap_or(&input.name),
        "InAppStreamNames": [input.name],
        "InputSchema": schema(&input.format, &input.columns),
        "InputParallelism": { "Count": 1 },
    });
    shown[member] = resource(&arn, &input.role);
    shown
}

/// How records become rows, as a schema of the service.
pub(super) fn schema(format: &RecordFormat, columns: &[ColumnDefinition]) -> Value {
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

fn output(front: &KinesisAnalytics, index: usize, output: &QueryOutput) -> Value {
    let format = if output.format == RecordFormat::Json { "JSON" } else { "CSV" };
    let mut shown = json!({
        "OutputId": format!("{}.1", index + 1),
        "Name": output.name,
        "DestinationSchema": { "RecordFormatType": format },
    });
    let (member, arn) = match &output.target {
        OutputTarget::Function { name } => {
            ("LambdaOutputDescription", front.place.arn("lambda", &format!("function:{name}")))
        }
        OutputTarget::Stream { name } => match name.strip_prefix("delivery/") {
            Some(name) => {
                ("KinesisFirehoseOutputDescription", front.place.arn("firehose", &format!("deliverystream/{name}")))
            }
            None => ("KinesisStreamsOutputDescription", front.place.arn("kinesis", &format!("stream/{name}"))),
        },
        OutputTarget::Keep | OutputTarget::Objects(_) | OutputTarget::Documents(_) => return shown,
    };
    shown[member] = resource(&arn, &output.role);
    shown
}
