//! `GetShardIterator`: all five types.

use millstream_catalog::ShardDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::iterator::ShardIterator;
use super::{DynamoDbStreams, name, of_stream, required_arn};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

const TYPES: [&str; 5] = ["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON", "AT_TIMESTAMP"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    stream_arn: Option<String>,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<f64>,
}

pub(super) async fn call(service: &DynamoDbStreams, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    let arn = required_arn(&mut constraints, input.stream_arn.as_deref());
    constraints
        .required("shardId", input.shard_id.as_ref())
        .length("shardId", input.shard_id.as_deref(), 28, 65)
        .required("shardIteratorType", input.shard_iterator_type.as_ref())
        .one_of("shardIteratorType", input.shard_iterator_type.as_deref(), &TYPES)
        .length("sequenceNumber", input.sequence_number.as_deref(), 21, 40)
        .finish()?;
    let found = service.find(arn)?;
    let shard = found.shard(input.shard_id.as_deref().unwrap_or_default())?;
    let offset = offset(service, shard, &input).await?;
    let iterator = ShardIterator { stream_arn: arn.to_owned(), log: shard.log(), offset, made: service.clock.now() };
    Ok(json!({ "ShardIterator": iterator.encode(&service.seal) }))
}

async fn offset(service: &DynamoDbStreams, shard: &ShardDefinition, input: &Input) -> Result<u64, ServiceError> {
    let kind = input.shard_iterator_type.as_deref().unwrap_or_default();
    let by_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
    let invalid = |message: &str| ServiceError::new("ValidationException", message);
    if by_number != input.sequence_number.is_some() {
        return Err(invalid(if by_number {
            "SequenceNumber must be specified for AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER"
        } else {
            "SequenceNumber can only be specified for AT_SEQUENCE_NUMBER and AFTER_SEQUENCE_NUMBER"
        }));
    }
    let bounds = service.streams.bounds(shard.log());
    match kind {
        "TRIM_HORIZON" => Ok(bounds.first),
        "LATEST" => Ok(bounds.next),
        "AT_TIMESTAMP" => {
            let seconds = input.timestamp.filter(|seconds| seconds.is_finite());
            let seconds = seconds.ok_or_else(|| invalid("Timestamp must be specified for AT_TIMESTAMP"))?;
            let millis = (seconds * 1_000.0).round() as i64;
            service.streams.offset_at_time(shard.log(), millis).await.map_err(|error| of_stream(&error))
        }
        _ => {
            let number = input.sequence_number.as_deref().and_then(name::parse_sequence_number);
            let (_, offset) = number
                .filter(|(log, offset)| {
                    // Behind a record that is not there yet there is nothing to name.
                    *log == shard.log()
                        && (*offset < bounds.next || *offset == bounds.next && kind == "AT_SEQUENCE_NUMBER")
                })
                .ok_or_else(|| invalid("Invalid SequenceNumber: it is not of this shard"))?;
            let offset = offset + u64::from(kind == "AFTER_SEQUENCE_NUMBER");
            if offset < bounds.first { Err(trimmed()) } else { Ok(offset) }
        }
    }
}

/// The error for records that retention has removed.
pub(super) fn trimmed() -> ServiceError {
    ServiceError::new(
        "TrimmedDataAccessException",
        "The operation attempted to read past the oldest stream record in a shard.",
    )
}
