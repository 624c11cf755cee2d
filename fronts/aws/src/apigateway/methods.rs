//! Methods of resources with their integrations and declared answers.

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::{Integration, IntegrationResponse, Method, MethodResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, bad_request, error, input, patch};
use crate::json_protocol::ServiceError;
use crate::place::resource;
use crate::rest_protocol::RestRequest;

/// A method by its API, resource and verb.
pub(super) struct Place<'p> {
    pub(super) api: &'p str,
    pub(super) resource: &'p str,
    pub(super) verb: &'p str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodInput {
    authorization_type: Option<String>,
    api_key_required: Option<bool>,
    request_parameters: Option<BTreeMap<String, bool>>,
    request_models: Option<BTreeMap<String, String>>,
    request_validator_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodResponseInput {
    response_parameters: Option<BTreeMap<String, bool>>,
    response_models: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationInput {
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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationResponseInput {
    selection_pattern: Option<String>,
    response_parameters: Option<BTreeMap<String, String>>,
    response_templates: Option<BTreeMap<String, Option<String>>>,
    content_handling: Option<String>,
}

pub(super) async fn put(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let input: MethodInput = input(request)?;
    let authorization = input.authorization_type.unwrap_or_else(|| "NONE".to_owned());
    if authorization != "NONE" {
        return Err(bad_request(format!("authorizationType {authorization} is not supported by this node")));
    }
    if input.request_models.is_some_and(|models| !models.is_empty()) {
        return Err(bad_request("requestModels are not supported by this node"));
    }
    let api = front.gateway.get(place.api).map_err(|e| error(&e))?;
    if let Some(validator) = &input.request_validator_id
        && !api.validators.contains_key(validator)
    {
        return Err(bad_request("Invalid Request Validator identifier specified"));
    }
    let method = Method {
        authorization,
        api_key_required: input.api_key_required.unwrap_or_default(),
        request_parameters: input.request_parameters.unwrap_or_default(),
        validator: input.request_validator_id,
        ..Method::default()
    };
    let made = front
        .gateway
        .edit_method(place.api, place.resource, place.verb, |known| match known {
            None => Ok(Some(method)),
            Some(_) => Err(millstream_gateway::GatewayError::Exists { kind: "method", name: place.verb.to_owned() }),
        })
        .await
        .map_err(|e| match e {
            millstream_gateway::GatewayError::Exists { .. } => ServiceError {
                status: 409,
                ..ServiceError::new("ConflictException", "Method already exists for this resource")
            },
            other => error(&other),
        })?;
    Ok((StatusCode::CREATED, shown(place.verb, &made.unwrap_or_default())))
}

pub(super) fn get(front: &ApiGateway, place: &Place<'_>) -> Answer {
    Ok((StatusCode::OK, shown(place.verb, &find(front, place)?)))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let mut required = None;
    for operation in patch::operations(request)? {
        match (operation.op.as_str(), operation.path.as_str()) {
            ("replace", "/apiKeyRequired") => required = Some(operation.parsed::<bool>().map_err(bad_request)?),
            ("replace", "/authorizationType") if operation.value.as_deref() == Some("NONE") => {}
            (op, path) => {
                return Err(bad_request(format!("the patch operation {op} {path} is not supported by this node")));
            }
        }
    }
    edit(front, place, |method| method.api_key_required = required.unwrap_or(method.api_key_required)).await?;
    Ok((StatusCode::OK, shown(place.verb, &find(front, place)?)))
}

pub(super) async fn delete(front: &ApiGateway, place: &Place<'_>) -> Answer {
    find(front, place)?;
    front.gateway.edit_method(place.api, place.resource, place.verb, |_| Ok(None)).await.map_err(|e| error(&e))?;
    Ok((StatusCode::NO_CONTENT, json!({})))
}

pub(super) async fn put_response(front: &ApiGateway, request: &RestRequest, place: &Place<'_>, status: &str) -> Answer {
    let input: MethodResponseInput = input(request)?;
    let response = MethodResponse {
        parameters: input.response_parameters.unwrap_or_default(),
        models: input.response_models.unwrap_or_default(),
    };
    let answer =
        json!({ "statusCode": status, "responseParameters": response.parameters, "responseModels": response.models });
    edit(front, place, |method| {
        method.responses.insert(status.to_owned(), response);
    })
    .await?;
    Ok((StatusCode::CREATED, answer))
}

pub(super) async fn put_integration(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let input: IntegrationInput = input(request)?;
    let kind = input.kind.unwrap_or_default();
    let uri = input.uri.unwrap_or_default();
    unsupported_contents(input.content_handling.as_deref())?;
    if input.connection_type.as_deref() == Some("VPC_LINK") {
        return Err(bad_request("connectionType VPC_LINK is not supported by this node"));
    }
    let function = match kind.as_str() {
        "AWS" | "AWS_PROXY" => Some(function_of(&uri)?),
        "HTTP" | "HTTP_PROXY" => {
            backend(&uri)?;
            None
        }
        "MOCK" => None,
        other => return Err(bad_request(format!("integration type {other} is not supported by this node"))),
    };
    let role = input.credentials.unwrap_or_default();
    front.check_role(&role, place.api)?;
    let integration = Integration {
        kind,
        function,
        uri,
        role,
        http_method: input.http_method.unwrap_or_default(),
        request_parameters: input.request_parameters.unwrap_or_default(),
        request_templates: given(input.request_templates),
        passthrough: input.passthrough_behavior.unwrap_or_else(|| "WHEN_NO_MATCH".to_owned()),
        timeout_ms: input.timeout_in_millis,
        responses: BTreeMap::new(),
    };
    let answer = integration_shown(&integration);
    edit(front, place, |method| method.integration = Some(integration)).await?;
    Ok((StatusCode::CREATED, answer))
}

pub(super) fn get_integration(front: &ApiGateway, place: &Place<'_>) -> Answer {
    let method = find(front, place)?;
    let integration = method.integration.ok_or_else(|| not_found("No integration defined for method"))?;
    Ok((StatusCode::OK, integration_shown(&integration)))
}

pub(super) async fn put_integration_response(
    front: &ApiGateway,
    request: &RestRequest,
    place: &Place<'_>,
    status: &str,
) -> Answer {
    let input: IntegrationResponseInput = input(request)?;
    unsupported_contents(input.content_handling.as_deref())?;
    let response = IntegrationResponse {
        selection_pattern: input.selection_pattern.unwrap_or_default(),
        parameters: input.response_parameters.unwrap_or_default(),
        templates: given(input.response_templates),
    };
    let answer = response_shown(status, &response);
    let method = find(front, place)?;
    if method.integration.is_none() {
        return Err(not_found("No integration defined for method"));
    }
    edit(front, place, |method| {
        if let Some(integration) = &mut method.integration {
            integration.responses.insert(status.to_owned(), response);
        }
    })
    .await?;
    Ok((StatusCode::CREATED, answer))
}

pub(super) fn find(front: &ApiGateway, place: &Place<'_>) -> Result<Method, ServiceError> {
    let api = front.gateway.get(place.api).map_err(|e| error(&e))?;
    let resource =
        api.resources.get(place.resource).ok_or_else(|| not_found("Invalid Resource identifier specified"))?;
    resource.methods.get(place.verb).cloned().ok_or_else(|| not_found("Invalid Method identifier specified"))
}

async fn edit(front: &ApiGateway, place: &Place<'_>, change: impl FnOnce(&mut Method)) -> Result<(), ServiceError> {
    find(front, place)?;
    front
        .gateway
        .edit_method(place.api, place.resource, place.verb, |known| {
            let mut method = known.unwrap_or_default();
            change(&mut method);
            Ok(Some(method))
        })
        .await
        .map_err(|e| error(&e))?;
    Ok(())
}

/// Bodies are handed on as they are.
fn unsupported_contents(handling: Option<&str>) -> Result<(), ServiceError> {
    handling.map_or(Ok(()), |handling| {
        Err(bad_request(format!("contentHandling {handling} is not supported by this node")))
    })
}

/// Templates with a text: the SDKs send null for media types that pass.
fn given(templates: Option<BTreeMap<String, Option<String>>>) -> BTreeMap<String, String> {
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
    let name =
        arn.and_then(|arn| resource(arn, "lambda", "function:")).map(|name| name.split(':').next().unwrap_or(name));
    name.map(str::to_owned).ok_or_else(|| bad_request(format!("Invalid ARN specified in the request: {uri}")))
}

pub(super) fn not_found(message: &str) -> ServiceError {
    ServiceError { status: 404, ..ServiceError::new("NotFoundException", message) }
}

pub(super) fn shown(verb: &str, method: &Method) -> Value {
    let mut shown = json!({
        "httpMethod": verb,
        "authorizationType": method.authorization,
        "apiKeyRequired": method.api_key_required,
        "requestParameters": method.request_parameters,
    });
    if let Some(validator) = &method.validator {
        shown["requestValidatorId"] = json!(validator);
    }
    if let Some(integration) = &method.integration {
        shown["methodIntegration"] = integration_shown(integration);
    }
    let responses = method.responses.iter().map(|(status, response)| {
        (status.clone(), json!({ "statusCode": status, "responseParameters": response.parameters, "responseModels": response.models }))
    });
    shown["methodResponses"] = Value::Object(responses.collect());
    shown
}

fn integration_shown(integration: &Integration) -> Value {
    let responses =
        integration.responses.iter().map(|(status, response)| (status.clone(), response_shown(status, response)));
    let mut shown = json!({
        "type": integration.kind,
        "httpMethod": integration.http_method,
        "uri": integration.uri,
        "requestParameters": integration.request_parameters,
        "requestTemplates": integration.request_templates,
        "passthroughBehavior": integration.passthrough,
        "timeoutInMillis": integration.timeout_ms.unwrap_or(29_000),
        "integrationResponses": Value::Object(responses.collect()),
    });
    if !integration.role.is_empty() {
        shown["credentials"] = json!(integration.role);
    }
    shown
}

fn response_shown(status: &str, response: &IntegrationResponse) -> Value {
    json!({
        "statusCode": status,
        "selectionPattern": response.selection_pattern,
        "responseParameters": response.parameters,
        "responseTemplates": response.templates,
    })
}
