//! `PutLogEvents`

use millstream_types::Millis;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::page::{BYTES_MAX, EVENT_BYTES, EVENTS_MAX};
use super::{CloudWatchLogs, error, invalid, refuse};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Bytes of one event; the service takes larger ones, of which the node would cut the end.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

const HOUR: Millis = 3_600_000;
/// How far the events of a call may lie apart, how old they may be, and how far ahead.
const SPAN_MAX: Millis = 24 * HOUR;
const AGE_MAX: Millis = 14 * 24 * HOUR;
const AHEAD_MAX: Millis = 2 * HOUR;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
    log_events: Option<Vec<Event>>,
    entity: Option<Value>,
}

#[derive(Deserialize)]
struct Event {
    timestamp: Millis,
    message: String,
}

pub(super) async fn call(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .required("logGroupName", input.log_group_name.as_ref())
        .required("logStreamName", input.log_stream_name.as_ref())
        .required("logEvents", input.log_events.as_ref())
        .finish()?;
    refuse("entity", input.entity.is_some())?;
    let (group, stream) = (input.log_group_name.unwrap_or_default(), input.log_stream_name.unwrap_or_default());
    let events = input.log_events.unwrap_or_default();
    check(&events)?;
    let now = logs.clock.now();
    let shown_since = logs.groups.shown_since(&group);
    let expired = before(&events, shown_since);
    let too_old = before(&events, now - AGE_MAX);
    let too_new = events.partition_point(|event| event.timestamp <= now + AHEAD_MAX);
    let count = events.len();
    let taken = events.into_iter().take(too_new).skip(expired.max(too_old));
    let lines = taken.map(|event| (event.timestamp, event.message)).collect();
    logs.groups.put(&group, &stream, lines).await.map_err(|found| error(&found))?;
    let mut rejected = Map::new();
    if expired > 0 {
        rejected.insert("expiredLogEventEndIndex".to_owned(), json!(expired));
    }
    if too_old > 0 {
        rejected.insert("tooOldLogEventEndIndex".to_owned(), json!(too_old));
    }
    if too_new < count {
        rejected.insert("tooNewLogEventStartIndex".to_owned(), json!(too_new));
    }
    Ok(if rejected.is_empty() { json!({}) } else { json!({ "rejectedLogEventsInfo": rejected }) })
}

/// How many events at the begin are older.
fn before(events: &[Event], time: Millis) -> usize {
    events.partition_point(|event| event.timestamp < time)
}

fn check(events: &[Event]) -> Result<(), ServiceError> {
    if events.is_empty() || events.len() > EVENTS_MAX {
        return Err(invalid(format!("Expected between 1 and {EVENTS_MAX} log events, found {}", events.len())));
    }
    if let Some(event) = events.iter().find(|event| event.message.is_empty() || event.timestamp < 0) {
        return Err(invalid(format!("Expected a message and a timestamp of 0 or more, found {}", event.timestamp)));
    }
    if let Some(event) = events.iter().find(|event| event.message.len() > MESSAGE_BYTES_MAX) {
        let found = event.message.len();
        return Err(invalid(format!("Log event too large: {found} bytes exceeds limit of {MESSAGE_BYTES_MAX}")));
    }
    let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_BYTES).sum();
    if bytes > BYTES_MAX {
        return Err(invalid(format!("Upload too large: {bytes} bytes exceeds limit of {BYTES_MAX}")));
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    if events[events.len() - 1].timestamp - events[0].timestamp > SPAN_MAX {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(())
}
