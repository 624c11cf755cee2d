//! `UpdateFunctionCode` and `UpdateFunctionConfiguration`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_function::{FunctionChange, check_revision};
use serde::Deserialize;
use serde_json::Value;

use super::create_function::{
    ARCHITECTURE, DeadLetterConfig, Environment, EphemeralStorage, dead_letter_target, limits, package, refuse_ended,
    refuse_surroundings, texts, unsupported,
};
use super::unserved::Unserved;
use super::{Lambda, function_name, input, log_group, variables};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CodeInput {
    zip_file: Option<String>,
    #[serde(rename = "S3Bucket")]
    s3_bucket: Option<String>,
    image_uri: Option<String>,
    architectures: Option<Vec<String>>,
    dry_run: Option<bool>,
    publish: Option<bool>,
    revision_id: Option<String>,
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
    dead_letter_config: Option<DeadLetterConfig>,
    layers: Option<Vec<String>>,
    vpc_config: Option<Value>,
    file_system_configs: Option<Vec<Value>>,
    ephemeral_storage: Option<EphemeralStorage>,
    revision_id: Option<String>,
    #[serde(flatten)]
    unserved: Unserved,
}

pub(super) async fn code(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let input: CodeInput = input(request)?;
    if input.s3_bucket.is_some() {
        return Err(unsupported("S3Bucket"));
    }
    if input.image_uri.is_some() {
        return Err(unsupported("ImageUri"));
    }
    if input.architectures.is_some_and(|architectures| architectures != [ARCHITECTURE]) {
        return Err(unsupported(&format!("Architectures other than {ARCHITECTURE}")));
    }
    let name = function_name(name);
    let package = package(input.zip_file)?;
    if input.dry_run == Some(true) {
        let function = lambda.functions.get(&name).map_err(|error| lambda.error(&error))?;
        let checked = check_revision(input.revision_id.as_deref(), &function.revision);
        checked.map_err(|error| lambda.error(&error))?;
        return Ok(document(StatusCode::OK, &lambda.shown(&function)));
    }
    let wanted = FunctionChange {
        package: Some(package),
        seen_revision: input.revision_id,
        publish: input.publish == Some(true),
        ..FunctionChange::default()
    };
    change(lambda, &name, wanted).await
}

pub(super) async fn configuration(
    lambda: &Lambda,
    request: &RestRequest,
    name: &str,
) -> Result<Response<Bytes>, ServiceError> {
    let input: ConfigurationInput = input(request)?;
    let mut constraints = Constraints::new();
    limits(&mut constraints, input.timeout, input.memory_size);
    texts(&mut constraints, input.role.as_deref(), input.handler.as_deref(), input.description.as_deref());
    constraints.finish()?;
    refuse_ended(input.runtime.as_deref())?;
    refuse_surroundings(&input.layers, &input.vpc_config, &input.file_system_configs, &input.ephemeral_storage)?;
    let name = function_name(name);
    input.unserved.refuse(&log_group(&name))?;
    variables::check(input.environment.as_ref().and_then(|environment| environment.variables.as_ref()))?;
    lambda.check_role(input.role.as_deref(), &name)?;
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let wanted = FunctionChange {
        runtime: input.runtime,
        handler: input.handler,
        description: input.description,
        role: input.role,
        timeout_seconds: number(input.timeout),
        memory_mib: number(input.memory_size),
        environment: input.environment.map(|environment| environment.variables.unwrap_or_default()),
        dead_letter_target: input.dead_letter_config.map(dead_letter_target).transpose()?,
        seen_revision: input.revision_id,
        ..FunctionChange::default()
    };
    change(lambda, &name, wanted).await
}

async fn change(lambda: &Lambda, name: &str, change: FunctionChange) -> Result<Response<Bytes>, ServiceError> {
    let changed = lambda.functions.update(name, change).await.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::OK, &lambda.shown(&changed)))
}
