//! `DescribeStream`

use millstream_catalog::ShardDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::record::view_type;
use super::{DynamoDbStreams, Found, name, required_arn};
use crate::dynamodb::key_schema;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Shards of one answer.
const SHARDS_MAX: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    stream_arn: Option<String>,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
    shard_filter: Option<ShardFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: Option<String>,
    shard_id: Option<String>,
}

pub(super) fn call(service: &DynamoDbStreams, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    let arn = required_arn(&mut constraints, input.stream_arn.as_deref());
    constraints.range("limit", input.limit, 1, SHARDS_MAX).length(
        "exclusiveStartShardId",
        input.exclusive_start_shard_id.as_deref(),
        28,
        65,
    );
    if let Some(filter) = &input.shard_filter {
        constraints.one_of("shardFilter.type", filter.r#type.as_deref(), &["CHILD_SHARDS"]);
        constraints.length("shardFilter.shardId", filter.shard_id.as_deref(), 28, 65);
    }
    constraints.finish()?;
    let found = service.find(arn)?;
    let after = input.exclusive_start_shard_id.as_deref().map(|id| found.shard(id)).transpose()?;
    let limit = input.limit.unwrap_or(SHARDS_MAX) as usize;
    let behind = |shard: &&ShardDefinition| after.is_none_or(|after| shard.index > after.index);
    // Shards are never split: none is the child of another.
    let all = input.shard_filter.is_none();
    let rest: Vec<_> = found.shards.iter().filter(|shard| all && behind(shard)).collect();
    let mut description = json!({
        "StreamArn": name::stream_arn(&service.place, &found.table.name, found.changes.created),
        "StreamLabel": name::label(found.changes.created),
        "StreamStatus": if found.changes.enabled { "ENABLED" } else { "DISABLED" },
        "StreamViewType": view_type(found.changes.view),
        "CreationRequestDateTime": found.changes.created as f64 / 1_000.0,
        "TableName": found.table.name,
        "KeySchema": key_schema(&found.table),
        "Shards": rest.iter().take(limit).map(|shard| describe_shard(service, &found, shard)).collect::<Vec<_>>(),
    });
    if rest.len() > limit
        && let Some(last) = rest.get(limit - 1)
    {
        description["LastEvaluatedShardId"] = json!(found.shard_id(last));
    }
    Ok(json!({ "StreamDescription": description }))
}

fn describe_shard(service: &DynamoDbStreams, found: &Found, shard: &ShardDefinition) -> Value {
    let log = shard.log();
    let mut range = json!({ "StartingSequenceNumber": name::sequence_number(log, 0) });
    if !found.changes.enabled {
        // Nothing comes any more: the last record is the end.
        let last = service.streams.bounds(log).next.saturating_sub(1);
        range["EndingSequenceNumber"] = json!(name::sequence_number(log, last));
    }
    json!({ "ShardId": found.shard_id(shard), "SequenceNumberRange": range })
}
