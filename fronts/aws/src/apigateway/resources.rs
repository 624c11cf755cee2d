//! `GetResources`, `GetResource`, `CreateResource`, `DeleteResource`

use http::StatusCode;
use millstream_catalog::Resource;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, Unknown, bad_request, error, input, methods, page, refuse};
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    path_part: Option<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) fn list(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    page::answer(request, api.resources.values().map(|resource| (resource.id.as_str(), shown(resource))))
}

pub(super) fn get(front: &ApiGateway, api: &str, resource: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let found = api.resources.get(resource);
    let found = found.ok_or_else(|| methods::not_found("Invalid Resource identifier specified"))?;
    Ok((StatusCode::OK, shown(found)))
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest, api: &str, parent: &str) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    let part = input.path_part.ok_or_else(|| bad_request("Path part must be specified"))?;
    let made = front.gateway.create_resource(api, parent, &part).await.map_err(|e| error(&e))?;
    Ok((StatusCode::CREATED, shown(&made)))
}

pub(super) async fn delete(front: &ApiGateway, api: &str, resource: &str) -> Answer {
    front.gateway.delete_resource(api, resource).await.map_err(|e| error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

fn shown(resource: &Resource) -> Value {
    let mut shown = json!({ "id": resource.id, "path": resource.path });
    if let Some(parent) = &resource.parent {
        shown["parentId"] = json!(parent);
        shown["pathPart"] = json!(resource.path_part);
    }
    if !resource.methods.is_empty() {
        let methods = resource.methods.iter().map(|(verb, method)| (verb.clone(), methods::shown(verb, method)));
        shown["resourceMethods"] = Value::Object(methods.collect());
    }
    shown
}
