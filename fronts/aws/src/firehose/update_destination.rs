//! `UpdateDestination`: what is not given stays as it is.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::describe_delivery_stream::DESTINATION_ID;
use super::destination::S3Destination;
use super::{Firehose, check_name, invalid, unsupported};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    delivery_stream_name: Option<String>,
    current_delivery_stream_version_id: Option<String>,
    destination_id: Option<String>,
    #[serde(rename = "S3DestinationUpdate")]
    s3: Option<S3Destination>,
    #[serde(rename = "ExtendedS3DestinationUpdate")]
    extended_s3: Option<S3Destination>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

pub(super) async fn call(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    check_name(input.delivery_stream_name.as_deref())?;
    let (version, destination_id) =
        (input.current_delivery_stream_version_id.as_deref(), input.destination_id.as_deref());
    let digit = |char: char| char.is_ascii_digit();
    Constraints::new()
        .required("currentDeliveryStreamVersionId", version.as_ref())
        .length("currentDeliveryStreamVersionId", version, 1, 50)
        .characters("currentDeliveryStreamVersionId", version, digit, "[0-9]+")
        .required("destinationId", destination_id.as_ref())
        .length("destinationId", destination_id, 1, 100)
        .finish()?;
    if let Some((member, _)) = input.others.iter().find(|(_, value)| !value.is_null()) {
        return Err(unsupported(member));
    }
    let name = input.delivery_stream_name.unwrap_or_default();
    let stream = firehose.deliveries.get(&name).map_err(|error| firehose.error(&error))?;
    if let Some(other) = destination_id.filter(|id| *id != DESTINATION_ID) {
        return Err(invalid(format!("Destination Id {other} not found in Firehose {name}")));
    }
    let destination = match (input.s3, input.extended_s3) {
        (Some(s3), None) => s3.over(&stream.destination).read("s3DestinationUpdate")?,
        (None, Some(s3)) => s3.over(&stream.destination).read("extendedS3DestinationUpdate")?,
        _ => return Err(invalid("Exactly one destination update is supported for a Firehose".into())),
    };
    firehose.check_role(&destination.role, &name)?;
    // A number too large for a version is none that there ever was.
    let expected = version.and_then(|version| version.parse().ok()).unwrap_or_default();
    firehose.deliveries.update(&name, destination, Some(expected)).await.map_err(|error| firehose.error(&error))?;
    Ok(json!({}))
}
