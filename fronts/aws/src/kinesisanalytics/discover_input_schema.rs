//! `DiscoverInputSchema`: columns from the records that a stream holds.

use bytes::Bytes;
use millstream_catalog::{ColumnDefinition, ColumnType};
use millstream_query::infer_columns;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{KinesisAnalytics, invalid, role};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::resource;

/// Records that are looked at.
const SAMPLES_MAX: usize = 100;
/// Bytes read for them.
const SAMPLE_BYTES: usize = 512 << 10;

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
}

pub(super) async fn call(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let arn = input.resource_arn.unwrap_or_default();
    let stream = resource(&arn, "kinesis", "stream/").map(str::to_owned);
    let stream =
        stream.or_else(|| resource(&arn, "firehose", "deliverystream/").map(|name| format!("delivery/{name}")));
    let stream = stream.ok_or_else(|| invalid(format!("{arn} is not the ARN of a stream")))?;
    // It is for no application yet.
    role::check_input(front, &input.role_arn.unwrap_or_default(), "*", &stream)?;
    let samples = samples(front, &stream).await?;
    let columns = infer_columns(samples.iter().map(Bytes::as_ref));
    if columns.is_empty() {
        let message =
            format!("no JSON object was found among {} records of {stream}; send some and try again", samples.len());
        return Err(ServiceError::new("UnableToDetectSchemaException", message));
    }
    let raw: Vec<String> = samples.iter().map(|sample| String::from_utf8_lossy(sample).into_owned()).collect();
    let parsed: Vec<Vec<String>> = samples.iter().filter_map(|sample| parsed(sample, &columns)).collect();
    let shown: Vec<Value> = columns
        .iter()
        .map(|column| {
            let name = column.name.replace('.', "_");
            json!({ "Name": name, "SqlType": sql_type(column.column_type), "Mapping": column.mapping })
        })
        .collect();
    let format = json!({ "RecordFormatType": "JSON", "MappingParameters": { "JSONMappingParameters": { "RecordRowPath": "$" } } });
    Ok(json!({
        "InputSchema": { "RecordFormat": format, "RecordEncoding": "UTF-8", "RecordColumns": shown },
        "ParsedInputRecords": parsed,
        "ProcessedInputRecords": raw,
        "RawInputRecords": raw,
    }))
}

async fn samples(front: &KinesisAnalytics, stream: &str) -> Result<Vec<Bytes>, ServiceError> {
    let refused = |error: millstream_stream::StreamError| invalid(error.to_string());
    let mut samples = Vec::new();
    for shard in &front.streams.get(stream).map_err(refused)?.shards {
        let read = front.streams.read(shard.log(), 0, SAMPLE_BYTES).await.map_err(refused)?;
        let records = read.batches.iter().flat_map(|batch| batch.records());
        samples.extend(records.map(|record| record.data).take(SAMPLES_MAX - samples.len()));
    }
    Ok(samples)
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
        ColumnType::Text => "VARCHAR(256)",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Timestamp => "TIMESTAMP",
    }
}
