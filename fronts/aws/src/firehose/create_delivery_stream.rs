//! `CreateDeliveryStream`

use millstream_catalog::DeliverySource;
use millstream_delivery::NewDeliveryStream;
use millstream_types::{CheckRole as _, RoleUse};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::destination::S3Destination;
use super::tags::{self, Tag};
use super::{Firehose, SOURCE_TYPES, check_name, invalid, unsupported};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::resource;

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
    tags: Option<Vec<Tag>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct StreamSource {
    #[serde(rename = "KinesisStreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
}

pub(super) async fn call(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    check_name(input.delivery_stream_name.as_deref())?;
    let kind = input.delivery_stream_type.as_deref();
    Constraints::new().one_of("deliveryStreamType", kind, &SOURCE_TYPES).finish()?;
    let tags = tags::read(input.tags)?;
    if let Some((member, _)) = input.others.iter().find(|(_, value)| !value.is_null()) {
        return Err(unsupported(member));
    }
    let destination = match (input.s3, input.extended_s3) {
        (Some(s3), None) => s3.read("s3DestinationConfiguration")?,
        (None, Some(s3)) => s3.read("extendedS3DestinationConfiguration")?,
        _ => return Err(invalid("Exactly one destination configuration is supported for a Firehose".into())),
    };
    let (source, source_role) = source(kind, input.kinesis_stream_source_configuration)?;
    let name = input.delivery_stream_name.unwrap_or_default();
    firehose.check_role(&source_role, &name)?;
    firehose.check_role(&destination.role, &name)?;
    if let DeliverySource::Stream { name: stream } = &source {
        firehose.roles.check(&source_role, &name, RoleUse::ReadStream(stream)).map_err(invalid)?;
    }
    let new = NewDeliveryStream { name, source, source_role, destination, tags };
    let made = firehose.deliveries.create(new).await.map_err(|error| firehose.error(&error))?;
    Ok(json!({ "DeliveryStreamARN": firehose.arn(&made.name) }))
}

/// Where records come from, and the role for reading there.
fn source(kind: Option<&str>, stream: Option<StreamSource>) -> Result<(DeliverySource, String), ServiceError> {
    match (kind.unwrap_or("DirectPut"), stream) {
        ("DirectPut", None) => Ok((DeliverySource::DirectPut, String::new())),
        ("KinesisStreamAsSource", Some(stream)) => {
            let member = "kinesisStreamSourceConfiguration";
            Constraints::new()
                .required(&format!("{member}.kinesisStreamARN"), stream.stream_arn.as_ref())
                .required(&format!("{member}.roleARN"), stream.role_arn.as_ref())
                .finish()?;
            let arn = stream.stream_arn.unwrap_or_default();
            let name = resource(&arn, "kinesis", "stream/")
                .ok_or_else(|| invalid(format!("{arn} is not the ARN of a Kinesis stream")))?;
            Ok((DeliverySource::Stream { name: name.to_owned() }, stream.role_arn.unwrap_or_default()))
        }
        ("KinesisStreamAsSource", None) => {
            Err(invalid("KinesisStreamSourceConfiguration must be given with the type KinesisStreamAsSource".into()))
        }
        ("DirectPut", Some(_)) => {
            Err(invalid("KinesisStreamSourceConfiguration must not be given with the type DirectPut".into()))
        }
        (other, _) => Err(unsupported(&format!("DeliveryStreamType {other}"))),
    }
}
