//! `ListShards`

use std::sync::Arc;

use millstream_catalog::{ShardDefinition, StreamDefinition};
use millstream_types::Millis;
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
pub(super) const TOKEN_CHARS_MAX: usize = 1 << 20;

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
    let (stream, listing) = match &input.next_token {
        Some(token) => follow(kinesis, &input, token)?,
        None => begin(kinesis, &input)?,
    };
    let limit = input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1_000);
    let rest: Vec<_> = stream.shards.iter().filter(|shard| listing.holds(&stream, shard)).collect();
    let page = &rest[..rest.len().min(limit)];
    let shards: Vec<Value> = page.iter().map(|shard| describe_stream::shard(kinesis, shard)).collect();
    let mut answer = json!({ "Shards": shards });
    if let (true, Some(last)) = (rest.len() > limit, page.last()) {
        let next = Token { stream: stream.name.clone(), listing: Listing { after: Some(last.index), ..listing } };
        answer["NextToken"] = json!(page_token::make(kinesis, PURPOSE, &next.encode()));
    }
    Ok(answer)
}

/// Which shards a listing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listing {
    /// Those behind this one.
    after: Option<u32>,
    opened: Opened,
}

/// Which shards a filter lets through, by when they were open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    Ever,
    Now,
    At(Millis),
    Since(Millis),
}

impl Listing {
    fn holds(&self, stream: &StreamDefinition, shard: &ShardDefinition) -> bool {
        let opened = shard.opened.unwrap_or(stream.created);
        let closed_after = |time| shard.closed.is_none_or(|closed| closed > time);
        let by_time = match self.opened {
            Opened::Ever => true,
            Opened::Now => shard.is_open(),
            Opened::At(time) => opened <= time && closed_after(time),
            Opened::Since(time) => closed_after(time),
        };
        by_time && self.after.is_none_or(|after| shard.index > after)
    }
}

/// The stream, and which of its shards are listed.
fn begin(kinesis: &Kinesis, input: &Input) -> Result<(Arc<StreamDefinition>, Listing), ServiceError> {
    if input.stream_name.is_none() && input.stream_arn.is_none() {
        return Err(invalid("Either NextToken or StreamName should be provided."));
    }
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    check_creation(kinesis, &stream, input.stream_creation_timestamp)?;
    let shard_id = |id: Option<&str>| id.map(|id| kinesis.shard_id(&stream, id)).transpose();
    let after = shard_id(input.exclusive_start_shard_id.as_deref())?;
    // Older shards hold nothing that could be read.
    let horizon = stream.created.max(kinesis.clock.now() - stream.retention_ms());
    let filter = input.shard_filter.as_ref();
    let kind = filter.and_then(|filter| filter.kind.as_deref()).unwrap_or_default();
    let behind = shard_id(filter.and_then(|filter| filter.shard_id.as_deref()))?;
    given_with("ShardId", behind.is_some(), kind, kind == "AFTER_SHARD_ID")?;
    let time = filter.and_then(|filter| filter.timestamp).filter(|seconds| seconds.is_finite());
    given_with("Timestamp", time.is_some(), kind, kind.ends_with("_TIMESTAMP"))?;
    let time = time.map_or(horizon, |seconds| horizon.max((seconds * 1_000.0) as Millis));
    let opened = match kind {
        "AT_LATEST" => Opened::Now,
        "AT_TRIM_HORIZON" | "AT_TIMESTAMP" => Opened::At(time),
        "FROM_TIMESTAMP" => Opened::Since(time),
        _ => Opened::Ever,
    };
    let after = after.max(behind).map(|shard| shard.0);
    Ok((stream, Listing { after, opened }))
}

/// Whether a member of a filter is given just where the filter needs it.
fn given_with(member: &str, is_given: bool, filter: &str, is_needed: bool) -> Result<(), ServiceError> {
    match (is_given, is_needed) {
        (false, true) => Err(invalid(format!("{member} must be given with the filter {filter}."))),
        (true, false) => Err(invalid(format!("{member} cannot be given with the filter {filter}."))),
        _ => Ok(()),
    }
}

/// Whether a stream is the one that was made at a time: it tells a stream from one of the same name before it. SDKs send it to
/// the second.
pub(super) fn check_creation(
    kinesis: &Kinesis,
    stream: &StreamDefinition,
    created: Option<f64>,
) -> Result<(), ServiceError> {
    if created.is_some_and(|time| (time - seconds(stream.created)).abs() >= 1.0) {
        return Err(kinesis.stream_not_found(&stream.name));
    }
    Ok(())
}

/// The same for the next page. The token says it all, so nothing else may.
fn follow(kinesis: &Kinesis, input: &Input, token: &str) -> Result<(Arc<StreamDefinition>, Listing), ServiceError> {
    for (member, given) in [
        ("StreamName", input.stream_name.is_some() || input.stream_arn.is_some()),
        ("ExclusiveStartShardId", input.exclusive_start_shard_id.is_some()),
        ("StreamCreationTimestamp", input.stream_creation_timestamp.is_some()),
        ("ShardFilter", input.shard_filter.is_some()),
    ] {
        if given {
            return Err(invalid(format!("NextToken and {member} cannot be provided together.")));
        }
    }
    let token = Token::decode(&page_token::open(kinesis, PURPOSE, token)?).ok_or_else(page_token::wrong)?;
    Ok((kinesis.stream(Some(&token.stream), None)?, token.listing))
}

/// The stream of a token that a listing gave.
pub(super) fn stream_of_token(kinesis: &Kinesis, token: &str) -> Option<String> {
    Token::decode(&page_token::content(kinesis, PURPOSE, token)?).map(|token| token.stream)
}

/// What tokens of this listing are sealed for.
const PURPOSE: &str = "list shards";

/// Where the next page begins.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    stream: String,
    listing: Listing,
}

impl Token {
    fn encode(&self) -> Vec<u8> {
        let (kind, time) = match self.listing.opened {
            Opened::Ever => (0, 0),
            Opened::Now => (1, 0),
            Opened::At(time) => (2, time),
            Opened::Since(time) => (3, time),
        };
        let after = self.listing.after.unwrap_or_default().to_be_bytes();
        [&[kind][..], &time.to_be_bytes(), &after, self.stream.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (after, name) = rest.split_first_chunk()?;
        let time = Millis::from_be_bytes(*time);
        let opened = match kind {
            0 => Opened::Ever,
            1 => Opened::Now,
            2 => Opened::At(time),
            3 => Opened::Since(time),
            _ => return None,
        };
        let listing = Listing { after: Some(u32::from_be_bytes(*after)), opened };
        Some(Self { stream: String::from_utf8(name.to_vec()).ok()?, listing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for opened in [Opened::Ever, Opened::Now, Opened::At(7), Opened::Since(8)] {
            let token = Token { stream: "s".into(), listing: Listing { after: Some(5), opened } };
            assert_eq!(Token::decode(&token.encode()), Some(token));
        }
        assert_eq!(Token::decode(&[9; 20]), None);
    }
}
