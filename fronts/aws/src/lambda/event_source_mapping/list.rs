//! `ListEventSourceMappings`

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::super::{Lambda, function_name};
use super::shown::shown;
use super::source;
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

/// Mappings of one page at most.
const PAGE_MAX: usize = 100;

/// The marker is the id of the last mapping of the page before.
pub(super) fn call(lambda: &Lambda, request: &RestRequest) -> Result<Response<Bytes>, ServiceError> {
    let parameters = request.parameters();
    let asked = parameters.get("MaxItems").map(|items| items.parse::<i64>().unwrap_or(0));
    Constraints::new().range("maxItems", asked, 1, 10_000).finish()?;
    let limit = asked.and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let source = parameters.get("EventSourceArn").map(|arn| source::read(arn)).transpose()?;
    let function = parameters.get("FunctionName").map(|name| function_name(name));
    let after = parameters.get("Marker").cloned().unwrap_or_default();
    let mut views = lambda.mappings.list();
    views.retain(|view| {
        let definition = &view.definition;
        definition.id > after
            && source.as_ref().is_none_or(|source| *source == definition.source)
            && function.as_ref().is_none_or(|function| *function == definition.function)
    });
    let more = views.len() > limit;
    views.truncate(limit);
    let marker = views.last().filter(|_| more).map(|view| view.definition.id.clone());
    let all: Vec<Value> = views.iter().map(|view| shown(&lambda.place, view)).collect();
    Ok(document(StatusCode::OK, &json!({ "EventSourceMappings": all, "NextMarker": marker })))
}
