//! `SplitShard`, `MergeShards` and `UpdateShardCount`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::put_records::hash_key;
use super::{Kinesis, check_shard_id};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ShardToSplit")]
    shard_to_split: Option<String>,
    #[serde(rename = "NewStartingHashKey")]
    new_starting_hash_key: Option<String>,
    #[serde(rename = "ShardToMerge")]
    shard_to_merge: Option<String>,
    #[serde(rename = "AdjacentShardToMerge")]
    adjacent_shard_to_merge: Option<String>,
    #[serde(rename = "TargetShardCount")]
    target_shard_count: Option<i64>,
    #[serde(rename = "ScalingType")]
    scaling_type: Option<String>,
}

pub(super) async fn split(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    constraints.required("shardToSplit", input.shard_to_split.as_ref());
    check_shard_id(&mut constraints, "shardToSplit", input.shard_to_split.as_deref());
    constraints.required("newStartingHashKey", input.new_starting_hash_key.as_ref()).finish()?;
    let start = hash_key("newStartingHashKey", input.new_starting_hash_key.as_deref().unwrap_or_default())?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let shard = kinesis.existing_shard(&stream, input.shard_to_split.as_deref().unwrap_or_default())?.index;
    kinesis.streams.split_shard(&stream.name, shard, start).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

pub(super) async fn merge(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    for (member, id) in
        [("shardToMerge", &input.shard_to_merge), ("adjacentShardToMerge", &input.adjacent_shard_to_merge)]
    {
        constraints.required(member, id.as_ref());
        check_shard_id(&mut constraints, member, id.as_deref());
    }
    constraints.finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let shard = kinesis.existing_shard(&stream, input.shard_to_merge.as_deref().unwrap_or_default())?.index;
    let adjacent = kinesis.existing_shard(&stream, input.adjacent_shard_to_merge.as_deref().unwrap_or_default())?.index;
    kinesis.streams.merge_shards(&stream.name, shard, adjacent).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

pub(super) async fn update_count(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .required("targetShardCount", input.target_shard_count.as_ref())
        .range("targetShardCount", input.target_shard_count, 1, i64::from(i32::MAX))
        .required("scalingType", input.scaling_type.as_ref())
        .one_of("scalingType", input.scaling_type.as_deref(), &["UNIFORM_SCALING"])
        .finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let target = input.target_shard_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(u32::MAX);
    let scaled = kinesis.streams.set_shard_count(&stream.name, target).await.map_err(|error| kinesis.error(&error))?;
    Ok(json!({
        "StreamName": stream.name,
        "StreamARN": kinesis.arn(&stream.name),
        "CurrentShardCount": scaled.before,
        "TargetShardCount": scaled.now,
    }))
}
