//! `CreateRequestValidator`, `GetRequestValidators`, `GetRequestValidator`, `DeleteRequestValidator`

use http::StatusCode;
use millstream_catalog::RequestValidator;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, Unknown, bad_request, error, input, methods, page, refuse};
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: Option<String>,
    validate_request_body: Option<bool>,
    validate_request_parameters: Option<bool>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    if input.validate_request_body == Some(true) {
        return Err(bad_request("validateRequestBody is not supported by this node"));
    }
    let (name, parameters) = (input.name.unwrap_or_default(), input.validate_request_parameters == Some(true));
    let made = front.gateway.create_validator(api, &name, parameters).await.map_err(|e| error(&e))?;
    Ok((StatusCode::CREATED, shown(&made)))
}

pub(super) fn list(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    page::answer(request, api.validators.values().map(|validator| (validator.id.as_str(), shown(validator))))
}

pub(super) fn get(front: &ApiGateway, api: &str, validator: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let found = api.validators.get(validator);
    let found = found.ok_or_else(|| methods::not_found("Invalid Request Validator identifier specified"))?;
    Ok((StatusCode::OK, shown(found)))
}

pub(super) async fn delete(front: &ApiGateway, api: &str, validator: &str) -> Answer {
    front.gateway.delete_validator(api, validator).await.map_err(|e| error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

fn shown(validator: &RequestValidator) -> Value {
    json!({
        "id": validator.id,
        "name": validator.name,
        "validateRequestBody": false,
        "validateRequestParameters": validator.parameters,
    })
}
