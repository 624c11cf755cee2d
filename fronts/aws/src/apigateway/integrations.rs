//! What methods call: `PutIntegration`, `GetIntegration`, `UpdateIntegration`, `DeleteIntegration`

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::Integration;
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::integration_responses;
use super::methods::{Place, check_verb, edit, find, invalid, not_found};
use super::patch::{self, PatchOperation};
use super::{Answer, ApiGateway, Unknown, bad_request, input, refuse};
use crate::json_protocol::ServiceError;
use crate::place::resource;
use crate::rest_protocol::RestRequest;

/// How long an integration may take, in milliseconds: the service's bounds, of which the last is the default.
const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 50..=29_000;

/// What bodies without a template of their own become.
const PASSTHROUGH: [&str; 3] = ["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(rename = "type")]
    kind: Option<String>,
    http_method: Option<String>,
    uri: Option<String>,
    request_parameters: Option<BTreeMap<String, String>>,
    request_templates: Option<BTreeMap<String, Option<String>>>,
    passthrough_behavior: Option<String>,
    timeout_in_millis: Option<u32>,
    credentials: Option<String>,
    content_handling: Option<String>,
    connection_type: Option<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) async fn put(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    unsupported_contents(input.content_handling.as_deref())?;
    if let Some(other) = input.connection_type.filter(|connection| connection != "INTERNET") {
        return Err(bad_request(format!("connectionType {other} is not supported by this node")));
    }
    let mut integration = Integration {
        kind: input.kind.unwrap_or_default(),
        function: None,
        uri: input.uri.unwrap_or_default(),
        role: input.credentials.unwrap_or_default(),
        http_method: input.http_method.unwrap_or_default(),
        request_parameters: input.request_parameters.unwrap_or_default(),
        request_templates: given(input.request_templates),
        passthrough: input.passthrough_behavior.unwrap_or_else(|| PASSTHROUGH[0].to_owned()),
        timeout_ms: input.timeout_in_millis,
        responses: BTreeMap::new(),
    };
    check(front, place, &mut integration)?;
    let answer = shown(&integration);
    edit(front, place, |method| {
        method.integration = Some(integration);
        Ok(())
    })
    .await?;
    Ok((StatusCode::CREATED, answer))
}

pub(super) fn get(front: &ApiGateway, place: &Place<'_>) -> Answer {
    Ok((StatusCode::OK, shown(&find_integration(front, place)?)))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let operations = patch::operations(request)?;
    let mut checked = find_integration(front, place)?;
    patch::apply(&operations, &mut checked, apply).map_err(bad_request)?;
    check(front, place, &mut checked)?;
    let changed = edit_integration(front, place, |known| {
        patch::apply(&operations, known, apply).map_err(invalid)?;
        check(front, place, known).map_err(|refused| invalid(refused.message))
    })
    .await?;
    Ok((StatusCode::OK, shown(&changed)))
}

pub(super) async fn delete(front: &ApiGateway, place: &Place<'_>) -> Answer {
    find_integration(front, place)?;
    edit(front, place, |method| {
        method.integration = None;
        Ok(())
    })
    .await?;
    Ok((StatusCode::NO_CONTENT, json!({})))
}

pub(super) fn find_integration(front: &ApiGateway, place: &Place<'_>) -> Result<Integration, ServiceError> {
    find(front, place)?.integration.ok_or_else(|| not_found("No integration defined for method"))
}

pub(super) async fn edit_integration(
    front: &ApiGateway,
    place: &Place<'_>,
    change: impl FnOnce(&mut Integration) -> Result<(), GatewayError>,
) -> Result<Integration, ServiceError> {
    let gone = "the integration was removed in the meantime";
    let changed = edit(front, place, |method| match &mut method.integration {
        Some(integration) => change(integration),
        None => Err(invalid(gone)),
    });
    changed.await?.integration.ok_or_else(|| not_found(gone))
}

