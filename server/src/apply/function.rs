//! Carrying out what a pipeline file says of functions.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_catalog::pipeline::{AsyncSpec, FunctionSpec, FunctionTarget};
use millstream_catalog::{AsyncPolicy, FunctionDefinition};
use millstream_function::{FunctionChange, FunctionError, NewFunction};

use super::carry_out::Outcome;
use crate::node::Engines;

/// Makes a function, or changes the one of its name. What the file does not name (a role, targets) stays as calls have set it.
pub(super) async fn function(
    engines: &Engines,
    spec: &FunctionSpec,
    package: Option<&String>,
) -> anyhow::Result<Outcome> {
    let package = package.with_context(|| format!("the package of {} was not sent", spec.code.value.display()))?;
    let package = Bytes::from(STANDARD.decode(package).context("the package is no base64")?);
    let new = NewFunction {
        name: spec.name.clone(),
        runtime: spec.runtime.value.clone(),
        handler: spec.handler.clone(),
        role: engines.authorizer.role_named(spec.role.as_deref())?,
        timeout_seconds: spec.timeout_seconds,
        memory_mib: spec.memory_mib,
        environment: environment(spec),
        concurrency_limit: spec.concurrency_limit,
        dead_letter_target: spec.dead_letter.as_ref().map(|target| arn(engines, target)),
        package,
        ..NewFunction::default()
    };
    let made = match engines.functions.create(new.clone()).await {
        Ok(_) => Outcome::Created,
        Err(FunctionError::Exists { .. }) => change(engines, spec, new).await?,
        Err(error) => return Err(error.into()),
    };
    let told = match &spec.asynchronous {
        Some(asynchronous) => treat_asynchronous(engines, &spec.name, asynchronous).await?,
        None => Outcome::Unchanged,
    };
    Ok(if made == Outcome::Unchanged { told } else { made })
}

/// Changes a function that is not as described.
async fn change(engines: &Engines, spec: &FunctionSpec, new: NewFunction) -> anyhow::Result<Outcome> {
    let found = engines.functions.get(&spec.name)?;
    if is_as_described(&found, spec, &new) {
        return Ok(Outcome::Unchanged);
    }
    let change = FunctionChange {
        runtime: Some(new.runtime),
        handler: Some(new.handler),
        role: spec.role.is_some().then_some(new.role),
        timeout_seconds: Some(new.timeout_seconds),
        memory_mib: Some(new.memory_mib),
        environment: Some(new.environment),
        concurrency_limit: Some(new.concurrency_limit),
        dead_letter_target: spec.dead_letter.is_some().then_some(new.dead_letter_target),
        package: Some(new.package),
        ..FunctionChange::default()
    };
    engines.functions.update(&spec.name, change).await?;
    Ok(Outcome::Updated)
}

fn is_as_described(found: &FunctionDefinition, spec: &FunctionSpec, new: &NewFunction) -> bool {
    found.runtime == new.runtime
        && found.handler == new.handler
        && (spec.role.is_none() || found.role == new.role)
        && found.timeout_seconds == new.timeout_seconds
        && found.memory_mib == new.memory_mib
        && found.environment == new.environment
        && found.concurrency_limit == new.concurrency_limit
        && (spec.dead_letter.is_none() || found.dead_letter_target == new.dead_letter_target)
        && found.code_bytes == new.package.len() as u64
        && found.code_hash == code_hash(&new.package)
}

/// Sets how asynchronous invocations are treated. Targets that the file does not name stay as calls have set them.
async fn treat_asynchronous(engines: &Engines, name: &str, spec: &AsyncSpec) -> anyhow::Result<Outcome> {
    let [on_success, on_failure] =
        [&spec.on_success, &spec.on_failure].map(|target| Some(arn(engines, target.as_ref()?)));
    let said = |before: AsyncPolicy| AsyncPolicy {
        retries_max: spec.retries_max,
        age_max_seconds: spec.age_max_seconds,
        on_success: on_success.clone().or(before.on_success),
        on_failure: on_failure.clone().or(before.on_failure),
        modified: before.modified,
    };
    let before = engines.functions.get(name)?.asynchronous.clone();
    if before.clone().is_some_and(|before| said(before.clone()) == before) {
        return Ok(Outcome::Unchanged);
    }
    let modified = engines.functions.time();
    let change = |before: Option<AsyncPolicy>| Some(AsyncPolicy { modified, ..said(before.unwrap_or_default()) });
    engines.functions.change_async_policy(name, None, change).await?;
    Ok(Outcome::Updated)
}

/// How calls would name a target.
fn arn(engines: &Engines, target: &FunctionTarget) -> String {
    match target {
        FunctionTarget::Queue(name) => engines.place.arn("sqs", name),
        FunctionTarget::Topic(name) => engines.place.arn("sns", name),
        FunctionTarget::Function(name) => engines.place.arn("lambda", &format!("function:{name}")),
    }
}

/// SHA-256 in base64, as function definitions name their packages.
fn code_hash(package: &[u8]) -> String {
    use sha2::Digest as _;
    STANDARD.encode(sha2::Sha256::digest(package))
}

/// The function's variables; `${millstream}` in a value stands for this binary.
fn environment(spec: &FunctionSpec) -> BTreeMap<String, String> {
    let binary = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    spec.environment.iter().map(|(name, value)| (name.clone(), value.replace("${millstream}", &binary))).collect()
}
