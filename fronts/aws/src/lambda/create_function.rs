//! `CreateFunction`

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_function::NewFunction;
use serde::Deserialize;
use serde_json::Value;

use super::unserved::Unserved;
use super::{Lambda, error::typed, function_name, input, log_group, variables};
use crate::destination::Target;
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

/// The service's own defaults.
const TIMEOUT_SECONDS: i64 = 3;
const MEMORY_MIB: i64 = 128;

/// What all functions of this node have.
pub(super) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
pub(super) const EPHEMERAL_STORAGE_MIB: i64 = 512;

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
    dead_letter_config: Option<DeadLetterConfig>,
    tags: Option<BTreeMap<String, String>>,
    architectures: Option<Vec<String>>,
    publish: Option<bool>,
    layers: Option<Vec<String>>,
    vpc_config: Option<Value>,
    file_system_configs: Option<Vec<Value>>,
    ephemeral_storage: Option<EphemeralStorage>,
    package_type: Option<String>,
    code: Option<Code>,
    #[serde(flatten)]
    unserved: Unserved,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Environment {
    pub(super) variables: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeadLetterConfig {
    target_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EphemeralStorage {
    size: Option<i64>,
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
    texts(&mut constraints, input.role.as_deref(), input.handler.as_deref(), input.description.as_deref());
    constraints.finish()?;
    refuse_ended(input.runtime.as_deref())?;
    if input.package_type.as_deref().is_some_and(|kind| kind != "Zip") {
        return Err(unsupported("PackageType other than Zip"));
    }
    if input.architectures.is_some_and(|architectures| architectures != [ARCHITECTURE]) {
        return Err(unsupported(&format!("Architectures other than {ARCHITECTURE}")));
    }
    refuse_surroundings(&input.layers, &input.vpc_config, &input.file_system_configs, &input.ephemeral_storage)?;
    input.unserved.refuse(&log_group(name.as_deref().unwrap_or_default()))?;
    variables::check(input.environment.as_ref().and_then(|environment| environment.variables.as_ref()))?;
    let dead_letter_target = input.dead_letter_config.map(dead_letter_target).transpose()?.flatten();
    lambda.check_role(input.role.as_deref(), name.as_deref().unwrap_or_default())?;
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
        dead_letter_target,
        tags: input.tags.unwrap_or_default(),
        package,
        publish: input.publish == Some(true),
    };
    let made = lambda.functions.create(new).await.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::CREATED, &lambda.shown(&made)))
}

/// Refuses runtimes whose end came before any that a machine has: handlers of theirs have another signature. Later ones that
/// have ended in the service are run as what the machine has.
pub(super) fn refuse_ended(runtime: Option<&str>) -> Result<(), ServiceError> {
    match runtime {
        Some(ended @ ("nodejs" | "nodejs4.3" | "nodejs4.3-edge")) => Err(invalid(format!(
            "The runtime parameter of {ended} is no longer supported for creating or updating AWS Lambda functions. We \
             recommend you use a newer runtime (nodejs22.x) while creating or updating functions."
        ))),
        _ => Ok(()),
    }
}

/// The target of a dead letter configuration; an empty one takes it away.
pub(super) fn dead_letter_target(config: DeadLetterConfig) -> Result<Option<String>, ServiceError> {
    let Some(target) = config.target_arn.filter(|target| !target.is_empty()) else { return Ok(None) };
    match Target::parse(&target) {
        Some(Target::Queue(_) | Target::Topic(_)) => Ok(Some(target)),
        _ => {
            Err(invalid(format!("The provided dead letter target {target} is neither an SQS queue nor an SNS topic.")))
        }
    }
}

/// What a function may ask for around itself and this node does not have.
pub(super) fn refuse_surroundings(
    layers: &Option<Vec<String>>,
    vpc: &Option<Value>,
    file_systems: &Option<Vec<Value>>,
    storage: &Option<EphemeralStorage>,
) -> Result<(), ServiceError> {
    let named = |list: Option<usize>| list.is_some_and(|length| length > 0);
    if named(layers.as_ref().map(Vec::len)) {
        return Err(unsupported("Layers"));
    }
    let subnets = vpc.as_ref().and_then(|vpc| vpc.get("SubnetIds")?.as_array().map(Vec::len));
    if named(subnets) {
        return Err(unsupported("VpcConfig"));
    }
    if named(file_systems.as_ref().map(Vec::len)) {
        return Err(unsupported("FileSystemConfigs"));
    }
    match storage.as_ref().and_then(|storage| storage.size) {
        Some(size) if size != EPHEMERAL_STORAGE_MIB => {
            Err(unsupported(&format!("EphemeralStorage other than {EPHEMERAL_STORAGE_MIB}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn limits(constraints: &mut Constraints, timeout: Option<i64>, memory: Option<i64>) {
    constraints.range("timeout", timeout, 1, 900).range("memorySize", memory, 128, 10_240);
}

pub(super) fn texts(
    constraints: &mut Constraints,
    role: Option<&str>,
    handler: Option<&str>,
    description: Option<&str>,
) {
    let is_role = |role: &str| role.starts_with("arn:aws") && role.contains(":iam::") && role.contains(":role/");
    if let Some(role) = role.filter(|role| !is_role(role)) {
        let pattern = "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+";
        constraints.broken("role", Some(role), &format!("Member must satisfy regular expression pattern: {pattern}"));
    }
    constraints
        .length("handler", handler, 1, 128)
        .characters("handler", handler, |char| !char.is_whitespace(), "[^\\s]+")
        .length("description", description, 0, 256);
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
    invalid(format!("{feature} is not supported by this node"))
}

pub(super) fn invalid(message: String) -> ServiceError {
    typed(400, "InvalidParameterValueException", message)
}
