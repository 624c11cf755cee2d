//! `GetFunction`, `GetFunctionConfiguration`, `ListFunctions`

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::create_function::unsupported;
use super::qualifier::Qualified;
use super::{Lambda, package_address};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

/// Functions of one page unless fewer are asked for.
const PAGE_MAX: usize = 50;
/// The most functions that may be asked for: the service's own bound.
const MAX_ITEMS_MAX: i64 = 10_000;

pub(super) fn whole(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let reference = Qualified::of(request, name)?.reference();
    let function = lambda.functions.find(&reference).map_err(|error| lambda.error(&error))?;
    let code = json!({ "RepositoryType": "S3", "Location": package_address::of(lambda, request, &function) });
    let mut shown =
        json!({ "Configuration": lambda.shown_as(&function, &reference), "Code": code, "Tags": function.tags });
    if let Some(limit) = function.concurrency_limit {
        shown["Concurrency"] = json!({ "ReservedConcurrentExecutions": limit });
    }
    Ok(document(StatusCode::OK, &shown))
}

pub(super) fn configuration(
    lambda: &Lambda,
    request: &RestRequest,
    name: &str,
) -> Result<Response<Bytes>, ServiceError> {
    let reference = Qualified::of(request, name)?.reference();
    let function = lambda.functions.find(&reference).map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::OK, &lambda.shown_as(&function, &reference)))
}

/// The marker is the name of the last function of the page before.
pub(super) fn list(lambda: &Lambda, request: &RestRequest) -> Result<Response<Bytes>, ServiceError> {
    let parameters = request.parameters();
    let limit = limit(parameters.get("MaxItems").map(String::as_str))?;
    for (member, is) in [("FunctionVersion", ""), ("MasterRegion", "ALL")] {
        if parameters.get(member).is_some_and(|value| value != is) {
            return Err(unsupported(member));
        }
    }
    let after = parameters.get("Marker").cloned().unwrap_or_default();
    let mut functions = lambda.functions.list();
    functions.retain(|function| function.name > after);
    let more = functions.len() > limit;
    functions.truncate(limit);
    let shown: Vec<Value> = functions.iter().map(|function| lambda.shown(function)).collect();
    let marker = functions.last().filter(|_| more).map(|function| function.name.clone());
    Ok(document(StatusCode::OK, &json!({ "Functions": shown, "NextMarker": marker })))
}

/// How many functions, versions or aliases a page has.
pub(super) fn limit(max_items: Option<&str>) -> Result<usize, ServiceError> {
    let Some(text) = max_items else { return Ok(PAGE_MAX) };
    let Ok(wanted) = text.parse() else {
        return Err(ServiceError::new("SerializationException", format!("MaxItems {text} is no number")));
    };
    Constraints::new().range("maxItems", Some(wanted), 1, MAX_ITEMS_MAX).finish()?;
    Ok(usize::try_from(wanted).map_or(PAGE_MAX, |wanted| wanted.min(PAGE_MAX)))
}
