//! `CreateDeliveryStream`

use millstream_catalog::{Compression, DeliverySource, ObjectDestination};
use millstream_delivery::NewDeliveryStream;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Firehose, check_name};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::resource;

const BUCKET_ARN: &str = "arn:aws:s3:::";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    delivery_stream_name: Option<String>,
    delivery_stream_type: Option<String>,
    kinesis_stream_source_configuration: Option<StreamSource>,
    #[serde(rename = "S3DestinationConfiguration")]
    s3: Option<S3Destination>,
    #[serde(rename = "ExtendedS3DestinationConfiguration")]
    extended_s3: Option<S3Destination>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct StreamSource {
    #[serde(rename = "KinesisStreamARN")]
    stream_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct S3Destination {
    #[serde(rename = "BucketARN")]
    bucket_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    prefix: Option<String>,
    buffering_hints: Option<BufferingHints>,
    compression_format: Option<String>,
    processing_configuration: Option<Enabled>,
    dynamic_partitioning_configuration: Option<Enabled>,
    data_format_conversion_configuration: Option<Enabled>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BufferingHints {
    #[serde(rename = "SizeInMBs")]
    size_in_mbs: Option<i64>,
    interval_in_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Enabled {
    enabled: Option<bool>,
}

pub(super) async fn call(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    check_name(input.delivery_stream_name.as_deref())?;
    let kind = input.delivery_stream_type.as_deref();
    Constraints::new()
        .one_of("deliveryStreamType", kind, &["DirectPut", "KinesisStreamAsSource", "MSKAsSource"])
        .finish()?;
    if let Some(other) = input.others.keys().find(|member| member.ends_with("DestinationConfiguration")) {
        return Err(unsupported(other));
    }
    let destination = destination(input.extended_s3.or(input.s3))?;
    let source = source(kind, input.kinesis_stream_source_configuration)?;
    let name = input.delivery_stream_name.unwrap_or_default();
    let new = NewDeliveryStream { name, source, destination };
    let made = firehose.deliveries.create(new).await.map_err(|error| firehose.error(&error))?;
    Ok(json!({ "DeliveryStreamARN": firehose.arn(&made.name) }))
}

fn source(kind: Option<&str>, stream: Option<StreamSource>) -> Result<DeliverySource, ServiceError> {
    match (kind.unwrap_or("DirectPut"), stream) {
        ("DirectPut", None) => Ok(DeliverySource::DirectPut),
        ("KinesisStreamAsSource", Some(StreamSource { stream_arn: Some(arn) })) => {
            let name = resource(&arn, "kinesis", "stream/")
                .ok_or_else(|| invalid(format!("{arn} is not the ARN of a Kinesis stream")))?;
            Ok(DeliverySource::Stream { name: name.to_owned() })
        }
        ("KinesisStreamAsSource", _) => {
            Err(invalid("KinesisStreamSourceConfiguration must be given with the type KinesisStreamAsSource".into()))
        }
        ("DirectPut", Some(_)) => {
            Err(invalid("KinesisStreamSourceConfiguration must not be given with the type DirectPut".into()))
        }
        (other, _) => Err(unsupported(&format!("DeliveryStreamType {other}"))),
    }
}

fn destination(s3: Option<S3Destination>) -> Result<ObjectDestination, ServiceError> {
    let s3 = s3.ok_or_else(|| invalid("Exactly one destination configuration is supported for a Firehose".into()))?;
    let hints = s3.buffering_hints.unwrap_or(BufferingHints { size_in_mbs: None, interval_in_seconds: None });
    let member = "extendedS3DestinationConfiguration";
    Constraints::new()
        .required(&format!("{member}.bucketARN"), s3.bucket_arn.as_ref())
        .required(&format!("{member}.roleARN"), s3.role_arn.as_ref())
        .range(&format!("{member}.bufferingHints.sizeInMBs"), hints.size_in_mbs, 1, 128)
        .range(&format!("{member}.bufferingHints.intervalInSeconds"), hints.interval_in_seconds, 0, 900)
        .one_of(
            &format!("{member}.compressionFormat"),
            s3.compression_format.as_deref(),
            &["UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY"],
        )
        .finish()?;
    let enabled = |setting: &Option<Enabled>| setting.as_ref().is_some_and(|setting| setting.enabled.unwrap_or(true));
    if enabled(&s3.processing_configuration) {
        return Err(unsupported("ProcessingConfiguration"));
    }
    if enabled(&s3.dynamic_partitioning_configuration) {
        return Err(unsupported("DynamicPartitioningConfiguration"));
    }
    if enabled(&s3.data_format_conversion_configuration) {
        return Err(unsupported("DataFormatConversionConfiguration"));
    }
    let prefix = s3.prefix.unwrap_or_default();
    if prefix.contains("!{") {
        return Err(unsupported("an expression in Prefix"));
    }
    let compression = match s3.compression_format.as_deref() {
        None | Some("UNCOMPRESSED") => Compression::None,
        Some("GZIP") => Compression::Gzip,
        Some(other) => return Err(unsupported(&format!("CompressionFormat {other}"))),
    };
    let arn = s3.bucket_arn.unwrap_or_default();
    let bucket = arn.strip_prefix(BUCKET_ARN).ok_or_else(|| invalid(format!("{arn} is not the ARN of a bucket")))?;
    Ok(ObjectDestination {
        bucket: bucket.to_owned(),
        prefix,
        buffer_bytes: u64::try_from(hints.size_in_mbs.unwrap_or(5)).unwrap_or(5) << 20,
        buffer_seconds: hints.interval_in_seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(300),
        compression,
        role: s3.role_arn.unwrap_or_default(),
    })
}

fn invalid(message: String) -> ServiceError {
    ServiceError::new("InvalidArgumentException", message)
}

fn unsupported(feature: &str) -> ServiceError {
    invalid(format!("{feature} is not supported by this node"))
}
