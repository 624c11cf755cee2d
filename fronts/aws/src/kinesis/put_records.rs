//! `PutRecords`: the hot path. The body is parsed without a document, payloads are decoded into one buffer, keys share the
//! body's bytes, all records become durable in one transaction, and the answer is written by hand.

use std::borrow::Cow;

use base64_simd::{Out, STANDARD};
use bytes::Bytes;
use millstream_catalog::{RecordDistribution, StreamDefinition};
use millstream_stream::{Entry, Placement};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::unserved::refuse;
use super::{Kinesis, RECORD_BYTES_MAX, RECORDS_MAX, REQUEST_BYTES_MAX, dry_run};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError, object};

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "StreamId")]
    stream_id: Option<IgnoredAny>,
    #[serde(rename = "DryRun")]
    dry_run: Option<bool>,
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<InputRecord<'a>>>,
}

#[derive(Deserialize)]
struct InputRecord<'a> {
    #[serde(rename = "Data", borrow)]
    data: Option<Cow<'a, str>>,
    #[serde(rename = "PartitionKey", borrow)]
    partition_key: Option<Cow<'a, str>>,
    #[serde(rename = "ExplicitHashKey", borrow)]
    explicit_hash_key: Option<Cow<'a, str>>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let (stream, entries, only_checked) = {
        let input: Input<'_> = serde_json::from_slice(object(&request.body)?)
            .map_err(|error| ServiceError::serialization(&error.to_string()))?;
        refuse("StreamId", input.stream_id.is_some())?;
        let records = input.records.as_deref().unwrap_or_default();
        // What cannot be read is told first, also where there is no such stream.
        let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref());
        check(input.records.is_some(), records, stream.as_ref().is_ok_and(|stream| is_even(stream)))?;
        let bytes_max = stream.as_ref().map_or(usize::MAX, |stream| record_bytes_max(stream));
        let entries = entries(&request.body, records, bytes_max)?;
        (stream?, entries, input.dry_run)
    };
    let bytes: usize = entries.iter().map(|entry| entry.data.len() + entry.partition_key.len()).sum();
    if bytes > REQUEST_BYTES_MAX {
        return Err(ServiceError::new(
            "InvalidArgumentException",
            format!("Records size exceeds {} MB limit", REQUEST_BYTES_MAX >> 20),
        ));
    }
    dry_run(only_checked)?;
    let (staged, receipt) =
        kinesis.streams.put_staged(&stream.name, &entries).await.map_err(|error| kinesis.error(&error))?;
    kinesis.received(&stream.name, &staged, &receipt, bytes as u64, request);
    Ok(answer(staged.placements(&receipt), encryption(&stream)))
}

