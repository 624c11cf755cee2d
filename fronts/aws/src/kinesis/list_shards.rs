//! `ListShards`

use std::sync::Arc;

use millstream_catalog::StreamDefinition;
use millstream_stream::ShardId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Kinesis, check_shard_id, describe_stream, invalid, page_token, seconds};
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
    #[serde(rename = "StreamCreationTimestamp")]
    stream_creation_timestamp: Option<f64>,
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
    timestamp: Option<f64>,
}

/// Characters of a token: the service's limit.
const TOKEN_CHARS_MAX: usize = 1 << 20;

const FILTERS: [&str; 6] =
    ["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"];

pub(super) fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let filter = input.shard_filter.as_ref();
    let mut constraints = Constraints::new();
    constraints
        .range("maxResults", input.max_results, 1, 10_000)
        .length("nextToken", input.next_token.as_deref(), 1, TOKEN_CHARS_MAX)
        .one_of("shardFilter.type", filter.and_then(|filter| filter.kind.as_deref()), &FILTERS);
    check_shard_id(&mut constraints, "exclusiveStartShardId", input.exclusive_start_shard_id.as_deref());
    check_shard_id(&mut constraints, "shardFilter.shardId", filter.and_then(|filter| filter.shard_id.as_deref()));
    constraints.finish()?;
    let (stream, after) = match &input.next_token {
        Some(token) => follow(kinesis, &input, token)?,
        None => begin(kinesis, &input)?,
    };
    let limit = input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1_000);
    let rest: Vec<_> = stream.shards.iter().filter(|shard| after.is_none_or(|after| shard.index > after.0)).collect();
    let page = &rest[..rest.len().min(limit)];
    let mut answer = json!({ "Shards": page.iter().map(|shard| describe_stream::shard(shard)).collect::<Vec<_>>() });
    if let (true, Some(last)) = (rest.len() > limit, page.last()) {
        let next = Token { after: ShardId(last.index), stream: stream.name.clone() };
        answer["NextToken"] = json!(page_token::make(kinesis, PURPOSE, &next.encode()));
    }
    Ok(answer)
}

/// The stream and the shard behind which a listing begins.
fn begin(kinesis: &Kinesis, input: &Input) -> Result<(Arc<StreamDefinition>, Option<ShardId>), ServiceError> {
    if input.stream_name.is_none() && input.stream_arn.is_none() {
        return Err(invalid("Either NextToken or StreamName should be provided."));
    }
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    // The time tells a stream from one of the same name before it; SDKs send it to the second.
    if input.stream_creation_timestamp.is_some_and(|time| (time - seconds(stream.created)).abs() >= 1.0) {
        return Err(kinesis.stream_not_found(&stream.name));
    }
    let shard_id = |id: Option<&str>| id.map(|id| kinesis.shard_id(&stream, id)).transpose();
    let after = shard_id(input.exclusive_start_shard_id.as_deref())?;
    // All shards are open in this version, so every filter but one lets all of them through.
    let filtered = match &input.shard_filter {
        Some(ShardFilter { kind: Some(kind), shard_id: None, .. }) if kind == "AFTER_SHARD_ID" => {
            return Err(invalid("ShardId must be given with the filter AFTER_SHARD_ID."));
        }
        Some(ShardFilter { kind: Some(kind), shard_id: id, .. }) if kind == "AFTER_SHARD_ID" => {
            shard_id(id.as_deref())?
        }
        Some(ShardFilter { kind: Some(kind), timestamp: None, .. }) if kind.ends_with("_TIMESTAMP") => {
            return Err(invalid(format!("Timestamp must be given with the filter {kind}.")));
        }
        _ => None,
    };
    Ok((stream, after.max(filtered)))
}

/// The same for the next page. The token says it all, so nothing else may.
fn follow(
    kinesis: &Kinesis,
    input: &Input,
    token: &str,
) -> Result<(Arc<StreamDefinition>, Option<ShardId>), ServiceError> {
    for (member, given) in [
        ("StreamName", input.stream_name.is_some() || input.stream_arn.is_some()),
        ("ExclusiveStartShardId", input.exclusive_start_shard_id.is_some()),
        ("StreamCreationTimestamp", input.stream_creation_timestamp.is_some()),
    ] {
        if given {
            return Err(invalid(format!("NextToken and {member} cannot be provided together.")));
        }
    }
    let token = Token::decode(&page_token::open(kinesis, PURPOSE, token)?).ok_or_else(page_token::wrong)?;
    Ok((kinesis.stream(Some(&token.stream), None)?, Some(token.after)))
}

/// The stream of a token that a listing gave.
pub(super) fn stream_of_token(kinesis: &Kinesis, token: &str) -> Option<String> {
    Token::decode(&page_token::content(kinesis, PURPOSE, token)?).map(|token| token.stream)
}

/// What tokens of this listing are sealed for.
const PURPOSE: &str = "list shards";

/// Where the next page begins.
struct Token {
    after: ShardId,
    stream: String,
}

impl Token {
    fn encode(&self) -> Vec<u8> {
        [&self.after.0.to_be_bytes()[..], self.stream.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (after, name) = bytes.split_first_chunk()?;
        Some(Self { after: ShardId(u32::from_be_bytes(*after)), stream: String::from_utf8(name.to_vec()).ok()? })
    }
}
