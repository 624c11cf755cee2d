//! Sources and failure targets as ARNs.

use millstream_catalog::{EventSource, FailureTarget};

use super::super::create_function::unsupported;
use super::super::error::typed;
use crate::json_protocol::ServiceError;
use crate::place::{Place, resource};

/// The source that an ARN names.
pub(super) fn read(arn: &str) -> Result<EventSource, ServiceError> {
    if let Some(name) = resource(arn, "kinesis", "stream/") {
        return match name.split_once('/') {
            None => Ok(EventSource::Stream { name: name.to_owned() }),
            Some(_) => Err(unsupported("A stream consumer as EventSourceArn")),
        };
    }
    if let Some(name) = resource(arn, "sqs", "") {
        return Ok(EventSource::Queue { name: name.to_owned() });
    }
    match arn.split(':').nth(2) {
        Some("dynamodb") => Err(unsupported("A DynamoDB stream as EventSourceArn")),
        Some(service @ ("kafka" | "mq" | "rds")) => Err(unsupported(&format!("An EventSourceArn of {service}"))),
        _ => Err(typed(400, "InvalidParameterValueException", "Unrecognized event source.".to_owned())),
    }
}

/// The ARN of a source.
pub(super) fn arn(place: &Place, source: &EventSource) -> String {
    match source {
        EventSource::Stream { name } => place.arn("kinesis", &format!("stream/{name}")),
        EventSource::Table { name, made } => place.arn("dynamodb", &format!("table/{name}/stream/{made}")),
        EventSource::Queue { name } => place.arn("sqs", name),
    }
}

/// The failure target that an ARN names.
pub(super) fn read_target(arn: &str) -> Result<FailureTarget, ServiceError> {
    if let Some(name) = resource(arn, "sqs", "") {
        return Ok(FailureTarget::Queue { name: name.to_owned() });
    }
    match arn.split(':').nth(2) {
        Some(service @ ("sns" | "s3")) => {
            Err(unsupported(&format!("An on-failure destination of {service}; expected a queue of sqs: it")))
        }
        _ => {
            let message =
                format!("The provided destination config is invalid: expected the ARN of a queue, found {arn}");
            Err(typed(400, "InvalidParameterValueException", message))
        }
    }
}

/// The ARN of a failure target.
pub(super) fn target_arn(place: &Place, target: &FailureTarget) -> String {
    match target {
        FailureTarget::Queue { name } => place.arn("sqs", name),
        FailureTarget::Topic { name } => place.arn("sns", name),
    }
}
