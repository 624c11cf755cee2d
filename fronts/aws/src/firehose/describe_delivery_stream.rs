//! `DescribeDeliveryStream`

use millstream_catalog::{Compression, DeliverySource, DeliveryStreamDefinition};
use serde_json::{Value, json};

use super::{Firehose, required_name};
use crate::json_protocol::{JsonRequest, ServiceError};

pub(super) fn call(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let name = required_name(request)?;
    let stream = firehose.deliveries.get(&name).map_err(|error| firehose.error(&error))?;
    let s3 = s3_description(&stream);
    let mut description = json!({
        "DeliveryStreamName": stream.name,
        "DeliveryStreamARN": firehose.arn(&stream.name),
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamType": "DirectPut",
        "VersionId": stream.version.to_string(),
        "CreateTimestamp": stream.created as f64 / 1_000.0,
        "HasMoreDestinations": false,
        "Destinations": [{
            "DestinationId": "destinationId-000000000001",
            "S3DestinationDescription": s3,
            "ExtendedS3DestinationDescription": s3,
        }],
    });
    if let DeliverySource::Stream { name } = &stream.source {
        description["DeliveryStreamType"] = json!("KinesisStreamAsSource");
        description["Source"] = json!({ "KinesisStreamSourceDescription": {
            "KinesisStreamARN": firehose.place.arn("kinesis", &format!("stream/{name}")),
            "RoleARN": stream.destination.role,
            "DeliveryStartTimestamp": stream.created as f64 / 1_000.0,
        } });
    }
    Ok(json!({ "DeliveryStreamDescription": description }))
}

fn s3_description(stream: &DeliveryStreamDefinition) -> Value {
    let destination = &stream.destination;
    json!({
        "RoleARN": destination.role,
        "BucketARN": format!("arn:aws:s3:::{}", destination.bucket),
        "Prefix": destination.prefix,
        "BufferingHints": {
            "SizeInMBs": destination.buffer_bytes >> 20,
            "IntervalInSeconds": destination.buffer_seconds,
        },
        "CompressionFormat": match destination.compression {
            Compression::None => "UNCOMPRESSED",
            Compression::Gzip => "GZIP",
        },
        "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
        "CloudWatchLoggingOptions": { "Enabled": false },
    })
}
