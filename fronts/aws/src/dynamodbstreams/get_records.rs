//! `GetRecords`

use serde::Deserialize;
use serde_json::{Value, json};

use super::get_shard_iterator::trimmed;
use super::iterator::ShardIterator;
use super::{DynamoDbStreams, not_found, of_stream, record};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Payload bytes of one answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Records of one answer.
const RECORDS_MAX: i64 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    shard_iterator: Option<String>,
    limit: Option<i64>,
}

pub(super) async fn call(service: &DynamoDbStreams, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .required("shardIterator", input.shard_iterator.as_ref())
        .length("shardIterator", input.shard_iterator.as_deref(), 1, 2_048)
        .range("limit", input.limit, 1, RECORDS_MAX)
        .finish()?;
    let now = service.clock.now();
    let text = input.shard_iterator.as_deref().unwrap_or_default();
    let iterator = ShardIterator::decode(text, &service.seal, now)?;
    let found = service.find(&iterator.stream_arn)?;
    if !found.shards.iter().any(|shard| shard.log() == iterator.log) {
        return Err(not_found("Shard of the iterator"));
    }
    if iterator.offset < service.streams.bounds(iterator.log).first {
        return Err(trimmed());
    }
    let limit = input.limit.unwrap_or(RECORDS_MAX) as usize;
    let read = service.streams.read(iterator.log, iterator.offset, ANSWER_BYTES_MAX).await;
    let read = read.map_err(|error| of_stream(&error))?;
    let (mut records, mut next, mut bytes) = (Vec::new(), iterator.offset, 0);
    let behind =
        read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= iterator.offset);
    for one in behind {
        bytes += one.data.len();
        // One record at least: an item's images may be larger than an answer is meant to be.
        if records.len() >= limit || (bytes > ANSWER_BYTES_MAX && !records.is_empty()) {
            break;
        }
        next = one.offset + 1;
        let change = service.tables.change_of(&found.table.name, &one);
        records.extend(change.map(|change| record::encode(iterator.log, one.offset, &change, &service.place)));
    }
    if next == iterator.offset {
        // Nothing is there up to here: the disk lost it.
        next = next.max(read.next);
    }
    let mut answer = json!({ "Records": records });
    // A shard that was closed has an end.
    if found.changes.enabled || next < read.end.next {
        let next = ShardIterator { offset: next, made: now, ..iterator };
        answer["NextShardIterator"] = json!(next.encode(&service.seal));
    }
    Ok(answer)
}
