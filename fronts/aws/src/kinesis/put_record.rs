//! `PutRecord`

use bytes::Bytes;
use millstream_stream::Entry;
use serde::Deserialize;

use super::put_records::{hash_key, write_place};
use super::{Kinesis, RECORD_BYTES_MAX};
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
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .required("data", input.data.as_ref())
        .required("partitionKey", input.partition_key.as_ref())
        .length("partitionKey", input.partition_key.as_deref(), 1, 256)
        .finish()?;
    let data = base64_simd::STANDARD
        .decode_to_vec(input.data.unwrap_or_default())
        .map_err(|_| ServiceError::serialization("Data is no base64"))?;
    let partition_key = input.partition_key.unwrap_or_default();
    let size = data.len() + partition_key.len();
    if size > RECORD_BYTES_MAX {
        let mut constraints = Constraints::new();
        let constraint = format!("Member must have length less than or equal to {RECORD_BYTES_MAX}");
        constraints.broken("data", Some("java.nio.HeapByteBuffer"), &constraint).finish()?;
    }
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let entry = Entry {
        explicit_hash_key: input.explicit_hash_key.as_deref().map(hash_key).transpose()?,
        partition_key: Bytes::from(partition_key),
        headers: Bytes::new(),
        data: Bytes::from(data),
    };
    let mut transaction = millstream_storage::Transaction::new();
    let staged =
        kinesis.streams.stage(&stream.name, &[entry], &mut transaction, 0).map_err(|error| kinesis.error(&error))?;
    let receipt = kinesis.streams.commit(transaction).await.map_err(|error| kinesis.error(&error))?;
    kinesis.received(&stream.name, &staged, &receipt, size as u64, request);
    let mut answer = Vec::with_capacity(128);
    for placement in staged.placements(&receipt) {
        write_place(&mut answer, placement);
    }
    Ok(Bytes::from(answer))
}
