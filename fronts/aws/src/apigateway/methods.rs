//! Methods of resources: `PutMethod`, `GetMethod`, `UpdateMethod`, `DeleteMethod`

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::{ApiDefinition, Method};
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::patch::{self, PatchOperation};
use super::{Answer, ApiGateway, Unknown, bad_request, error, input, integrations, method_responses, refuse};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// The methods that a resource, or an integration, can have.
const VERBS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY"];

/// A method by its API, resource and verb.
pub(super) struct Place<'p> {
    pub(super) api: &'p str,
    pub(super) resource: &'p str,
    pub(super) verb: &'p str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    authorization_type: Option<String>,
    api_key_required: Option<bool>,
    request_parameters: Option<BTreeMap<String, bool>>,
    request_validator_id: Option<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) async fn put(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    check_verb(place.verb)?;
    let method = Method {
        authorization: input.authorization_type.unwrap_or_else(|| "NONE".to_owned()),
        api_key_required: input.api_key_required.unwrap_or_default(),
        request_parameters: input.request_parameters.unwrap_or_default(),
        validator: input.request_validator_id,
        ..Method::default()
    };
    check(&*front.gateway.get(place.api).map_err(|e| error(&e))?, &method)?;
    let made = front
        .gateway
        .edit_method(place.api, place.resource, place.verb, |known| match known {
            None => Ok(Some(method)),
            Some(_) => Err(GatewayError::Exists { kind: "method", name: place.verb.to_owned() }),
        })
        .await
        .map_err(|e| match e {
            GatewayError::Exists { .. } => ServiceError {
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
    let operations = patch::operations(request)?;
    let mut checked = find(front, place)?;
    patch::apply(&operations, &mut checked, apply).map_err(bad_request)?;
    check(&*front.gateway.get(place.api).map_err(|e| error(&e))?, &checked)?;
    let changed = edit(front, place, |method| patch::apply(&operations, method, apply).map_err(invalid)).await?;
    Ok((StatusCode::OK, shown(place.verb, &changed)))
}

pub(super) async fn delete(front: &ApiGateway, place: &Place<'_>) -> Answer {
    find(front, place)?;
    front.gateway.edit_method(place.api, place.resource, place.verb, |_| Ok(None)).await.map_err(|e| error(&e))?;
    Ok((StatusCode::NO_CONTENT, json!({})))
}

/// What patch operations change of a method.
fn apply(operation: &PatchOperation, method: &mut Method) -> Result<(), String> {
    let of_map = operation.on_map("/requestParameters", &mut method.request_parameters, PatchOperation::parsed::<bool>);
    match (of_map, operation.op.as_str(), operation.path.as_str()) {
        (Some(done), ..) => return done,
        (_, "replace", "/apiKeyRequired") => method.api_key_required = operation.parsed()?,
        (_, "replace", "/authorizationType") => method.authorization = operation.text()?,
        (_, "add" | "replace", "/requestValidatorId") => method.validator = Some(operation.text()?),
        (_, "remove", "/requestValidatorId") => method.validator = None,
        _ => {
            return Err(operation.refused(&[
                "/apiKeyRequired",
                "/authorizationType",
                "/requestValidatorId",
                "/requestParameters/{name}",
            ]));
        }
    }
    Ok(())
}

/// Whether a method asks for what there is.
fn check(api: &ApiDefinition, method: &Method) -> Result<(), ServiceError> {
    if method.authorization != "NONE" {
        return Err(bad_request(format!("authorizationType {} is not supported by this node", method.authorization)));
    }
    match &method.validator {
        Some(validator) if !api.validators.contains_key(validator) => {
            Err(bad_request("Invalid Request Validator identifier specified"))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_verb(verb: &str) -> Result<(), ServiceError> {
    if VERBS.contains(&verb) { Ok(()) } else { Err(bad_request(format!("Invalid HTTP method specified: {verb}"))) }
}

pub(super) fn find(front: &ApiGateway, place: &Place<'_>) -> Result<Method, ServiceError> {
    let api = front.gateway.get(place.api).map_err(|e| error(&e))?;
    let resource =
        api.resources.get(place.resource).ok_or_else(|| not_found("Invalid Resource identifier specified"))?;
    resource.methods.get(place.verb).cloned().ok_or_else(|| not_found("Invalid Method identifier specified"))
}

/// Changes a method in its turn, and gives what it is then.
pub(super) async fn edit(
    front: &ApiGateway,
    place: &Place<'_>,
    change: impl FnOnce(&mut Method) -> Result<(), GatewayError>,
) -> Result<Method, ServiceError> {
    find(front, place)?;
    let changed = front
        .gateway
        .edit_method(place.api, place.resource, place.verb, |known| {
            let mut method = known.unwrap_or_default();
            change(&mut method)?;
            Ok(Some(method))
        })
        .await
        .map_err(|e| error(&e))?;
    Ok(changed.unwrap_or_default())
}

/// A change that cannot be.
pub(super) fn invalid(reason: impl Into<String>) -> GatewayError {
    GatewayError::Invalid { reason: reason.into() }
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
        shown["methodIntegration"] = integrations::shown(integration);
    }
    let responses = method.responses.iter();
    let responses = responses.map(|(status, response)| (status.clone(), method_responses::shown(status, response)));
    shown["methodResponses"] = Value::Object(responses.collect());
    shown
}
