//! `PutRecord` and `PutRecordBatch`

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_insight::Step;
use millstream_stream::Placement;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Firehose, check_name};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Records of one batch.
const RECORDS_MAX: usize = 500;
/// Bytes of a record.
const RECORD_BYTES_MAX: usize = 1_000 << 10;
/// Bytes of a batch.
const BATCH_BYTES_MAX: usize = 4 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordInput {
    delivery_stream_name: Option<String>,
    record: Option<InputRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchInput {
    delivery_stream_name: Option<String>,
    records: Option<Vec<InputRecord>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InputRecord {
    data: Option<String>,
}

pub(super) async fn record(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: RecordInput = request.input()?;
    let name = input.delivery_stream_name.as_deref();
    check_name(name)?;
    Constraints::new().required("record", input.record.as_ref()).finish()?;
    let records = decode(input.record.as_slice(), |_| "record".to_owned())?;
    let placements = put(firehose, request, name.unwrap_or_default(), records).await?;
    Ok(json!({ "RecordId": placements.first().map(record_id), "Encrypted": false }))
}

pub(super) async fn batch(firehose: &Firehose, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: BatchInput = request.input()?;
    let name = input.delivery_stream_name.as_deref();
    check_name(name)?;
    let records = input.records.as_deref().unwrap_or_default();
    let mut constraints = Constraints::new();
    constraints.required("records", input.records.as_ref());
    let count = format!("[{} records]", records.len());
    if input.records.is_some() && records.is_empty() {
        constraints.broken("records", Some("[]"), "Member must have length greater than or equal to 1");
    }
    if records.len() > RECORDS_MAX {
        let constraint = format!("Member must have length less than or equal to {RECORDS_MAX}");
        constraints.broken("records", Some(&count), &constraint);
    }
    constraints.finish()?;
    let records = decode(records, |index| format!("records.{}.member", index + 1))?;
    if records.iter().map(Bytes::len).sum::<usize>() > BATCH_BYTES_MAX {
        let message = format!("Records size exceeds {} MB limit", BATCH_BYTES_MAX >> 20);
        return Err(ServiceError::new("InvalidArgumentException", message));
    }
    let placements = put(firehose, request, name.unwrap_or_default(), records).await?;
    let responses: Vec<Value> =
        placements.iter().map(|placement| json!({ "RecordId": record_id(placement) })).collect();
    Ok(json!({ "FailedPutCount": 0, "Encrypted": false, "RequestResponses": responses }))
}

fn decode(records: &[InputRecord], member: impl Fn(usize) -> String) -> Result<Vec<Bytes>, ServiceError> {
    let mut decoded = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let mut constraints = Constraints::new();
        constraints.required(&format!("{}.data", member(index)), record.data.as_ref()).finish()?;
        let data = STANDARD
            .decode_to_vec(record.data.as_deref().unwrap_or_default())
            .map_err(|_| ServiceError::serialization(&format!("{}.data is no base64", member(index))))?;
        if data.len() > RECORD_BYTES_MAX {
            let constraint = format!("Member must have length less than or equal to {RECORD_BYTES_MAX}");
            let member = format!("{}.data", member(index));
            constraints.broken(&member, Some("java.nio.HeapByteBuffer"), &constraint).finish()?;
        }
        decoded.push(Bytes::from(data));
    }
    Ok(decoded)
}

async fn put(
    firehose: &Firehose,
    request: &JsonRequest,
    name: &str,
    records: Vec<Bytes>,
) -> Result<Vec<Placement>, ServiceError> {
    let placements = firehose.deliveries.put(name, records).await.map_err(|error| firehose.error(&error))?;
    // A delivery stream's own stream has one shard: the records of a put lie one behind the other.
    if let (Some(first), Some(last)) = (placements.first(), placements.last()) {
        firehose.insight.trail.mark(Step::Received {
            log: first.sequence.log.0,
            from: first.sequence.offset,
            to: last.sequence.offset + 1,
            stream: format!("delivery/{name}"),
            request: request.request_id.clone(),
            invocation: request.invocation(),
        });
    }
    Ok(placements)
}

/// A record's id is the number under which its stream keeps it, so that it can be traced.
fn record_id(placement: &Placement) -> String {
    placement.sequence.to_string()
}
