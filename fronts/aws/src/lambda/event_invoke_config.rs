//! `PutFunctionEventInvokeConfig`, `UpdateFunctionEventInvokeConfig`, `GetFunctionEventInvokeConfig`,
//! `ListFunctionEventInvokeConfigs`, `DeleteFunctionEventInvokeConfig`

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_catalog::{AsyncPolicy, FunctionDefinition, LATEST, version_number};
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_function::invalid;
use super::error::typed;
use super::get_function::limit;
use super::qualifier::Qualified;
use super::{Lambda, input};
use crate::destination::Target;
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    maximum_retry_attempts: Option<i64>,
    maximum_event_age_in_seconds: Option<i64>,
    destination_config: Option<DestinationConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationConfig {
    on_success: Option<DestinationInput>,
    on_failure: Option<DestinationInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DestinationInput {
    destination: Option<String>,
}

/// The most configurations of a page: the service's own bound.
const MAX_ITEMS_MAX: i64 = 50;

/// Every operation, by method; `rest` is what follows the path that they share.
pub(super) async fn call(
    lambda: &Lambda,
    request: &RestRequest,
    method: &Method,
    name: &str,
    rest: &[&str],
) -> Result<Response<Bytes>, ServiceError> {
    let of = Qualified::of(request, name)?;
    let function = lambda.functions.get(&of.name).map_err(|error| lambda.error(&error))?;
    match (method, rest) {
        (&Method::PUT, []) => {
            let written = written(lambda, request, &of)?;
            let function = change(lambda, &of, |_| Some(written(AsyncPolicy::default()))).await?;
            answer(lambda, &function, &of)
        }
        (&Method::POST, []) => {
            let written = written(lambda, request, &of)?;
            let function = change(lambda, &of, |before| before.map(written)).await?;
            answer(lambda, &function, &of)
        }
        (&Method::GET, []) => answer(lambda, &function, &of),
        (&Method::GET, ["list"]) => {
            // Of the function alone, there is none with a qualifier: who may look at that may not look at all of them.
            let function = lambda.functions.get(&of.reference()).map_err(|error| lambda.error(&error))?;
            list(lambda, request, &function)
        }
        (&Method::DELETE, []) => {
            answer(lambda, &function, &of)?;
            change(lambda, &of, |_| None).await?;
            Ok(lambda.no_content())
        }
        _ => Err(ServiceError {
            status: 404,
            ..ServiceError::unknown_operation("Lambda", &format!("{method} {}", request.path))
        }),
    }
}

/// The configuration of what a request is about, if that has one.
fn answer(lambda: &Lambda, function: &FunctionDefinition, of: &Qualified) -> Result<Response<Bytes>, ServiceError> {
    let missing = || {
        let message = format!("The function {} doesn't have an EventInvokeConfig", arn(lambda, of));
        typed(404, "ResourceNotFoundException", message)
    };
    let policy = function.async_policy_of(of.qualifier.as_deref()).ok_or_else(missing)?;
    Ok(document(StatusCode::OK, &shown(lambda, of, policy)))
}

async fn change(
    lambda: &Lambda,
    of: &Qualified,
    change: impl FnOnce(Option<AsyncPolicy>) -> Option<AsyncPolicy>,
) -> Result<Arc<FunctionDefinition>, ServiceError> {
    let changed = lambda.functions.change_async_policy(&of.name, of.qualifier.as_deref(), change).await;
    changed.map_err(|error| lambda.error(&error))
}

/// The function's own comes first, then those of versions, then those of aliases; the marker is the last qualifier of the
/// page before.
fn list(
    lambda: &Lambda,
    request: &RestRequest,
    function: &FunctionDefinition,
) -> Result<Response<Bytes>, ServiceError> {
    let parameters = request.parameters();
    let limit = limit(parameters.get("MaxItems").map(String::as_str), MAX_ITEMS_MAX)?;
    let after = parameters.get("Marker").filter(|marker| !marker.is_empty()).map(|marker| place(marker));
    let versions = function.all_versions().map(|version| (version.version_text(), &version.asynchronous));
    let aliases = function.aliases.iter().map(|(name, alias)| (name.clone(), &alias.asynchronous));
    let all = versions.chain(aliases).filter_map(|(qualifier, policy)| Some((qualifier, policy.as_ref()?)));
    let mut found: Vec<(String, &AsyncPolicy)> =
        all.filter(|(qualifier, _)| after.is_none_or(|after| place(qualifier) > after)).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let marker = found.last().filter(|_| more).map(|(qualifier, _)| qualifier.clone());
    let shown: Vec<Value> = found
        .into_iter()
        .map(|(qualifier, policy)| {
            let qualifier = Some(qualifier).filter(|qualifier| qualifier != LATEST);
            shown(lambda, &Qualified { name: function.name.clone(), qualifier }, policy)
        })
        .collect();
    Ok(document(StatusCode::OK, &json!({ "FunctionEventInvokeConfigs": shown, "NextMarker": marker })))
}

/// Where a qualifier stands in a listing.
fn place(qualifier: &str) -> (bool, Option<u32>, &str) {
    let number = version_number(qualifier);
    let alias = if qualifier == LATEST || number.is_some() { "" } else { qualifier };
    (!alias.is_empty(), number, alias)
}

/// What a request writes over a policy: what it does not name stays.
fn written(
    lambda: &Lambda,
    request: &RestRequest,
    of: &Qualified,
) -> Result<impl FnOnce(AsyncPolicy) -> AsyncPolicy + use<>, ServiceError> {
    let input: Input = input(request)?;
    lambda.functions.find(&of.reference()).map_err(|error| lambda.error(&error))?;
    let (retries, age) = (input.maximum_retry_attempts, input.maximum_event_age_in_seconds);
    let mut constraints = Constraints::new();
    constraints.range("maximumRetryAttempts", retries, 0, 2).range("maximumEventAgeInSeconds", age, 60, 21_600);
    constraints.finish()?;
    if retries.is_none() && age.is_none() && input.destination_config.is_none() {
        return Err(invalid("You must specify at least one of error handling or destination setting.".to_owned()));
    }
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let (retries, age) = (number(retries), number(age));
    let targets = match input.destination_config {
        Some(config) => Some((target(config.on_success)?, target(config.on_failure)?)),
        None => None,
    };
    for target in targets.iter().flat_map(|(on_success, on_failure)| on_success.iter().chain(on_failure)) {
        lambda.check_target(&of.reference(), target, |operation| {
            format!("The function's execution role does not have permissions to call {operation} on {target}")
        })?;
    }
    let modified = lambda.functions.time();
    Ok(move |before: AsyncPolicy| {
        let (on_success, on_failure) = targets.unwrap_or((before.on_success, before.on_failure));
        AsyncPolicy {
            retries_max: retries.or(before.retries_max),
            age_max_seconds: age.or(before.age_max_seconds),
            on_success,
            on_failure,
            modified,
        }
    })
}

fn target(input: Option<DestinationInput>) -> Result<Option<String>, ServiceError> {
    let Some(arn) = input.and_then(|input| input.destination).filter(|arn| !arn.is_empty()) else { return Ok(None) };
    if Target::parse(&arn).is_none() {
        return Err(invalid(format!(
            "The destination ARN {arn} is invalid: expected a queue, a topic or a function; buses and buckets are not \
             supported by this node"
        )));
    }
    Ok(Some(arn))
}

/// The function itself is named as one of its versions here.
fn arn(lambda: &Lambda, of: &Qualified) -> String {
    lambda.arn(&format!("{}:{}", of.name, of.qualifier.as_deref().unwrap_or(LATEST)))
}

fn shown(lambda: &Lambda, of: &Qualified, policy: &AsyncPolicy) -> Value {
    let destination = |target: &Option<String>| target.as_ref().map_or(json!({}), |arn| json!({ "Destination": arn }));
    let mut shown = json!({
        "LastModified": policy.modified / 1_000,
        "FunctionArn": arn(lambda, of),
        "DestinationConfig": {
            "OnSuccess": destination(&policy.on_success),
            "OnFailure": destination(&policy.on_failure),
        },
    });
    if let Some(retries) = policy.retries_max {
        shown["MaximumRetryAttempts"] = json!(retries);
    }
    if let Some(age) = policy.age_max_seconds {
        shown["MaximumEventAgeInSeconds"] = json!(age);
    }
    shown
}
