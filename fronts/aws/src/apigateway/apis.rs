//! `CreateRestApi`, `GetRestApis`, `GetRestApi`, `UpdateRestApi`, `DeleteRestApi`

use http::StatusCode;
use millstream_catalog::ApiDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, Unknown, bad_request, error, input, page, patch, refuse, seconds};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: Option<String>,
    description: Option<String>,
    api_key_source: Option<String>,
    endpoint_configuration: Option<EndpointConfiguration>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Deserialize)]
struct EndpointConfiguration {
    #[serde(default)]
    types: Vec<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

impl EndpointConfiguration {
    /// One node is a region and its edge; private it is not, since it knows no networks.
    fn check(&self) -> Result<(), ServiceError> {
        refuse(&self.unknown)?;
        match self.types.iter().find(|kind| *kind != "REGIONAL" && *kind != "EDGE") {
            Some(kind) => Err(bad_request(format!("endpointConfiguration {kind} is not supported by this node"))),
            None => Ok(()),
        }
    }
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest) -> Answer {
    // The import of a description is the same path with a parameter.
    if request.parameters().contains_key("mode") {
        return Err(bad_request(
            "ImportRestApi is not supported by this node: import through API Management, or create the API",
        ));
    }
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    input.endpoint_configuration.as_ref().map_or(Ok(()), EndpointConfiguration::check)?;
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

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let (mut name, mut description) = (None, None);
    for operation in patch::operations(request)? {
        let value = operation.value.clone().unwrap_or_default();
        match (operation.op.as_str(), operation.path.as_str()) {
            ("replace", "/name") if value.is_empty() => return Err(bad_request("Name must be specified")),
            ("replace", "/name") => name = Some(value),
            ("replace", "/description") => description = Some(value),
            // What is so anyway.
            ("replace", "/apiKeySource") if value == "HEADER" => {}
            ("replace", "/disableExecuteApiEndpoint") if value == "false" => {}
            _ => return Err(bad_request(operation.refused(&["/name", "/description"]))),
        }
    }
    let changed = front.gateway.describe_api(api, name, description).await.map_err(|e| error(&e))?;
    Ok((StatusCode::OK, shown(&changed)))
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
