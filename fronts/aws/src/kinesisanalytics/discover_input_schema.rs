//! `DiscoverInputSchema`: columns from records of a stream, those that it holds or those that come, or from an object.

use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{ColumnDefinition, ColumnType, InputProcessor};
use millstream_query::{Processed, ProcessingBatch, infer_columns, infer_delimited};
use millstream_types::{LogId, Record};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::reference::Object;
use super::source::ProcessingConfiguration;
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
    /// The API of 2018 has one role for the stream, the function and the object.
    #[serde(rename = "RoleARN", alias = "ServiceExecutionRole")]
    role_arn: Option<String>,
    #[serde(rename = "InputStartingPositionConfiguration")]
    starting_position: Option<StartingPosition>,
    #[serde(rename = "S3Configuration")]
    object: Option<Object>,
    #[serde(rename = "InputProcessingConfiguration")]
    processing: Option<ProcessingConfiguration>,
}

#[derive(Deserialize)]
struct StartingPosition {
    #[serde(rename = "InputStartingPosition")]
    position: Option<String>,
}

/// Samples as they lie there, and as the function that they go through makes them.
struct Samples {
    raw: Vec<Bytes>,
    processed: Vec<Bytes>,
}

pub(super) async fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let position = input.starting_position.and_then(|start| start.position);
    Constraints::new().one_of("inputStartingPosition", position.as_deref(), &["NOW", "TRIM_HORIZON"]).finish()?;
    let role = input.role_arn.unwrap_or_default();
    let arn = input.resource_arn.unwrap_or_default();
    let Samples { raw, processed } = match input.object {
        Some(_) if !arn.is_empty() => return Err(invalid("ResourceARN and S3Configuration exclude each other")),
        Some(object) => of_object(front, object, &role).await?,
        None => {
            let processor = input.processing.map(|given| given.definition(&role)).transpose()?;
            of_stream(front, &arn, &role, processor, position.as_deref() == Some("NOW")).await?
        }
    };
    let Some((schema, parsed)) = of_json(&processed).or_else(|| of_delimited(&processed)) else {
        let message = format!(
            "neither JSON objects nor delimited text was found among {} records; send some and try again",
            processed.len()
        );
        return Err(ServiceError::new("UnableToDetectSchemaException", message));
    };
    let texts = |samples: &[Bytes]| -> Vec<String> {
        samples.iter().map(|sample| String::from_utf8_lossy(sample).into_owned()).collect()
    };
    Ok(json!({
        "InputSchema": schema,
        "ParsedInputRecords": parsed,
        "ProcessedInputRecords": texts(&processed),
        "RawInputRecords": texts(&raw),
    }))
}

/// Samples of the stream of an ARN.
async fn of_stream(
    front: &KinesisAnalytics,
    arn: &str,
    role: &str,
    processor: Option<InputProcessor>,
    from_now: bool,
) -> Result<Samples, ServiceError> {
    let stream = resource(arn, "kinesis", "stream/").map(str::to_owned);
    let stream = stream.or_else(|| resource(arn, "firehose", "deliverystream/").map(|name| format!("delivery/{name}")));
    let stream = stream.ok_or_else(|| invalid(format!("{arn} is not the ARN of a stream")))?;
    // It is for no application yet.
    role::check_input(front, role, "*", &stream)?;
    let mut samples = Samples { raw: Vec::new(), processed: Vec::new() };
    for (shard, log, records) in records(front, &stream, from_now).await? {
        samples.raw.extend(records.iter().map(|record| record.data.clone()));
        let Some(processor) = &processor else { continue };
        role::check_trust(front, &processor.role, "*")?;
        let batch = ProcessingBatch { query: "*", stream: &stream, shard, log, records: &records };
        let processed = front.queries.process(batch, processor).await.map_err(|error| front.error(&error))?;
        samples.processed.extend(processed.into_iter().filter_map(|processed| match processed {
            Processed::Record(data) => Some(data),
            Processed::Dropped | Processed::Failed | Processed::TooLarge(_) => None,
        }));
    }
    if processor.is_none() {
        samples.processed.clone_from(&samples.raw);
    }
    Ok(samples)
}

/// Samples of an object: its lines where they are JSON, else its beginning.
async fn of_object(front: &KinesisAnalytics, object: Object, role: &str) -> Result<Samples, ServiceError> {
    let (bucket, key, role) = object.named(role)?;
    role::check_trust(front, &role, "*")?;
    let content = front.queries.read_object("*", bucket, key, role).await.map_err(|error| front.error(&error))?;
    let beginning = if content.len() > SAMPLE_BYTES {
        let end = content[..SAMPLE_BYTES].iter().rposition(|byte| *byte == b'\n').unwrap_or(SAMPLE_BYTES);
        content.slice(..end)
    } else {
        content
    };
    let lines = beginning.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let lines: Vec<Bytes> = lines.take(SAMPLES_MAX).map(|line| beginning.slice_ref(line)).collect();
    let is_json = |line: &Bytes| serde_json::from_slice::<Map<String, Value>>(line).is_ok();
    let samples = if lines.first().is_some_and(is_json) { lines } else { vec![beginning] };
    Ok(Samples { raw: samples.clone(), processed: samples })
}

/// Records from where the caller wants to begin, the oldest or the first that come: by shard and log.
async fn records(
    front: &KinesisAnalytics,
    stream: &str,
    from_now: bool,
) -> Result<Vec<(u32, LogId, Vec<Record>)>, ServiceError> {
    let refused = |error: millstream_stream::StreamError| invalid(error.to_string());
    let stream = front.streams.get(stream).map_err(refused)?;
    let bounds = stream.shards.iter().map(|shard| (shard, front.streams.bounds(shard.log())));
    let begin: Vec<_> =
        bounds.map(|(shard, bounds)| (shard, if from_now { bounds.next } else { bounds.first })).collect();
    let deadline = Instant::now() + WAIT;
    let nothing = || begin.iter().all(|(shard, from)| front.streams.bounds(shard.log()).next <= *from);
    while from_now && nothing() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    let (mut found, mut left) = (Vec::new(), SAMPLES_MAX);
    for (shard, from) in begin {
        let read = front.streams.read(shard.log(), from, SAMPLE_BYTES).await.map_err(refused)?;
        let records = read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= from);
        let records: Vec<Record> = records.take(left).collect();
        left -= records.len();
        found.push((shard.index, shard.log(), records));
    }
    Ok(found)
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
