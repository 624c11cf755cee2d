//! Operations of an API: `PUT`, `GET`, `DELETE`, and their list.

use http::{Method, StatusCode};
use millstream_catalog::{ManagedApi, ManagedOperation};
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiManagement;
use super::error::ArmError;
use super::management::{Answer, Target, input, page, put, unsupported};
use crate::request::AzureRequest;

#[derive(Deserialize)]
struct Input {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    display_name: Option<String>,
    method: Option<String>,
    url_template: Option<String>,
}

pub(super) fn list(front: &ApiManagement, request: &AzureRequest, target: &Target, api: &str) -> Answer {
    let api = api_of(front, target, api)?;
    page(request, api.operations.values().map(|operation| shown(target, &api, operation)).collect())
}

pub(super) async fn answer(
    front: &ApiManagement,
    request: &AzureRequest,
    target: &Target,
    api: &str,
    name: &str,
) -> Answer {
    match request.method {
        Method::PUT => {
            let properties = input::<Input>(request)?.properties;
            let missing = |name: &str| ArmError::invalid(format!("Property '{name}' is required."));
            let operation = ManagedOperation {
                name: name.to_owned(),
                display_name: properties.display_name.unwrap_or_else(|| name.to_owned()),
                method: properties.method.ok_or_else(|| missing("method"))?,
                template: properties.url_template.ok_or_else(|| missing("urlTemplate"))?,
                policy: None,
            };
            let made = front.managed.put_operation(&target.service, api, operation).await?;
            Ok((put(made), find(front, target, api, name)?))
        }
        Method::GET => Ok((StatusCode::OK, find(front, target, api, name)?)),
        Method::DELETE => {
            front.managed.delete_operation(&target.service, api, name).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

fn api_of(front: &ApiManagement, target: &Target, name: &str) -> Result<ManagedApi, ArmError> {
    let service = front.managed.service(&target.service)?;
    let unknown = || GatewayError::NotFound { kind: "API", name: name.to_owned() };
    Ok(service.apis.get(name).cloned().ok_or_else(unknown)?)
}

fn find(front: &ApiManagement, target: &Target, api: &str, name: &str) -> Result<Value, ArmError> {
    let api = api_of(front, target, api)?;
    let unknown = || GatewayError::NotFound { kind: "operation", name: name.to_owned() };
    Ok(shown(target, &api, api.operations.get(name).ok_or_else(unknown)?))
}

fn shown(target: &Target, api: &ManagedApi, operation: &ManagedOperation) -> Value {
    let parameters: Vec<Value> = operation
        .template
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "type": "string", "required": true }))
        .collect();
    let properties = json!({
        "displayName": operation.display_name,
        "method": operation.method,
        "urlTemplate": operation.template,
        "templateParameters": parameters,
    });
    target.resource(&format!("apis/{}/operations/{}", api.name, operation.name), "apis/operations", properties)
}
