//! `PutFunctionConcurrency`, `GetFunctionConcurrency`, `DeleteFunctionConcurrency`

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::create_function::invalid;
use super::{Lambda, function_name, input};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    reserved_concurrent_executions: Option<i64>,
}

pub(super) async fn put(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let wanted = input::<Input>(request)?.reserved_concurrent_executions;
    let mut constraints = Constraints::new();
    constraints.required("reservedConcurrentExecutions", wanted.as_ref());
    constraints.range("reservedConcurrentExecutions", wanted, 0, i64::from(u32::MAX));
    constraints.finish()?;
    let limit = u32::try_from(wanted.unwrap_or_default()).unwrap_or(u32::MAX);
    let node = lambda.functions.concurrency_max();
    if limit as usize > node {
        return Err(invalid(format!("Specified ReservedConcurrentExecutions is above this node's {node} processes.")));
    }
    set(lambda, name, Some(limit)).await?;
    Ok(document(StatusCode::OK, &json!({ "ReservedConcurrentExecutions": limit })))
}

pub(super) fn get(lambda: &Lambda, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let function = lambda.functions.get(&function_name(name)).map_err(|error| lambda.error(&error))?;
    let shown = function.concurrency_limit.map_or(json!({}), |limit| json!({ "ReservedConcurrentExecutions": limit }));
    Ok(document(StatusCode::OK, &shown))
}

pub(super) async fn delete(lambda: &Lambda, name: &str) -> Result<Response<Bytes>, ServiceError> {
    set(lambda, name, None).await?;
    Ok(lambda.no_content())
}

async fn set(lambda: &Lambda, name: &str, limit: Option<u32>) -> Result<(), ServiceError> {
    let set = lambda.functions.set_concurrency_limit(&function_name(name), limit).await;
    set.map(drop).map_err(|error| lambda.error(&error))
}