fn check(given: bool, records: &[InputRecord<'_>], keyless: bool) -> Result<(), ServiceError> {
    let mut constraints = Constraints::new();
    if !given {
        return constraints.broken("records", None, "Member must not be null").finish();
    }
    // The service prints the records here; their number says as much and does not repeat megabytes.
    let count = format!("[{} records]", records.len());
    if records.is_empty() {
        constraints.broken("records", Some("[]"), "Member must have length greater than or equal to 1");
    }
    if records.len() > RECORDS_MAX {
        let constraint = format!("Member must have length less than or equal to {RECORDS_MAX}");
        constraints.broken("records", Some(&count), &constraint);
    }
    for (index, record) in records.iter().enumerate() {
        if record.data.is_none() {
            constraints.broken(&format!("records.{}.member.data", index + 1), None, "Member must not be null");
        }
        let key = record.partition_key.as_deref();
        // A key of so few bytes cannot have too many characters: the member's name is only made when it is needed.
        if !key.map_or(keyless, |key| (1..=256).contains(&key.len())) {
            let member = format!("records.{}.member.partitionKey", index + 1);
            constraints.required(&member, key.as_ref()).length(&member, key, 1, 256);
        }
    }
    constraints.finish()
}

/// The records with their payloads decoded into one shared buffer.
fn entries(body: &Bytes, records: &[InputRecord<'_>], record_bytes_max: usize) -> Result<Vec<Entry>, ServiceError> {
    let encoded: usize = records.iter().map(|record| record.data.as_ref().map_or(0, |data| data.len())).sum();
    let mut buffer = vec![0; encoded / 4 * 3 + 3 * records.len()];
    let mut ends = Vec::with_capacity(records.len());
    let mut end = 0;
    for (index, record) in records.iter().enumerate() {
        let data = record.data.as_deref().unwrap_or_default().as_bytes();
        let decoded = STANDARD
            .decode(data, Out::from_slice(&mut buffer[end..]))
            .map_err(|_| ServiceError::serialization(&format!("Records[{index}].Data is no base64")))?
            .len();
        end += decoded;
        ends.push(end);
    }
    buffer.truncate(end);
    let buffer = Bytes::from(buffer);
    let mut begin = 0;
    let mut entries = Vec::with_capacity(records.len());
    for (index, (record, &end)) in records.iter().zip(&ends).enumerate() {
        let partition_key = match &record.partition_key {
            Some(Cow::Borrowed(key)) => body.slice_ref(key.as_bytes()),
            Some(Cow::Owned(key)) => Bytes::copy_from_slice(key.as_bytes()),
            None => Bytes::new(),
        };
        if end - begin + partition_key.len() > record_bytes_max {
            let mut constraints = Constraints::new();
            let member = format!("records.{}.member.data", index + 1);
            let constraint = format!("Member must have length less than or equal to {record_bytes_max}");
            constraints.broken(&member, Some("java.nio.HeapByteBuffer"), &constraint).finish()?;
        }
        entries.push(Entry {
            partition_key,
            explicit_hash_key: record
                .explicit_hash_key
                .as_deref()
                .map(|key| hash_key("explicitHashKey", key))
                .transpose()?,
            headers: Bytes::new(),
            data: buffer.slice(begin..end),
        });
        begin = end;
    }
    Ok(entries)
}

/// Whether a text is a decimal without leading zeros.
pub(super) fn is_decimal(text: &str, digits_max: usize) -> bool {
    let digits = (1..=digits_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// A member that is a hash key: a decimal of 128 bits without leading zeros.
pub(super) fn hash_key(member: &str, text: &str) -> Result<u128, ServiceError> {
    if !is_decimal(text, 39) {
        let mut constraints = Constraints::new();
        constraints
            .broken(member, Some(text), "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})")
            .finish()?;
    }
    text.parse().map_err(|_| {
        let name = format!("{}{}", member[..1].to_uppercase(), &member[1..]);
        ServiceError::new(
            "InvalidArgumentException",
            format!("Invalid {name}. {name} must be in the range: [0, 2^128-1]. Specified value was {text}"),
        )
    })
}

/// The member that says that a stream's records are to be encrypted; empty for those that are not.
pub(super) fn encryption(stream: &StreamDefinition) -> &'static [u8] {
    if stream.settings.encryption_key.is_some() { b",\"EncryptionType\":\"KMS\"" } else { b"" }
}

/// Whether records may come without a partition key: keys do not decide where they go.
pub(super) fn is_even(stream: &StreamDefinition) -> bool {
    stream.settings.distribution == RecordDistribution::Even
}

/// Bytes of a stream's record at most: its key and its data.
pub(super) fn record_bytes_max(stream: &StreamDefinition) -> usize {
    stream.settings.record_kib_max.map_or(RECORD_BYTES_MAX, |kib| (kib as usize) << 10)
}

fn answer(placements: impl Iterator<Item = Placement>, encryption: &[u8]) -> Bytes {
    let mut answer = Vec::with_capacity(128 * RECORDS_MAX);
    answer.extend_from_slice(b"{\"FailedRecordCount\":0,\"Records\":[");
    for (index, placement) in placements.enumerate() {
        if index > 0 {
            answer.push(b',');
        }
        write_place(&mut answer, placement);
    }
    answer.extend_from_slice(b"]");
    answer.extend_from_slice(encryption);
    answer.push(b'}');
    Bytes::from(answer)
}

/// `{"SequenceNumber":"…","ShardId":"shardId-…"}`
pub(super) fn write_place(answer: &mut Vec<u8>, placement: Placement) {
    answer.extend_from_slice(b"{\"SequenceNumber\":\"");
    answer.extend_from_slice(&placement.sequence.digits());
    answer.extend_from_slice(b"\",\"ShardId\":\"shardId-");
    let mut digits = [b'0'; 12];
    let mut text = itoa::Buffer::new();
    let shard = text.format(placement.shard).as_bytes();
    digits[12 - shard.len()..].copy_from_slice(shard);
    answer.extend_from_slice(&digits);
    answer.extend_from_slice(b"\"}");
}
