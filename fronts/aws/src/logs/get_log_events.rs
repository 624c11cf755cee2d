//! `GetLogEvents`: pages forward and backward through one stream.
//!
//! A token is a direction and the id behind which, or before which, the next page lies. A page without events gives the token
//! that was sent: that is how clients see the end.

use millstream_insight::LogEvent;
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{BYTES_MAX, EVENTS_MAX, size, wrong_token};
use super::{CloudWatchLogs, error, group_name, no_such};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

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
    let known = logs.groups.streams(&group).map_err(|found| error(&found))?;
    if !known.iter().any(|summary| Some(summary.name.as_str()) == stream) {
        return Err(no_such("The specified log stream does not exist."));
    }
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_MAX);
    let range = (input.start_time.unwrap_or(0), input.end_time.unwrap_or(i64::MAX));
    let (forward, at) = match input.next_token.as_deref() {
        Some(token) => read_token(token)?,
        None if input.start_from_head == Some(true) => (true, 0),
        None => (false, u64::MAX),
    };
    let mut events = logs
        .groups
        .events(&group, stream, range, if forward { at } else { 0 }, usize::MAX)
        .map_err(|found| error(&found))?;
    if forward {
        events.truncate(fitting(events.iter().map(|(_, event)| event), limit));
    } else {
        events.retain(|(_, event)| event.id < at);
        let last = fitting(events.iter().rev().map(|(_, event)| event), limit);
        events.drain(..events.len() - last);
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

/// How many of these events make a page.
fn fitting<'a>(events: impl Iterator<Item = &'a LogEvent>, limit: usize) -> usize {
    let sizes = events.take(limit).scan(0, |bytes, event| {
        *bytes += size(event);
        Some(*bytes)
    });
    sizes.enumerate().take_while(|(index, bytes)| *index == 0 || *bytes <= BYTES_MAX).count()
}

fn read_token(token: &str) -> Result<(bool, u64), ServiceError> {
    let read = || {
        let (direction, id) = token.split_once('/')?;
        Some((direction == "f", id.parse().ok()?))
    };
    read().ok_or_else(wrong_token)
}
