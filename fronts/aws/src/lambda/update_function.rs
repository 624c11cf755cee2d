//! `UpdateFunctionCode` and `UpdateFunctionConfiguration`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_function::FunctionChange;
use serde::Deserialize;

use super::create_function::{Environment, limits, package, unsupported};
use super::{Lambda, function_name, input};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CodeInput {
    zip_file: Option<String>,
    #[serde(rename = "S3Bucket")]
    s3_bucket: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigurationInput {
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<i64>,
    memory_size: Option<i64>,
    environment: Option<Environment>,
}

pub(super) async fn code(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let input: CodeInput = input(request)?;
    if input.s3_bucket.is_some() {
        return Err(unsupported("S3Bucket"));
    }
    let name = function_name(name);
    let package = package(input.zip_file)?;
    if input.dry_run == Some(true) {
        let function = lambda.functions.get(&name).map_err(|error| lambda.error(&error))?;
        return Ok(document(StatusCode::OK, &lambda.shown(&function)));
    }
    change(lambda, &name, FunctionChange { package: Some(package), ..FunctionChange::default() }).await
}

pub(super) async fn configuration(
    lambda: &Lambda,
    request: &RestRequest,
    name: &str,
) -> Result<Response<Bytes>, ServiceError> {
    let input: ConfigurationInput = input(request)?;
    let mut constraints = Constraints::new();
    limits(&mut constraints, input.timeout, input.memory_size);
    constraints.finish()?;
    lambda.check_role(input.role.as_deref())?;
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let wanted = FunctionChange {
        runtime: input.runtime,
        handler: input.handler,
        description: input.description,
        role: input.role,
        timeout_seconds: number(input.timeout),
        memory_mib: number(input.memory_size),
        environment: input.environment.map(|environment| environment.variables.unwrap_or_default()),
        concurrency_limit: None,
        package: None,
    };
    change(lambda, &function_name(name), wanted).await
}

async fn change(lambda: &Lambda, name: &str, change: FunctionChange) -> Result<Response<Bytes>, ServiceError> {
    let function = lambda.functions.update(name, change).await.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::OK, &lambda.shown(&function)))
}
