//! `PutFunctionEventInvokeConfig`, `UpdateFunctionEventInvokeConfig`, `GetFunctionEventInvokeConfig`,
//! `ListFunctionEventInvokeConfigs`, `DeleteFunctionEventInvokeConfig`

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_catalog::{AsyncPolicy, FunctionDefinition};
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_function::invalid;
use super::error::typed;
use super::{Lambda, function_name, input};
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

/// Every operation, by method; `rest` is what follows the path that they share.
pub(super) async fn call(
    lambda: &Lambda,
    request: &RestRequest,
    method: &Method,
    name: &str,
    rest: &[&str],
) -> Result<Response<Bytes>, ServiceError> {
    let name = function_name(name);
    let function = lambda.functions.get(&name).map_err(|error| lambda.error(&error))?;
    match (method, rest) {
        (&Method::PUT, []) => put(lambda, request, &function, None).await,
        (&Method::POST, []) => put(lambda, request, &function, Some(policy(lambda, &function)?)).await,
        (&Method::GET, []) => Ok(document(StatusCode::OK, &shown(lambda, &function, policy(lambda, &function)?))),
        (&Method::GET, ["list"]) => {
            let policies = function.asynchronous.iter().map(|policy| shown(lambda, &function, policy));
            let list: Vec<Value> = policies.collect();
            Ok(document(StatusCode::OK, &json!({ "FunctionEventInvokeConfigs": list })))
        }
        (&Method::DELETE, []) => {
            policy(lambda, &function)?;
            lambda.functions.set_async_policy(&name, None).await.map_err(|error| lambda.error(&error))?;
            Ok(lambda.no_content())
        }
        _ => Err(ServiceError {
            status: 404,
            ..ServiceError::unknown_operation("Lambda", &format!("{method} {}", request.path))
        }),
    }
}

fn policy<'a>(lambda: &Lambda, function: &'a FunctionDefinition) -> Result<&'a AsyncPolicy, ServiceError> {
    let arn = lambda.arn(&format!("{}:$LATEST", function.name));
    let missing = || {
        let message = format!("The function {arn} doesn't have an EventInvokeConfig");
        typed(404, "ResourceNotFoundException", message)
    };
    function.asynchronous.as_ref().ok_or_else(missing)
}

/// Writes a policy anew, or over what it was where the request names nothing.
async fn put(
    lambda: &Lambda,
    request: &RestRequest,
    function: &FunctionDefinition,
    before: Option<&AsyncPolicy>,
) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    let (retries, age) = (input.maximum_retry_attempts, input.maximum_event_age_in_seconds);
    let mut constraints = Constraints::new();
    constraints.range("maximumRetryAttempts", retries, 0, 2).range("maximumEventAgeInSeconds", age, 60, 21_600);
    constraints.finish()?;
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let (on_success, on_failure) = match input.destination_config {
        Some(config) => (target(config.on_success)?, target(config.on_failure)?),
        None => before.map_or((None, None), |before| (before.on_success.clone(), before.on_failure.clone())),
    };
    for target in on_success.iter().chain(&on_failure) {
        lambda.check_target(&function.name, target, |operation| {
            format!("The function's execution role does not have permissions to call {operation} on {target}")
        })?;
    }
    let policy = AsyncPolicy {
        retries_max: number(retries).or_else(|| before?.retries_max),
        age_max_seconds: number(age).or_else(|| before?.age_max_seconds),
        on_success,
        on_failure,
        modified: lambda.functions.time(),
    };
    let answer = shown(lambda, function, &policy);
    let set = lambda.functions.set_async_policy(&function.name, Some(policy)).await;
    set.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::OK, &answer))
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

fn shown(lambda: &Lambda, function: &FunctionDefinition, policy: &AsyncPolicy) -> Value {
    let destination = |target: &Option<String>| target.as_ref().map_or(json!({}), |arn| json!({ "Destination": arn }));
    let mut shown = json!({
        "LastModified": policy.modified / 1_000,
        "FunctionArn": lambda.arn(&format!("{}:$LATEST", function.name)),
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
