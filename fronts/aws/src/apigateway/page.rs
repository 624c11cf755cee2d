//! Lists in pages: `limit` entries behind `position`.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, bad_request};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// Entries of a page unless the caller wants fewer or more, and the most that it gets: the service's own numbers.
const LIMIT: usize = 25;
const LIMIT_MAX: usize = 500;

/// A page of entries that are given in the order of their ids. The position is the last id of the page before, so that
/// entries which come and go in between are neither shown twice nor left out.
pub(super) fn answer<'i>(request: &RestRequest, entries: impl Iterator<Item = (&'i str, Value)>) -> Answer {
    let (limit, position) = place(request)?;
    let mut entries = entries.filter(|(id, _)| *id > position.as_str());
    let page: Vec<(&str, Value)> = entries.by_ref().take(limit).collect();
    let last = page.last().map(|(id, _)| (*id).to_owned());
    let more = entries.next().is_some();
    let items: Vec<Value> = page.into_iter().map(|(_, item)| item).collect();
    let mut answer = json!({ "item": items });
    if more {
        answer["position"] = json!(last);
    }
    Ok((StatusCode::OK, answer))
}

/// How many entries are wanted, and behind which id.
pub(super) fn place(request: &RestRequest) -> Result<(usize, String), ServiceError> {
    let mut parameters = request.parameters();
    let limit = match parameters.get("limit") {
        None => LIMIT,
        Some(limit) => match limit.parse::<usize>() {
            Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => limit,
            _ => return Err(bad_request(format!("Invalid limit value: {limit}; expected 1 to {LIMIT_MAX}"))),
        },
    };
    Ok((limit, parameters.remove("position").unwrap_or_default()))
}
