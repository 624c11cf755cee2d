//! The declared answers of methods: `PutMethodResponse`, `GetMethodResponse`, `UpdateMethodResponse`, `DeleteMethodResponse`

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::MethodResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::methods::{Place, edit, find, invalid, not_found};
use super::patch::{self, PatchOperation};
use super::{Answer, ApiGateway, Unknown, input, refuse};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    response_parameters: Option<BTreeMap<String, bool>>,
    response_models: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) async fn put(front: &ApiGateway, request: &RestRequest, place: &Place<'_>, status: &str) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    let response = MethodResponse {
        parameters: input.response_parameters.unwrap_or_default(),
        models: input.response_models.unwrap_or_default(),
    };
    let answer = shown(status, &response);
    edit(front, place, |method| {
        method.responses.insert(status.to_owned(), response);
        Ok(())
    })
    .await?;
    Ok((StatusCode::CREATED, answer))
}

pub(super) fn get(front: &ApiGateway, place: &Place<'_>, status: &str) -> Answer {
    Ok((StatusCode::OK, shown(status, &declared(front, place, status)?)))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, place: &Place<'_>, status: &str) -> Answer {
    let operations = patch::operations(request)?;
    let mut checked = declared(front, place, status)?;
    patch::apply(&operations, &mut checked, apply).map_err(super::bad_request)?;
    let gone = "the response was removed in the meantime";
    let mut changed = edit(front, place, |method| match method.responses.get_mut(status) {
        Some(known) => patch::apply(&operations, known, apply).map_err(invalid),
        None => Err(invalid(gone)),
    })
    .await?;
    let changed = changed.responses.remove(status).ok_or_else(|| not_found(gone))?;
    Ok((StatusCode::OK, shown(status, &changed)))
}

pub(super) async fn delete(front: &ApiGateway, place: &Place<'_>, status: &str) -> Answer {
    declared(front, place, status)?;
    edit(front, place, |method| {
        method.responses.remove(status);
        Ok(())
    })
    .await?;
    Ok((StatusCode::NO_CONTENT, json!({})))
}

fn declared(front: &ApiGateway, place: &Place<'_>, status: &str) -> Result<MethodResponse, ServiceError> {
    let mut method = find(front, place)?;
    method.responses.remove(status).ok_or_else(|| not_found("Invalid Response status code specified"))
}

fn apply(operation: &PatchOperation, response: &mut MethodResponse) -> Result<(), String> {
    let MethodResponse { parameters, models } = response;
    operation
        .on_map("/responseParameters", parameters, PatchOperation::parsed::<bool>)
        .or_else(|| operation.on_map("/responseModels", models, PatchOperation::text))
        .unwrap_or_else(|| Err(operation.refused(&["/responseParameters/{name}", "/responseModels/{type}"])))
}

pub(super) fn shown(status: &str, response: &MethodResponse) -> Value {
    json!({ "statusCode": status, "responseParameters": response.parameters, "responseModels": response.models })
}
