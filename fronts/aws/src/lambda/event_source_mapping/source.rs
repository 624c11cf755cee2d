//! Sources and failure targets as ARNs.

use millstream_catalog::{EventSource, FailureTarget};
use millstream_mapping::Origin;
use millstream_stream::{SequenceNumber, ShardId};
use millstream_types::LogId;

use super::super::create_function::unsupported;
use super::super::error::typed;
use crate::destination::Target;
use crate::dynamodbstreams::name;
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
    if let Some((table, label)) = name::parse_stream_arn(arn) {
        // A label of no time is that of no stream, which is found out where streams are looked up.
        let made = name::parse_label(label).unwrap_or_default();
        return Ok(EventSource::Table { name: table.to_owned(), made });
    }
    match arn.split(':').nth(2) {
        Some(service @ ("kafka" | "mq" | "rds")) => Err(unsupported(&format!("An EventSourceArn of {service}"))),
        _ => Err(typed(400, "InvalidParameterValueException", "Unrecognized event source.".to_owned())),
    }
}

/// The ARN of a source.
pub(super) fn arn(place: &Place, source: &EventSource) -> String {
    match source {
        EventSource::Stream { name } => place.arn("kinesis", &format!("stream/{name}")),
        EventSource::Table { name: table, made } => name::stream_arn(place, table, *made),
        EventSource::Queue { name } => place.arn("sqs", name),
    }
}

/// How clients name a record of a source.
pub(super) fn sequence_number(source: &EventSource, log: LogId, offset: u64) -> String {
    match source {
        EventSource::Table { .. } => name::sequence_number(log, offset),
        EventSource::Stream { .. } | EventSource::Queue { .. } => SequenceNumber { log, offset }.to_string(),
    }
}

/// How clients name a shard of a source.
pub(super) fn shard_id(origin: &Origin) -> String {
    match origin.source {
        EventSource::Table { made, .. } => name::shard_id(made, origin.log),
        EventSource::Stream { .. } | EventSource::Queue { .. } => ShardId(origin.shard).to_string(),
    }
}

/// The failure target that an ARN names.
pub(super) fn read_target(arn: &str) -> Result<FailureTarget, ServiceError> {
    match Target::parse(arn) {
        Some(Target::Queue(name)) => return Ok(FailureTarget::Queue { name: name.to_owned() }),
        Some(Target::Topic(name)) => return Ok(FailureTarget::Topic { name: name.to_owned() }),
        Some(Target::Function(_)) | None => {}
    }
    if let Some(name) = resource(arn, "s3", "").filter(|name| !name.contains('/')) {
        return Ok(FailureTarget::Bucket { name: name.to_owned() });
    }
    let message = format!(
        "The provided destination config is invalid: expected the ARN of a queue, a topic or a bucket, found {arn}"
    );
    Err(typed(400, "InvalidParameterValueException", message))
}

/// The ARN of a failure target.
pub(super) fn target_arn(place: &Place, target: &FailureTarget) -> String {
    match target {
        FailureTarget::Queue { name } => place.arn("sqs", name),
        FailureTarget::Topic { name } => place.arn("sns", name),
        // Names of buckets are the whole cloud's.
        FailureTarget::Bucket { name } => format!("arn:aws:s3:::{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_told() {
        let place = Place::new("us-east-1");
        for source in [
            EventSource::Stream { name: "tweets".into() },
            EventSource::Queue { name: "jobs".into() },
            EventSource::Table { name: "items".into(), made: 1_700_000_000_123 },
        ] {
            let arn = arn(&place, &source);
            assert_eq!(read(&arn).unwrap(), source, "{arn}");
        }
        for (arn, reason) in [
            ("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1", "stream consumer"),
            ("arn:aws:kafka:us-east-1:000000000000:cluster/c", "kafka"),
            ("arn:aws:dynamodb:us-east-1:000000000000:table/t", "Unrecognized event source."),
            ("tweets", "Unrecognized event source."),
        ] {
            let error = read(arn).unwrap_err();
            assert!(error.message.contains(reason), "{arn}: {}", error.message);
        }
    }
}
