//! `CreateAlias`, `GetAlias`, `UpdateAlias`, `DeleteAlias`, `ListAliases`

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_catalog::{ALIAS_PARTS, AliasSplit, FunctionAlias, LATEST, version_number};
use millstream_function::AliasChange;
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_function::invalid;
use super::get_function::{MAX_ITEMS_MAX, limit};
use super::{Lambda, function_name, input};
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<RoutingConfig>,
    revision_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoutingConfig {
    #[serde(default)]
    additional_version_weights: BTreeMap<String, f64>,
}

/// Every operation, by method; `alias` is none for those on all of a function's aliases.
pub(super) async fn call(
    lambda: &Lambda,
    request: &RestRequest,
    function: &str,
    alias: Option<&str>,
) -> Result<Response<Bytes>, ServiceError> {
    let function = function_name(function);
    match (&request.method, alias) {
        (&Method::POST, None) => create(lambda, request, &function).await,
        (&Method::GET, None) => list(lambda, request, &function),
        (&Method::GET, Some(name)) => {
            let alias = lambda.functions.alias(&function, name).map_err(|error| lambda.error(&error))?;
            Ok(document(StatusCode::OK, &shown(lambda, &function, name, &alias)))
        }
        (&Method::PUT, Some(name)) => update(lambda, request, &function, name).await,
        (&Method::DELETE, Some(name)) => {
            lambda.functions.delete_alias(&function, name).await.map_err(|error| lambda.error(&error))?;
            Ok(lambda.no_content())
        }
        _ => Err(super::unknown(request)),
    }
}

async fn create(lambda: &Lambda, request: &RestRequest, function: &str) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    let name = input.name.as_deref();
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let mut constraints = Constraints::new();
    constraints
        .required("name", input.name.as_ref())
        .length("name", name, 1, 128)
        .characters("name", name, allowed, "(?!^[0-9]+$)([a-zA-Z0-9-_]+)")
        .required("functionVersion", input.function_version.as_ref())
        .length("description", input.description.as_deref(), 0, 256);
    if let Some(number) = name.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        let constraint = "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
        constraints.broken("name", Some(number), constraint);
    }
    constraints.finish()?;
    let name = input.name.clone().unwrap_or_default();
    let made = lambda.functions.create_alias(function, &name, change(input)?).await;
    let made = made.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::CREATED, &shown(lambda, function, &name, &made)))
}

async fn update(
    lambda: &Lambda,
    request: &RestRequest,
    function: &str,
    name: &str,
) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    Constraints::new().length("description", input.description.as_deref(), 0, 256).finish()?;
    let changed = lambda.functions.update_alias(function, name, change(input)?).await;
    let changed = changed.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::OK, &shown(lambda, function, name, &changed)))
}

/// The marker is the name of the last alias of the page before.
fn list(lambda: &Lambda, request: &RestRequest, function: &str) -> Result<Response<Bytes>, ServiceError> {
    let parameters = request.parameters();
    let limit = limit(parameters.get("MaxItems").map(String::as_str), MAX_ITEMS_MAX)?;
    let definition = lambda.functions.get(function).map_err(|error| lambda.error(&error))?;
    let of = parameters.get("FunctionVersion").map(|text| version(text)).transpose()?;
    let after = parameters.get("Marker").cloned().unwrap_or_default();
    let wanted = |name: &str, alias: &FunctionAlias| name > after.as_str() && of.is_none_or(|of| alias.version == of);
    let mut found: Vec<_> = definition.aliases.iter().filter(|(name, alias)| wanted(name, alias)).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let marker = found.last().filter(|_| more).map(|(name, _)| (*name).clone());
    let all: Vec<Value> = found.iter().map(|(name, alias)| shown(lambda, function, name, alias)).collect();
    Ok(document(StatusCode::OK, &json!({ "Aliases": all, "NextMarker": marker })))
}

fn change(input: Input) -> Result<AliasChange, ServiceError> {
    Ok(AliasChange {
        description: input.description,
        version: input.function_version.as_deref().map(version).transpose()?,
        split: input.routing_config.map(split).transpose()?,
        seen_revision: input.revision_id,
    })
}

/// The number of a version; `None` for the function itself.
fn version(text: &str) -> Result<Option<u32>, ServiceError> {
    let number = version_number(text);
    if number.is_none() && text != LATEST {
        let constraint = r"Member must satisfy regular expression pattern: (\$LATEST|[0-9]+)";
        Constraints::new().broken("functionVersion", Some(text), constraint).finish()?;
    }
    Ok(number)
}

/// The second version of an alias, if it has one: one at most.
fn split(config: RoutingConfig) -> Result<Option<AliasSplit>, ServiceError> {
    let weights = config.additional_version_weights;
    if weights.len() > 1 {
        return Err(invalid("Number of items in AdditionalVersionWeights cannot be greater than 1.".to_owned()));
    }
    let Some((number, weight)) = weights.into_iter().next() else { return Ok(None) };
    if !(0.0..=1.0).contains(&weight) {
        return Err(invalid(format!("Invalid value {weight} for AdditionalVersionWeights: expected 0.0 to 1.0")));
    }
    let Some(version) = version(&number)? else {
        return Err(invalid("$LATEST is not supported for an alias with AdditionalVersionWeights.".to_owned()));
    };
    Ok(Some(AliasSplit { version, parts: (weight * f64::from(ALIAS_PARTS)).round() as u32 }))
}

fn shown(lambda: &Lambda, function: &str, name: &str, alias: &FunctionAlias) -> Value {
    let mut shown = json!({
        "AliasArn": lambda.arn(&format!("{function}:{name}")),
        "Name": name,
        "FunctionVersion": alias.version.map_or_else(|| LATEST.to_owned(), |number| number.to_string()),
        "Description": alias.description,
        "RevisionId": alias.revision,
    });
    if let Some(AliasSplit { version, parts }) = alias.split {
        let weight = f64::from(parts) / f64::from(ALIAS_PARTS);
        shown["RoutingConfig"] = json!({ "AdditionalVersionWeights": { version.to_string(): weight } });
    }
    shown
}
