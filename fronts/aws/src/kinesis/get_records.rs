//! `GetRecords`

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_stream::SequenceNumber;
use millstream_types::RecordView;
use serde::Deserialize;

use super::Kinesis;
use super::iterator::ShardIterator;
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
    if !stream.shards.iter().any(|shard| shard.log() == iterator.log) {
        // The stream was deleted and made again under its name.
        return Err(ServiceError::new("ResourceNotFoundException", "The shard of this iterator no longer exists."));
    }
    let limit = input.limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(RECORDS_MAX);
    let read = kinesis
        .streams
        .read(iterator.log, iterator.offset, ANSWER_BYTES_MAX)
        .await
        .map_err(|error| kinesis.error(&error))?;
    let mut answer = Answer::default();
    let mut next = iterator.offset;
    let records = read.batches.iter().flat_map(|batch| batch.iter()).filter(|record| record.offset >= iterator.offset);
    for record in records {
        if answer.count >= limit || answer.payload + record.data.len() > ANSWER_BYTES_MAX {
            break;
        }
        answer.push(SequenceNumber { log: iterator.log, offset: record.offset }, &record);
        next = record.offset + 1;
    }
    if answer.count == 0 {
        next = next.max(read.next.min(read.end.first.max(iterator.offset)));
    }
    // Behind by the age of what was read last, unless that was the end.
    let behind = if next >= read.end.next { 0 } else { (now - answer.last_time.unwrap_or(now)).max(0) };
    let next = ShardIterator { offset: next, made: now, ..iterator };
    let subject = format!("stream/{}", next.stream);
    kinesis.insight.metrics.counter("records_out", &subject).add(answer.count);
    kinesis.insight.metrics.distribution("iterator_age_ms", &subject).observe(behind as f64);
    Ok(answer.finish(&next.encode(&kinesis.seal), behind))
}

/// The answer as it is written.
#[derive(Default)]
struct Answer {
    json: Vec<u8>,
    count: u64,
    payload: usize,
    last_time: Option<i64>,
}

impl Answer {
    fn push(&mut self, sequence: SequenceNumber, record: &RecordView<'_>) {
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
        self.json.extend_from_slice(STANDARD.encode_to_string(record.data).as_bytes());
        self.json.extend_from_slice(b"\",\"PartitionKey\":");
        let key = String::from_utf8_lossy(record.partition_key);
        self.json.extend_from_slice(serde_json::Value::from(key.as_ref()).to_string().as_bytes());
        self.json.push(b'}');
        self.count += 1;
        self.payload += record.data.len();
        self.last_time = Some(record.append_time);
    }

    fn finish(mut self, next: &str, behind: i64) -> Bytes {
        if self.count == 0 {
            self.json.extend_from_slice(b"{\"Records\":[");
        }
        self.json.extend_from_slice(
            format!("],\"NextShardIterator\":\"{next}\",\"MillisBehindLatest\":{behind}}}").as_bytes(),
        );
        Bytes::from(self.json)
    }
}
