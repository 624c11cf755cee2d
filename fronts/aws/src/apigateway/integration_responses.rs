//! What an integration's answer becomes: `PutIntegrationResponse`, `GetIntegrationResponse`, `UpdateIntegrationResponse`,
//! `DeleteIntegrationResponse`

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::IntegrationResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::integrations::{edit_integration, find_integration, given, unsupported_contents};
use super::methods::{Place, invalid, not_found};
use super::patch::{self, PatchOperation};
use super::{Answer, ApiGateway, Unknown, input, refuse};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    selection_pattern: Option<String>,
    response_parameters: Option<BTreeMap<String, String>>,
    response_templates: Option<BTreeMap<String, Option<String>>>,
    content_handling: Option<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) async fn put(front: &ApiGateway, request: &RestRequest, place: &Place<'_>, status: &str) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    unsupported_contents(input.content_handling.as_deref())?;
    let response = IntegrationResponse {
        selection_pattern: input.selection_pattern.unwrap_or_default(),
        parameters: input.response_parameters.unwrap_or_default(),
        templates: given(input.response_templates),
    };
    let answer = shown(status, &response);
    find_integration(front, place)?;
    edit_integration(front, place, |integration| {
        integration.responses.insert(status.to_owned(), response);
        Ok(())
    })
    .await?;
    Ok((StatusCode::CREATED, answer))
}

pub(super) fn get(front: &ApiGateway, place: &Place<'_>, status: &str) -> Answer {
    Ok((StatusCode::OK, shown(status, &mapped(front, place, status)?)))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, place: &Place<'_>, status: &str) -> Answer {
    let operations = patch::operations(request)?;
    let mut checked = mapped(front, place, status)?;
    patch::apply(&operations, &mut checked, apply).map_err(super::bad_request)?;
    let gone = "the response was removed in the meantime";
    let mut changed = edit_integration(front, place, |integration| match integration.responses.get_mut(status) {
        Some(known) => patch::apply(&operations, known, apply).map_err(invalid),
        None => Err(invalid(gone)),
    })
    .await?;
    let changed = changed.responses.remove(status).ok_or_else(|| not_found(gone))?;
    Ok((StatusCode::OK, shown(status, &changed)))
}

pub(super) async fn delete(front: &ApiGateway, place: &Place<'_>, status: &str) -> Answer {
    mapped(front, place, status)?;
    edit_integration(front, place, |integration| {
        integration.responses.remove(status);
        Ok(())
    })
    .await?;
    Ok((StatusCode::NO_CONTENT, json!({})))
}

fn mapped(front: &ApiGateway, place: &Place<'_>, status: &str) -> Result<IntegrationResponse, ServiceError> {
    let mut integration = find_integration(front, place)?;
    integration.responses.remove(status).ok_or_else(|| not_found("Invalid Response status code specified"))
}

fn apply(operation: &PatchOperation, response: &mut IntegrationResponse) -> Result<(), String> {
    let IntegrationResponse { selection_pattern, parameters, templates } = response;
    if (operation.op.as_str(), operation.path.as_str()) == ("replace", "/selectionPattern") {
        *selection_pattern = operation.text()?;
        return Ok(());
    }
    operation
        .on_map("/responseParameters", parameters, PatchOperation::text)
        .or_else(|| operation.on_map("/responseTemplates", templates, PatchOperation::text))
        .unwrap_or_else(|| {
            Err(operation.refused(&["/selectionPattern", "/responseParameters/{name}", "/responseTemplates/{type}"]))
        })
}

pub(super) fn shown(status: &str, response: &IntegrationResponse) -> Value {
    json!({
        "statusCode": status,
        "selectionPattern": response.selection_pattern,
        "responseParameters": response.parameters,
        "responseTemplates": response.templates,
    })
}
