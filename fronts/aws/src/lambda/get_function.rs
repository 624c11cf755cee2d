//! `GetFunction`, `GetFunctionConfiguration`, `ListFunctions`

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Lambda, function_name};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::{RestRequest, document};

/// Functions of one page unless fewer are asked for.
const PAGE_MAX: usize = 50;

pub(super) fn whole(lambda: &Lambda, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let function = lambda.functions.get(&function_name(name)).map_err(|error| lambda.error(&error))?;
    let code = json!({ "RepositoryType": "S3", "Location": "" });
    let mut shown = json!({ "Configuration": lambda.shown(&function), "Code": code, "Tags": function.tags });
    if let Some(limit) = function.concurrency_limit {
        shown["Concurrency"] = json!({ "ReservedConcurrentExecutions": limit });
    }
    Ok(document(StatusCode::OK, &shown))
}

pub(super) fn configuration(lambda: &Lambda, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let function = lambda.functions.get(&function_name(name)).map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::OK, &lambda.shown(&function)))
}

/// The marker is the name of the last function of the page before.
pub(super) fn list(lambda: &Lambda, request: &RestRequest) -> Result<Response<Bytes>, ServiceError> {
    let parameters = request.parameters();
    let limit = parameters.get("MaxItems").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let after = parameters.get("Marker").cloned().unwrap_or_default();
    let mut functions = lambda.functions.list();
    functions.retain(|function| function.name > after);
    let more = functions.len() > limit;
    functions.truncate(limit);
    let shown: Vec<Value> = functions.iter().map(|function| lambda.shown(function)).collect();
    let marker = functions.last().filter(|_| more).map(|function| function.name.clone());
    Ok(document(StatusCode::OK, &json!({ "Functions": shown, "NextMarker": marker })))
}
