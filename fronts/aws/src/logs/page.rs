//! Pages of lists and of events.

use millstream_insight::LogEvent;
use serde_json::{Value, json};

use super::invalid;
use crate::json_protocol::ServiceError;

/// Events of one page, and of one call that adds events.
pub(super) const EVENTS_MAX: usize = 10_000;

/// Bytes of one page, and of one call that adds events: the service's limit.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// What an event counts besides its message, bytes.
pub(super) const EVENT_BYTES: usize = 26;

/// What an event counts for in a page.
pub(super) fn size(event: &LogEvent) -> usize {
    event.message.len() + EVENT_BYTES
}

/// A page of a list; the token is where the next one begins.
pub(super) fn of_list<T>(
    mut all: Vec<T>,
    token: Option<&str>,
    limit: usize,
) -> Result<(Vec<T>, Option<usize>), ServiceError> {
    let start: usize = token.map(|token| token.parse().map_err(|_| wrong_token())).transpose()?.unwrap_or(0);
    let mut rest = all.split_off(start.min(all.len()));
    let next = (rest.len() > limit).then_some(start + limit);
    rest.truncate(limit);
    Ok((rest, next))
}

pub(super) fn with_next(mut answer: Value, next: Option<usize>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = json!(next.to_string());
    }
    answer
}

pub(super) fn wrong_token() -> ServiceError {
    invalid("The specified nextToken is invalid.")
}
