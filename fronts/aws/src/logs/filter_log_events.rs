//! `FilterLogEvents`

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{BYTES_MAX, EVENTS_MAX, size, wrong_token};
use super::pattern::Pattern;
use super::{CloudWatchLogs, error, group_name, invalid, no_such};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    /// The id of the last event that was looked at.
    next_token: Option<String>,
    limit: Option<i64>,
}

pub(super) fn call(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new().range("limit", input.limit, 1, 10_000).finish()?;
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return Err(invalid("Expected one of logStreamNames and logStreamNamePrefix, found both"));
    }
    let group = group_name(input.log_group_name, input.log_group_identifier)?;
    let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default())?;
    let after: u64 =
        input.next_token.as_deref().map(|token| token.parse().map_err(|_| wrong_token())).transpose()?.unwrap_or(0);
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_MAX);
    // The end is included here, other than in GetLogEvents.
    let range = (input.start_time.unwrap_or(0), input.end_time.map_or(i64::MAX, |end| end.saturating_add(1)));
    if let Some(names) = &input.log_stream_names {
        let known = logs.groups.streams(&group).map_err(|found| error(&found))?;
        if names.iter().any(|name| known.iter().all(|stream| stream.name != *name)) {
            return Err(no_such("The specified log stream does not exist."));
        }
    }
    let mut found = Vec::new();
    let (mut bytes, mut next) = (0, None);
    for (stream, event) in logs.groups.events(&group, None, range, after, usize::MAX).map_err(|found| error(&found))? {
        let named = input.log_stream_names.as_ref().is_none_or(|names| names.contains(&stream));
        let prefixed = input.log_stream_name_prefix.as_ref().is_none_or(|prefix| stream.starts_with(prefix));
        if !named || !prefixed || !pattern.matches(&event.message) {
            continue;
        }
        bytes += size(&event);
        if found.len() == limit || (bytes > BYTES_MAX && !found.is_empty()) {
            next = Some(event.id - 1);
            break;
        }
        found.push(json!({
            "logStreamName": stream,
            "timestamp": event.timestamp,
            "message": event.message,
            "ingestionTime": event.ingestion,
            "eventId": format!("{:056}", event.id),
        }));
    }
    let mut answer = json!({ "events": found, "searchedLogStreams": [] });
    if let Some(next) = next {
        answer["nextToken"] = json!(next.to_string());
    }
    Ok(answer)
}
