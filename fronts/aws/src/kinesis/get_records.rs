//! `GetRecords`

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_catalog::{CapacityMode, ShardDefinition, StreamDefinition};
use millstream_stream::{SequenceNumber, ShardId};
use millstream_types::RecordView;
use serde::Deserialize;
use serde_json::Value;

use super::iterator::ShardIterator;
use super::put_records::encryption;
use super::{Kinesis, describe_stream, dry_run};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Payload bytes of one answer.
const ANSWER_BYTES_MAX: usize = 10 << 20;
/// Records of one answer.
const RECORDS_MAX: u64 = 10_000;

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "ShardIterator")]
    shard_iterator: Option<String>,
    #[serde(rename = "Limit")]
    limit: Option<i64>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "DryRun")]
    dry_run: Option<bool>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .required("shardIterator", input.shard_iterator.as_ref())
        .length("shardIterator", input.shard_iterator.as_deref(), 1, 512)
        .range("limit", input.limit, 1, 10_000)
        .finish()?;
    let now = kinesis.clock.now();
    let iterator = ShardIterator::decode(input.shard_iterator.as_deref().unwrap_or_default(), &kinesis.seal, now)?;
    let stream = kinesis.stream(Some(&iterator.stream), input.stream_arn.as_deref())?;
    let Some(shard) = stream.shards.iter().find(|shard| shard.log() == iterator.log) else {
        // The stream was deleted and made again under its name, or retention took what was left of the shard.
        return Err(ServiceError::new("ResourceNotFoundException", "The shard of this iterator no longer exists."));
    };
    dry_run(input.dry_run)?;
    if kinesis.read_limit.as_ref().is_some_and(|limit| !limit.admits(iterator.log, now)) {
        let (shard, account) = (ShardId(shard.index), &kinesis.place.account);
        let message = format!("Rate exceeded for shard {shard} in stream {} under account {account}.", stream.name);
        return Err(ServiceError::new("ProvisionedThroughputExceededException", message));
    }
    let limit = input.limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(RECORDS_MAX);
    let read = kinesis
        .streams
        .read(iterator.log, iterator.offset, ANSWER_BYTES_MAX)
        .await
        .map_err(|error| kinesis.error(&error))?;
    let mut answer = Records::of(&stream);
    // All that was read is given, or it is cut; what is not there at all, by retention or because the disk lost it, is passed.
    let mut next = read.next;
    let records = read.batches.iter().flat_map(|batch| batch.iter()).filter(|record| record.offset >= iterator.offset);
    for record in records {
        if answer.count >= limit || answer.payload + record.data.len() > ANSWER_BYTES_MAX {
            next = record.offset;
            break;
        }
        answer.push(SequenceNumber { log: iterator.log, offset: record.offset }, &record);
    }
    // Behind by the age of what was read last, unless that was the end.
    let behind = if next >= read.end.next { 0 } else { (now - answer.last_time.unwrap_or(now)).max(0) };
    if let Some(limit) = &kinesis.read_limit {
        limit.brought(iterator.log, answer.payload as u64, now);
    }
    let subject = format!("stream/{}", stream.name);
    kinesis.insight.metrics.counter("records_out", &subject).add(answer.count);
    kinesis.insight.metrics.distribution("iterator_age_ms", &subject).observe(behind as f64);
    let goes_on = if kinesis.streams.has_ended(shard, next) {
        format!("\"ChildShards\":{}", children(&stream, shard))
    } else {
        let next = ShardIterator { offset: next, made: now, ..iterator };
        format!("\"NextShardIterator\":\"{}\"", next.encode(&kinesis.seal))
    };
    Ok(answer.finish(&format!("{goes_on},\"MillisBehindLatest\":{behind}")))
}

/// The shards that came of a closed one.
pub(super) fn children(stream: &StreamDefinition, shard: &ShardDefinition) -> Value {
    stream.children(shard.index).map(describe_stream::child).collect()
}

/// Records as they are written: `{"Records":[…],` and what else the document has.
#[derive(Default)]
pub(super) struct Records {
    json: Vec<u8>,
    /// Written into each record.
    encryption: &'static [u8],
    /// Whether the stream may hold records that were put without a key, which are given without one.
    keyless: bool,
    pub(super) count: u64,
    pub(super) payload: usize,
    pub(super) last_time: Option<i64>,
}

impl Records {
    /// No records of a stream yet.
    pub(super) fn of(stream: &StreamDefinition) -> Self {
        let keyless = stream.capacity == CapacityMode::OnDemand;
        Self { encryption: encryption(stream), keyless, ..Self::default() }
    }

    pub(super) fn push(&mut self, sequence: SequenceNumber, record: &RecordView<'_>) {
        self.json.extend_from_slice(if self.count == 0 { b"{\"Records\":[{" } else { b",{" });
        self.json.extend_from_slice(b"\"SequenceNumber\":\"");
        self.json.extend_from_slice(&sequence.digits());
        self.json.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
        let mut text = itoa::Buffer::new();
        self.json.extend_from_slice(text.format(record.append_time / 1_000).as_bytes());
        let millis = record.append_time % 1_000;
        self.json.push(b'.');
        self.json.extend([100, 10, 1].map(|place| b'0' + (millis / place % 10) as u8));
        self.json.extend_from_slice(b",\"Data\":\"");
        STANDARD.encode_append(record.data, &mut self.json);
        self.json.push(b'"');
        if !(self.keyless && record.partition_key.is_empty()) {
            self.json.extend_from_slice(b",\"PartitionKey\":");
            let key = String::from_utf8_lossy(record.partition_key);
            self.json.extend_from_slice(serde_json::Value::from(key.as_ref()).to_string().as_bytes());
        }
        self.json.extend_from_slice(self.encryption);
        self.json.push(b'}');
        self.count += 1;
        self.payload += record.data.len();
        self.last_time = Some(record.append_time);
    }

    /// The document with its other members.
    pub(super) fn finish(mut self, members: &str) -> Bytes {
        if self.count == 0 {
            self.json.extend_from_slice(b"{\"Records\":[");
        }
        self.json.extend_from_slice(b"],");
        self.json.extend_from_slice(members.as_bytes());
        self.json.push(b'}');
        Bytes::from(self.json)
    }
}
