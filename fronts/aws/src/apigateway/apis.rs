//! `CreateRestApi`, `GetRestApis`, `GetRestApi`, `DeleteRestApi`

use http::StatusCode;
use millstream_catalog::ApiDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, bad_request, error, input, page, seconds};
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: Option<String>,
    description: Option<String>,
    api_key_source: Option<String>,
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest) -> Answer {
    let input: Input = input(request)?;
    let name = input.name.filter(|name| !name.is_empty()).ok_or_else(|| bad_request("Name must be specified"))?;
    if let Some(source) = input.api_key_source.filter(|source| source != "HEADER") {
        return Err(bad_request(format!("apiKeySource {source} is not supported by this node: HEADER is")));
    }
    let api = front.gateway.create_api(&name, &input.description.unwrap_or_default()).await.map_err(|e| error(&e))?;
    Ok((StatusCode::CREATED, shown(&api)))
}

pub(super) fn list(front: &ApiGateway, request: &RestRequest) -> Answer {
    let apis = front.gateway.list();
    page::answer(request, apis.iter().map(|api| (api.id.as_str(), shown(api))))
}

pub(super) fn get(front: &ApiGateway, api: &str) -> Answer {
    Ok((StatusCode::OK, shown(&*front.gateway.get(api).map_err(|e| error(&e))?)))
}

pub(super) async fn delete(front: &ApiGateway, api: &str) -> Answer {
    front.gateway.delete_api(api).await.map_err(|e| error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

fn shown(api: &ApiDefinition) -> Value {
    let root = api.resources.values().find(|resource| resource.parent.is_none()).map(|resource| resource.id.as_str());
    json!({
        "id": api.id,
        "name": api.name,
        "description": api.description,
        "createdDate": seconds(api.created),
        "apiKeySource": "HEADER",
        "endpointConfiguration": { "types": ["REGIONAL"] },
        "disableExecuteApiEndpoint": false,
        "rootResourceId": root,
    })
}
