//! `ListStreams`

use millstream_catalog::StreamOwner;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Kinesis, describe_stream, page_token, seconds};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

/// What tokens of this listing are sealed for. They hold the name of the last stream of their page.
const PURPOSE: &str = "list streams";

pub(super) fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new().range("limit", input.limit, 1, 10_000).finish()?;
    let after = match input.next_token.as_deref() {
        Some(token) => {
            String::from_utf8(page_token::open(kinesis, PURPOSE, token)?).map_err(|_| page_token::wrong())?
        }
        None => input.exclusive_start_stream_name.unwrap_or_default(),
    };
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100);
    let mut streams = kinesis.streams.list();
    streams.retain(|stream| stream.owner == StreamOwner::User && stream.name > after);
    let more = streams.len() > limit;
    streams.truncate(limit);
    let names: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
    let summaries: Vec<Value> = streams
        .iter()
        .map(|stream| {
            json!({
                "StreamName": stream.name,
                "StreamARN": kinesis.arn(&stream.name),
                "StreamStatus": "ACTIVE",
                "StreamModeDetails": describe_stream::mode(stream),
                "StreamCreationTimestamp": seconds(stream.created),
            })
        })
        .collect();
    let mut answer = json!({ "StreamNames": names, "HasMoreStreams": more, "StreamSummaries": summaries });
    if more && let Some(last) = names.last() {
        answer["NextToken"] = json!(page_token::make(kinesis, PURPOSE, last.as_bytes()));
    }
    Ok(answer)
}
