//! `DiscoverInputSchema`: columns from records of a stream, those that it holds or those that come.

use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{ColumnDefinition, ColumnType};
use millstream_query::{infer_columns, infer_delimited};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{KinesisAnalytics, invalid, role};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::resource;

/// Records that are looked at.
const SAMPLES_MAX: usize = 100;
/// Bytes read for them.
const SAMPLE_BYTES: usize = 512 << 10;
/// How long is waited for the first record that comes from now on.
const WAIT: Duration = Duration::from_secs(10);
/// How often is looked for it.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    #[serde(rename = "InputStartingPositionConfiguration")]
    starting_position: Option<StartingPosition>,
    #[serde(rename = "S3Configuration")]
    s3: Option<Value>,
    #[serde(rename = "InputProcessingConfiguration")]
    processing: Option<Value>,
}

#[derive(Deserialize)]
struct StartingPosition {
    #[serde(rename = "InputStartingPosition")]
    position: Option<String>,
}

pub(super) async fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    for (member, given) in [("S3Configuration", input.s3), ("InputProcessingConfiguration", input.processing)] {
        if given.is_some() {
            return Err(invalid(format!("{member} is not supported by this node")));
        }
    }
    let position = input.starting_position.and_then(|start| start.position);
    Constraints::new().one_of("inputStartingPosition", position.as_deref(), &["NOW", "TRIM_HORIZON"]).finish()?;
    let arn = input.resource_arn.unwrap_or_default();
    let stream = resource(&arn, "kinesis", "stream/").map(str::to_owned);
    let stream =
        stream.or_else(|| resource(&arn, "firehose", "deliverystream/").map(|name| format!("delivery/{name}")));
    let stream = stream.ok_or_else(|| invalid(format!("{arn} is not the ARN of a stream")))?;
    // It is for no application yet.
    role::check_input(front, &input.role_arn.unwrap_or_default(), "*", &stream)?;
    let samples = samples(front, &stream, position.as_deref() == Some("NOW")).await?;
    let Some((schema, parsed)) = of_json(&samples).or_else(|| of_delimited(&samples)) else {
        let message = format!(
            "neither JSON objects nor delimited text was found among {} records of {stream}; send some and try again",
            samples.len()
        );
        return Err(ServiceError::new("UnableToDetectSchemaException", message));
    };
    let raw: Vec<String> = samples.iter().map(|sample| String::from_utf8_lossy(sample).into_owned()).collect();
    Ok(json!({
        "InputSchema": schema,
        "ParsedInputRecords": parsed,
        "ProcessedInputRecords": raw,
        "RawInputRecords": raw,
    }))
}

/// Records from where the caller wants to begin: the oldest, or the first that come.
async fn samples(front: &KinesisAnalytics, stream: &str, from_now: bool) -> Result<Vec<Bytes>, ServiceError> {
    let refused = |error: millstream_stream::StreamError| invalid(error.to_string());
    let stream = front.streams.get(stream).map_err(refused)?;
    let bounds = stream.shards.iter().map(|shard| (shard.log(), front.streams.bounds(shard.log())));
    let begin: Vec<_> = bounds.map(|(log, bounds)| (log, if from_now { bounds.next } else { bounds.first })).collect();
    let deadline = Instant::now() + WAIT;
    let nothing = || begin.iter().all(|(log, from)| front.streams.bounds(*log).next <= *from);
    while from_now && nothing() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    let mut samples = Vec::new();
    for (log, from) in begin {
        let read = front.streams.read(log, from, SAMPLE_BYTES).await.map_err(refused)?;
        let records = read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= from);
        samples.extend(records.map(|record| record.data).take(SAMPLES_MAX - samples.len()));
    }
    Ok(samples)
}

/// The schema of JSON records and their values; `None` when none is an object.
fn of_json(samples: &[Bytes]) -> Option<(Value, Vec<Vec<String>>)> {
    let columns = infer_columns(samples.iter().map(Bytes::as_ref));
    if columns.is_empty() {
        return None;
    }
    let parsed = samples.iter().filter_map(|sample| parsed(sample, &columns)).collect();
    let mapping = json!({ "JSONMappingParameters": { "RecordRowPath": "$" } });
    Some((schema("JSON", mapping, &columns), parsed))
}

/// The schema of delimited records and their values; `None` when lines have nothing in common.
fn of_delimited(samples: &[Bytes]) -> Option<(Value, Vec<Vec<String>>)> {
    let found = infer_delimited(samples.iter().map(Bytes::as_ref))?;
    let mapping =
        json!({ "CSVMappingParameters": { "RecordRowDelimiter": "\n", "RecordColumnDelimiter": found.delimiter } });
    Some((schema("CSV", mapping, &found.columns), found.rows))
}

fn schema(format: &str, mapping: Value, columns: &[ColumnDefinition]) -> Value {
    let column = |column: &ColumnDefinition| {
        let mut shown = json!({ "Name": column.name.replace('.', "_"), "SqlType": sql_type(column.column_type) });
        if let Some(mapping) = &column.mapping {
            shown["Mapping"] = json!(mapping);
        }
        shown
    };
    json!({
        "RecordFormat": { "RecordFormatType": format, "MappingParameters": mapping },
        "RecordEncoding": "UTF-8",
        "RecordColumns": columns.iter().map(column).collect::<Vec<Value>>(),
    })
}

/// A record's values in the order of the columns, as texts.
fn parsed(sample: &[u8], columns: &[ColumnDefinition]) -> Option<Vec<String>> {
    let record: Value = serde_json::from_slice(sample).ok()?;
    let value = |column: &ColumnDefinition| {
        let found = column.name.split('.').try_fold(&record, |value, part| value.get(part));
        found.map_or(String::new(), |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    Some(columns.iter().map(value).collect())
}

fn sql_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Text | ColumnType::Value => "VARCHAR(256)",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Timestamp => "TIMESTAMP",
    }
}
