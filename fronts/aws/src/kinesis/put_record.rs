//! `PutRecord`

use bytes::Bytes;
use millstream_catalog::StreamDefinition;
use millstream_stream::{Entry, SequenceNumber};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::put_records::{encryption, hash_key, is_decimal, is_even, record_bytes_max, write_place};
use super::unserved::refuse;
use super::{Kinesis, dry_run, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "Data")]
    data: Option<String>,
    #[serde(rename = "PartitionKey")]
    partition_key: Option<String>,
    #[serde(rename = "ExplicitHashKey")]
    explicit_hash_key: Option<String>,
    #[serde(rename = "SequenceNumberForOrdering")]
    sequence_number_for_ordering: Option<String>,
    #[serde(rename = "StreamId")]
    stream_id: Option<IgnoredAny>,
    #[serde(rename = "DryRun")]
    dry_run: Option<bool>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    refuse("StreamId", input.stream_id.is_some())?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref());
    let keyless = stream.as_ref().is_ok_and(|stream| is_even(stream));
    let mut constraints = Constraints::new();
    let key = input.partition_key.as_deref();
    constraints.required("data", input.data.as_ref());
    if !keyless {
        constraints.required("partitionKey", key.as_ref());
    }
    constraints.length("partitionKey", key, 1, 256);
    let before = input.sequence_number_for_ordering.as_deref();
    if let Some(before) = before.filter(|number| !is_decimal(number, 129)) {
        let constraint = "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,128})";
        constraints.broken("sequenceNumberForOrdering", Some(before), constraint);
    }
    constraints.finish()?;
    let data = base64_simd::STANDARD
        .decode_to_vec(input.data.unwrap_or_default())
        .map_err(|_| ServiceError::serialization("Data is no base64"))?;
    let partition_key = input.partition_key.unwrap_or_default();
    let size = data.len() + partition_key.len();
    let stream = stream?;
    let size_max = record_bytes_max(&stream);
    if size > size_max {
        let mut constraints = Constraints::new();
        let constraint = format!("Member must have length less than or equal to {size_max}");
        constraints.broken("data", Some("java.nio.HeapByteBuffer"), &constraint).finish()?;
    }
    if let Some(before) = before {
        if keyless {
            let message =
                "SequenceNumberForOrdering cannot be given for a stream whose record distribution strategy is AUTO.";
            return Err(invalid(message));
        }
        check_order(kinesis, &stream, before)?;
    }
    let entry = Entry {
        explicit_hash_key: input
            .explicit_hash_key
            .as_deref()
            .map(|key| hash_key("explicitHashKey", key))
            .transpose()?,
        partition_key: Bytes::from(partition_key),
        headers: Bytes::new(),
        data: Bytes::from(data),
    };
    dry_run(input.dry_run)?;
    let (staged, receipt) =
        kinesis.streams.put_staged(&stream.name, &[entry]).await.map_err(|error| kinesis.error(&error))?;
    kinesis.received(&stream.name, &staged, &receipt, size as u64, request);
    let mut answer = Vec::with_capacity(128);
    for placement in staged.placements(&receipt) {
        write_place(&mut answer, placement);
    }
    answer.pop();
    answer.extend_from_slice(encryption(&stream));
    answer.push(b'}');
    Ok(Bytes::from(answer))
}

/// Numbers of a shard rise with every put that follows an answered one, so there is nothing to do for the order; but what
/// was put before must have been put into this stream.
fn check_order(kinesis: &Kinesis, stream: &StreamDefinition, before: &str) -> Result<(), ServiceError> {
    let was_put = |number: SequenceNumber| {
        let ours = stream.shards.iter().any(|shard| shard.log() == number.log);
        ours && number.offset < kinesis.streams.bounds(number.log).next
    };
    if before.parse().is_ok_and(was_put) {
        return Ok(());
    }
    Err(invalid(format!(
        "ExclusiveMinimumSequenceNumber {before} used in PutRecord on stream {} under account {} is invalid.",
        stream.name, kinesis.place.account
    )))
}
