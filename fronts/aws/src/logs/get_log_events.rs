//! `GetLogEvents`: pages forward and backward through one stream.
//!
//! A token is a direction and the id behind which, or before which, the next page lies. A page without events gives the token
//! that was sent: that is how clients see the end.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CloudWatchLogs, group_name, no_group, no_stream};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Events of one page.
const EVENTS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    start_from_head: Option<bool>,
}

pub(super) fn call(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let stream = input.log_stream_name.as_deref();
    Constraints::new().required("logStreamName", stream.as_ref()).range("limit", input.limit, 1, 10_000).finish()?;
    let group = group_name(input.log_group_name, input.log_group_identifier)?;
    let known = logs.insight.logs.streams(&group).ok_or_else(no_group)?;
    if !known.iter().any(|summary| Some(summary.name.as_str()) == stream) {
        return Err(no_stream());
    }
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_MAX);
    let range = (input.start_time.unwrap_or(0), input.end_time.unwrap_or(i64::MAX));
    let (forward, at) = match input.next_token.as_deref() {
        Some(token) => read_token(token)?,
        None if input.start_from_head == Some(true) => (true, 0),
        None => (false, u64::MAX),
    };
    let mut events = if forward {
        logs.events(&group, stream, range, at, limit)?
    } else {
        let mut all = logs.events(&group, stream, range, 0, usize::MAX)?;
        all.retain(|(_, event)| event.id < at);
        all
    };
    if !forward {
        events.drain(..events.len().saturating_sub(limit));
    }
    let (first, last) = match (events.first(), events.last()) {
        (Some((_, first)), Some((_, last))) => (first.id, last.id),
        // Nothing there: both tokens stay where they are.
        _ if forward => (at + 1, at),
        _ => (at, at.saturating_sub(1)),
    };
    let shown: Vec<Value> = events
        .iter()
        .map(|(_, event)| json!({ "timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingestion }))
        .collect();
    Ok(json!({
        "events": shown,
        "nextForwardToken": format!("f/{last:020}"),
        "nextBackwardToken": format!("b/{first:020}"),
    }))
}

fn read_token(token: &str) -> Result<(bool, u64), ServiceError> {
    let read = || {
        let (direction, id) = token.split_once('/')?;
        Some((direction == "f", id.parse().ok()?))
    };
    read().ok_or_else(|| ServiceError::new("InvalidParameterException", "The specified nextToken is invalid."))
}
