//! `CreateFunction`

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_function::NewFunction;
use serde::Deserialize;

use super::{Lambda, error::typed, function_name, input};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

/// The service's own defaults.
const TIMEOUT_SECONDS: i64 = 3;
const MEMORY_MIB: i64 = 128;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: Option<String>,
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<i64>,
    memory_size: Option<i64>,
    environment: Option<Environment>,
    package_type: Option<String>,
    code: Option<Code>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Environment {
    pub(super) variables: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Code {
    zip_file: Option<String>,
    #[serde(rename = "S3Bucket")]
    s3_bucket: Option<String>,
    image_uri: Option<String>,
}

pub(super) async fn call(lambda: &Lambda, request: &RestRequest) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    let name = input.function_name.as_deref().map(function_name);
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let mut constraints = Constraints::new();
    constraints
        .required("functionName", name.as_ref())
        .length("functionName", name.as_deref(), 1, 64)
        .characters("functionName", name.as_deref(), allowed, "[a-zA-Z0-9-_]+")
        .required("role", input.role.as_ref())
        .required("code", input.code.as_ref())
        .required("runtime", input.runtime.as_ref())
        .required("handler", input.handler.as_ref());
    limits(&mut constraints, input.timeout, input.memory_size);
    constraints.finish()?;
    if input.package_type.as_deref().is_some_and(|kind| kind != "Zip") {
        return Err(unsupported("PackageType other than Zip"));
    }
    lambda.check_role(input.role.as_deref())?;
    let code = input.code.unwrap_or(Code { zip_file: None, s3_bucket: None, image_uri: None });
    let package = match code {
        Code { s3_bucket: Some(_), .. } => return Err(unsupported("Code.S3Bucket")),
        Code { image_uri: Some(_), .. } => return Err(unsupported("Code.ImageUri")),
        Code { zip_file, .. } => package(zip_file)?,
    };
    let new = NewFunction {
        name: name.unwrap_or_default(),
        runtime: input.runtime.unwrap_or_default(),
        handler: input.handler.unwrap_or_default(),
        description: input.description.unwrap_or_default(),
        role: input.role.unwrap_or_default(),
        timeout_seconds: u32::try_from(input.timeout.unwrap_or(TIMEOUT_SECONDS)).unwrap_or(3),
        memory_mib: u32::try_from(input.memory_size.unwrap_or(MEMORY_MIB)).unwrap_or(128),
        environment: input.environment.and_then(|environment| environment.variables).unwrap_or_default(),
        concurrency_limit: None,
        package,
    };
    let made = lambda.functions.create(new).await.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::CREATED, &lambda.shown(&made)))
}

pub(super) fn limits(constraints: &mut Constraints, timeout: Option<i64>, memory: Option<i64>) {
    constraints.range("timeout", timeout, 1, 900).range("memorySize", memory, 128, 10_240);
}

/// The package of a `ZipFile` member.
pub(super) fn package(zip_file: Option<String>) -> Result<Bytes, ServiceError> {
    let Some(encoded) = zip_file else {
        return Err(typed(
            400,
            "InvalidParameterValueException",
            "Please provide a source for function code.".to_owned(),
        ));
    };
    STANDARD
        .decode_to_vec(encoded)
        .map(Bytes::from)
        .map_err(|_| ServiceError::new("SerializationException", "ZipFile is no base64"))
}

pub(super) fn unsupported(feature: &str) -> ServiceError {
    typed(400, "InvalidParameterValueException", format!("{feature} is not supported by this node"))
}
