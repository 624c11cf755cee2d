//! `ListShards`

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use millstream_stream::ShardId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Kinesis, describe_stream};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "NextToken")]
    next_token: Option<String>,
    #[serde(rename = "ExclusiveStartShardId")]
    exclusive_start_shard_id: Option<String>,
    #[serde(rename = "MaxResults")]
    max_results: Option<i64>,
    #[serde(rename = "ShardFilter")]
    shard_filter: Option<ShardFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    #[serde(rename = "Type")]
    kind: Option<String>,
    shard_id: Option<String>,
}

const FILTERS: [&str; 6] =
    ["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"];

pub(super) fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let filter = input.shard_filter.as_ref().and_then(|filter| filter.kind.as_deref());
    Constraints::new()
        .range("maxResults", input.max_results, 1, 10_000)
        .one_of("shardFilter.type", filter, &FILTERS)
        .finish()?;
    let (name, after) = match &input.next_token {
        Some(_) if input.stream_name.is_some() || input.stream_arn.is_some() => {
            let message = "NextToken and StreamName cannot be provided together.";
            return Err(ServiceError::new("InvalidArgumentException", message));
        }
        Some(token) => {
            let (name, after) = read_token(token)?;
            (Some(name), Some(after))
        }
        None => (input.stream_name, input.exclusive_start_shard_id.as_deref().map(shard_id).transpose()?),
    };
    // All shards are open in this version, so every filter but one lets all of them through.
    let filtered = match input.shard_filter {
        Some(ShardFilter { kind: Some(kind), shard_id }) if kind == "AFTER_SHARD_ID" => {
            let id = shard_id.ok_or_else(|| {
                ServiceError::new("InvalidArgumentException", "ShardId must be given with the filter AFTER_SHARD_ID.")
            })?;
            Some(self::shard_id(&id)?)
        }
        _ => None,
    };
    let stream = kinesis.stream(name.as_deref(), input.stream_arn.as_deref())?;
    let after = after.max(filtered);
    let limit = input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1_000);
    let rest: Vec<_> = stream.shards.iter().filter(|shard| after.is_none_or(|after| shard.index > after.0)).collect();
    let page = &rest[..rest.len().min(limit)];
    let mut answer = json!({ "Shards": page.iter().map(|shard| describe_stream::shard(shard)).collect::<Vec<_>>() });
    if let (true, Some(last)) = (rest.len() > limit, page.last()) {
        answer["NextToken"] = json!(URL_SAFE.encode(format!("{}/{}", stream.name, last.index)));
    }
    Ok(answer)
}

fn shard_id(text: &str) -> Result<ShardId, ServiceError> {
    text.parse().map_err(|_| ServiceError::new("InvalidArgumentException", format!("{text} is not the id of a shard.")))
}

fn read_token(token: &str) -> Result<(String, ShardId), ServiceError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE.decode(token).ok()?).ok()?;
        let (name, shard) = text.rsplit_once('/')?;
        Some((name.to_owned(), shard.parse().ok()?))
    };
    read().ok_or_else(|| ServiceError::new("InvalidArgumentException", "NextToken is invalid."))
}
