//! `DescribeDeliveryStream`

use millstream_catalog::{Compression, DeliverySource, DeliveryStreamDefinition};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Firehose, check_name, source_type};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// A delivery stream has one destination: this.
pub(super) const DESTINATION_ID: &str = "destinationId-000000000001";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    delivery_stream_name: Option<String>,
    limit: Option<i64>,
    exclusive_start_destination_id: Option<String>,
}

pub(super) fn call(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    check_name(input.delivery_stream_name.as_deref())?;
    let after = input.exclusive_start_destination_id.as_deref();
    let allowed = |char: char| char.is_ascii_alphanumeric() || char == '-';
    Constraints::new()
        .range("limit", input.limit, 1, 10_000)
        .length("exclusiveStartDestinationId", after, 1, 100)
        .characters("exclusiveStartDestinationId", after, allowed, "[a-zA-Z0-9-]+")
        .finish()?;
    let name = input.delivery_stream_name.unwrap_or_default();
    let stream = firehose.deliveries.get(&name).map_err(|error| firehose.error(&error))?;
    let destinations =
        if after.is_some_and(|after| after >= DESTINATION_ID) { vec![] } else { vec![destination(&stream)] };
    let mut description = json!({
        "DeliveryStreamName": stream.name,
        "DeliveryStreamARN": firehose.arn(&stream.name),
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamEncryptionConfiguration": { "Status": "DISABLED" },
        "DeliveryStreamType": source_type(&stream.source),
        "VersionId": stream.version.to_string(),
        "CreateTimestamp": seconds(stream.created),
        "HasMoreDestinations": false,
        "Destinations": destinations,
    });
    if let Some(modified) = stream.modified {
        description["LastUpdateTimestamp"] = json!(seconds(modified));
    }
    if let DeliverySource::Stream { name } = &stream.source {
        description["Source"] = json!({ "KinesisStreamSourceDescription": {
            "KinesisStreamARN": firehose.place.arn("kinesis", &format!("stream/{name}")),
            "RoleARN": stream.source_role,
            "DeliveryStartTimestamp": seconds(stream.created),
        } });
    }
    Ok(json!({ "DeliveryStreamDescription": description }))
}

/// The destination in its older and its newer form, as the service shows both.
fn destination(stream: &DeliveryStreamDefinition) -> Value {
    let destination = &stream.destination;
    let mut s3 = json!({
        "RoleARN": destination.role,
        "BucketARN": format!("arn:aws:s3:::{}", destination.bucket),
        "BufferingHints": {
            "SizeInMBs": destination.buffer_bytes >> 20,
            "IntervalInSeconds": destination.buffer_seconds,
        },
        "CompressionFormat": match destination.compression {
            Compression::None => "UNCOMPRESSED",
            Compression::Gzip => "GZIP",
        },
        "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
        "CloudWatchLoggingOptions": match &destination.error_log {
            Some(log) => json!({ "Enabled": true, "LogGroupName": log.group, "LogStreamName": log.stream }),
            None => json!({ "Enabled": false }),
        },
    });
    for (member, text) in [("Prefix", &destination.prefix), ("ErrorOutputPrefix", &destination.error_prefix)] {
        if !text.is_empty() {
            s3[member] = json!(text);
        }
    }
    let mut extended = s3.clone();
    extended["S3BackupMode"] = json!("Disabled");
    for (member, text) in [("FileExtension", &destination.file_extension), ("CustomTimeZone", &destination.time_zone)] {
        if !text.is_empty() {
            extended[member] = json!(text);
        }
    }
    json!({
        "DestinationId": DESTINATION_ID,
        "S3DestinationDescription": s3,
        "ExtendedS3DestinationDescription": extended,
    })
}

/// Seconds with milliseconds, as the JSON protocol writes times.
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
