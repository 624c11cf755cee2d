//! `GetShardIterator`: all five types.

use millstream_catalog::{ShardDefinition, StreamDefinition};
use millstream_stream::{SequenceNumber, ShardId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::iterator::ShardIterator;
use super::{Kinesis, check_shard_id, dry_run};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

pub(super) const TYPES: [&str; 5] =
    ["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"];

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ShardId")]
    shard_id: Option<String>,
    #[serde(rename = "ShardIteratorType")]
    kind: Option<String>,
    #[serde(rename = "StartingSequenceNumber")]
    sequence_number: Option<String>,
    #[serde(rename = "Timestamp")]
    timestamp: Option<f64>,
    #[serde(rename = "DryRun")]
    dry_run: Option<bool>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    constraints.required("shardId", input.shard_id.as_ref());
    check_shard_id(&mut constraints, "shardId", input.shard_id.as_deref());
    constraints
        .required("shardIteratorType", input.kind.as_ref())
        .one_of("shardIteratorType", input.kind.as_deref(), &TYPES)
        .finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let shard = kinesis.existing_shard(&stream, input.shard_id.as_deref().unwrap_or_default())?;
    let Input { kind, sequence_number, timestamp, .. } = &input;
    let start = Start {
        kind: kind.as_deref().unwrap_or_default(),
        sequence_number: sequence_number.as_deref(),
        timestamp: *timestamp,
    };
    let offset = offset(kinesis, &stream, shard, &start).await?;
    dry_run(input.dry_run)?;
    let iterator = ShardIterator { stream: stream.name.clone(), log: shard.log(), offset, made: kinesis.clock.now() };
    Ok(json!({ "ShardIterator": iterator.encode(&kinesis.seal) }))
}

/// Where to begin in a shard.
pub(super) struct Start<'s> {
    /// One of [`TYPES`].
    pub(super) kind: &'s str,
    pub(super) sequence_number: Option<&'s str>,
    /// Seconds.
    pub(super) timestamp: Option<f64>,
}

/// The offset at which a reader begins that wants to.
pub(super) async fn offset(
    kinesis: &Kinesis,
    stream: &StreamDefinition,
    shard: &ShardDefinition,
    start: &Start<'_>,
) -> Result<u64, ServiceError> {
    let kind = start.kind;
    let by_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
    if by_number != start.sequence_number.is_some() {
        let has = if by_number { "no StartingSequenceNumber" } else { "also a StartingSequenceNumber" };
        return Err(ServiceError::new(
            "InvalidArgumentException",
            format!(
                "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
                 TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {kind} and {has}."
            ),
        ));
    }
    let bounds = kinesis.streams.bounds(shard.log());
    match kind {
        "TRIM_HORIZON" => Ok(bounds.first),
        "LATEST" => Ok(bounds.next),
        "AT_TIMESTAMP" => at_timestamp(kinesis, shard, start.timestamp).await,
        _ => {
            let text = start.sequence_number.unwrap_or_default();
            let number: SequenceNumber = text.parse().map_err(|_| invalid_number(kinesis, stream, shard, text))?;
            if number == SequenceNumber::before(shard.log()) {
                return Ok(0);
            }
            if let Some(other) = stream.shards.iter().find(|other| other.log() == number.log && *other != shard) {
                return Err(of_another_shard(other, shard));
            }
            if number.log != shard.log() || number.offset > bounds.next {
                return Err(invalid_number(kinesis, stream, shard, text));
            }
            Ok(number.offset + u64::from(kind == "AFTER_SEQUENCE_NUMBER"))
        }
    }
}

async fn at_timestamp(kinesis: &Kinesis, shard: &ShardDefinition, timestamp: Option<f64>) -> Result<u64, ServiceError> {
    let wrong = |message: String| ServiceError::new("InvalidArgumentException", message);
    let seconds = timestamp
        .filter(|seconds| seconds.is_finite())
        .ok_or_else(|| wrong("Must specify timestamp parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.".into()))?;
    let (millis, now) = ((seconds * 1_000.0).round() as i64, kinesis.clock.now());
    if millis > now {
        return Err(wrong(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
             timestampInMillis: {millis}, currentTimestampInMillis: {now}"
        )));
    }
    kinesis.streams.offset_at_time(shard.log(), millis).await.map_err(|error| kinesis.error(&error))
}

fn of_another_shard(other: &ShardDefinition, shard: &ShardDefinition) -> ServiceError {
    let (other, shard) = (ShardId(other.index), ShardId(shard.index));
    ServiceError::new(
        "InvalidArgumentException",
        format!(
            "Invalid StartingSequenceNumber. It encodes {other}, while it was used in a call to a shard with {shard}"
        ),
    )
}

fn invalid_number(kinesis: &Kinesis, stream: &StreamDefinition, shard: &ShardDefinition, text: &str) -> ServiceError {
    ServiceError::new(
        "InvalidArgumentException",
        format!(
            "StartingSequenceNumber {text} used in GetShardIterator on shard {} in stream {} under account {} is invalid.",
            ShardId(shard.index),
            stream.name,
            kinesis.place.account,
        ),
    )
}
