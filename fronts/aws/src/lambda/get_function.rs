//! `GetFunction`, `GetFunctionConfiguration`, `ListFunctions`

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::{FunctionDefinition, LATEST, version_number};
use serde_json::{Value, json};

use super::create_function::unsupported;
use super::qualifier::Qualified;
use super::{Lambda, package_address};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

/// Functions of one page unless fewer are asked for.
const PAGE_MAX: usize = 50;
/// The most functions, versions or aliases that may be asked for: the service's own bound.
pub(super) const MAX_ITEMS_MAX: i64 = 10_000;

pub(super) fn whole(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let (function, configuration) = found(lambda, &Qualified::of(request, name)?)?;
    let code = json!({ "RepositoryType": "S3", "Location": package_address::of(lambda, request, &function) });
    let mut shown = json!({ "Configuration": configuration, "Code": code, "Tags": function.tags });
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
    let (_, configuration) = found(lambda, &Qualified::of(request, name)?)?;
    Ok(document(StatusCode::OK, &configuration))
}

/// What a request is about, and how it is shown: an alias with its own revision.
fn found(lambda: &Lambda, of: &Qualified) -> Result<(Arc<FunctionDefinition>, Value), ServiceError> {
    let reference = of.reference();
    let function = lambda.functions.get(&of.name).map_err(|error| lambda.error(&error))?;
    let found = lambda.functions.find(&reference).map_err(|error| lambda.error(&error))?;
    let mut shown = lambda.shown_as(&found, &reference);
    shown["RevisionId"] = json!(function.revision_of(of.qualifier.as_deref()));
    Ok((found, shown))
}

/// All functions, or with `FunctionVersion` all their versions too. The marker is the reference of the last one of the page
/// before.
pub(super) fn list(lambda: &Lambda, request: &RestRequest) -> Result<Response<Bytes>, ServiceError> {
    let parameters = request.parameters();
    let given = |member: &str| parameters.get(member).map(String::as_str).filter(|value| !value.is_empty());
    let limit = limit(given("MaxItems"), MAX_ITEMS_MAX)?;
    Constraints::new().one_of("functionVersion", given("FunctionVersion"), &["ALL"]).finish()?;
    if given("MasterRegion").is_some_and(|region| region != "ALL") {
        return Err(unsupported("MasterRegion"));
    }
    let with_versions = given("FunctionVersion").is_some();
    let after = given("Marker").map(place);
    let functions = lambda.functions.list();
    let all = functions.iter().flat_map(|function| function.all_versions());
    let wanted = |found: &&FunctionDefinition| {
        (with_versions || found.version.is_none())
            && after.is_none_or(|after| (found.name.as_str(), found.version) > after)
    };
    let mut found: Vec<&FunctionDefinition> = all.filter(wanted).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let shown: Vec<Value> = found
        .iter()
        .map(|function| match function.version {
            None if with_versions => lambda.shown_as(function, &format!("{}:{LATEST}", function.name)),
            _ => lambda.shown(function),
        })
        .collect();
    let marker = found.last().filter(|_| more).map(|last| last.reference());
    Ok(document(StatusCode::OK, &json!({ "Functions": shown, "NextMarker": marker })))
}

/// Where a marker stands among functions and their versions.
fn place(marker: &str) -> (&str, Option<u32>) {
    let (name, qualifier) = FunctionDefinition::split_reference(marker);
    (name, qualifier.and_then(version_number))
}

/// How many entries a page of a listing has; `most` may be asked for.
pub(super) fn limit(max_items: Option<&str>, most: i64) -> Result<usize, ServiceError> {
    let Some(text) = max_items else { return Ok(PAGE_MAX) };
    let Ok(wanted) = text.parse() else {
        return Err(ServiceError::new("SerializationException", format!("MaxItems {text} is no number")));
    };
    Constraints::new().range("maxItems", Some(wanted), 1, most).finish()?;
    Ok(usize::try_from(wanted).map_or(PAGE_MAX, |wanted| wanted.min(PAGE_MAX)))
}