/// What patch operations change of an integration.
fn apply(operation: &PatchOperation, integration: &mut Integration) -> Result<(), String> {
    let Integration { request_parameters: parameters, request_templates: templates, .. } = integration;
    let of_map = operation
        .on_map("/requestParameters", parameters, PatchOperation::text)
        .or_else(|| operation.on_map("/requestTemplates", templates, PatchOperation::text));
    if let Some(done) = of_map {
        return done;
    }
    match (operation.op.as_str(), operation.path.as_str()) {
        ("replace", "/uri") => integration.uri = operation.text()?,
        ("replace", "/httpMethod") => integration.http_method = operation.text()?,
        ("replace", "/credentials") => integration.role = operation.text()?,
        ("remove", "/credentials") => integration.role.clear(),
        ("replace", "/passthroughBehavior") => integration.passthrough = operation.text()?,
        ("replace", "/timeoutInMillis") => integration.timeout_ms = Some(operation.parsed()?),
        _ => {
            return Err(operation.refused(&[
                "/uri",
                "/httpMethod",
                "/credentials",
                "/passthroughBehavior",
                "/timeoutInMillis",
                "/requestParameters/{name}",
                "/requestTemplates/{type}",
            ]));
        }
    }
    Ok(())
}

/// Whether an integration can be called; finds the function that its address names.
fn check(front: &ApiGateway, place: &Place<'_>, integration: &mut Integration) -> Result<(), ServiceError> {
    let Integration { kind, uri, http_method, passthrough, .. } = &*integration;
    let function = match kind.as_str() {
        "AWS" | "AWS_PROXY" => Some(function_of(uri)?),
        "HTTP" | "HTTP_PROXY" => {
            backend(uri)?;
            None
        }
        "MOCK" => None,
        other => return Err(bad_request(format!("integration type {other} is not supported by this node"))),
    };
    match http_method.as_str() {
        "" if kind != "MOCK" => return Err(bad_request("Enumeration value for HttpMethod must be non-empty")),
        "" => {}
        verb => check_verb(verb)?,
    }
    if !PASSTHROUGH.contains(&passthrough.as_str()) {
        return Err(bad_request(format!(
            "Invalid passthroughBehavior {passthrough}: one of {}",
            PASSTHROUGH.join(", ")
        )));
    }
    if integration.timeout_ms.is_some_and(|timeout| !TIMEOUT_MS.contains(&timeout)) {
        let (min, max) = (*TIMEOUT_MS.start(), *TIMEOUT_MS.end());
        return Err(bad_request(format!("Timeout should be between {min} ms and {max} ms")));
    }
    front.check_role(&integration.role, place.api)?;
    integration.function = function;
    Ok(())
}

/// Bodies are handed on as they are.
pub(super) fn unsupported_contents(handling: Option<&str>) -> Result<(), ServiceError> {
    handling.map_or(Ok(()), |handling| {
        Err(bad_request(format!("contentHandling {handling} is not supported by this node")))
    })
}

/// Templates with a text: the SDKs send null for media types that pass.
pub(super) fn given(templates: Option<BTreeMap<String, Option<String>>>) -> BTreeMap<String, String> {
    let templates = templates.unwrap_or_default();
    templates.into_iter().filter_map(|(media, template)| Some((media, template?))).collect()
}

/// Whether an address may be a backend's; stage variables may stand for parts of it.
fn backend(uri: &str) -> Result<(), ServiceError> {
    let begins = ["http://", "https://", "${stageVariables."].iter().any(|begin| uri.starts_with(begin));
    if begins { Ok(()) } else { Err(bad_request(format!("Invalid HTTP endpoint specified for URI: {uri}"))) }
}

/// The function of `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations`.
fn function_of(uri: &str) -> Result<String, ServiceError> {
    let arn = uri.split_once("/functions/").and_then(|(_, rest)| rest.strip_suffix("/invocations"));
    let name = arn
        .and_then(|arn| resource(arn, "lambda", "function:"))
        .map(|name| name.strip_suffix(":$LATEST").unwrap_or(name));
    name.map(str::to_owned).ok_or_else(|| bad_request(format!("Invalid ARN specified in the request: {uri}")))
}

pub(super) fn shown(integration: &Integration) -> Value {
    let responses = integration
        .responses
        .iter()
        .map(|(status, response)| (status.clone(), integration_responses::shown(status, response)));
    let mut shown = json!({
        "type": integration.kind,
        "httpMethod": integration.http_method,
        "uri": integration.uri,
        "requestParameters": integration.request_parameters,
        "requestTemplates": integration.request_templates,
        "passthroughBehavior": integration.passthrough,
        "timeoutInMillis": integration.timeout_ms.unwrap_or(*TIMEOUT_MS.end()),
        "integrationResponses": Value::Object(responses.collect()),
    });
    if !integration.role.is_empty() {
        shown["credentials"] = json!(integration.role);
    }
    shown
}
