//! APIs: `PUT`, `GET`, `DELETE`, and their list.

use http::{Method, StatusCode};
use millstream_catalog::{ManagedApi, ManagedOperation};
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ArmError;
use super::management::{Answer, Target, input, page, put, unsupported};
use super::{ApiManagement, openapi};
use crate::request::AzureRequest;

/// The key's names unless an API has others.
const KEY_HEADER: &str = "Ocp-Apim-Subscription-Key";
const KEY_QUERY: &str = "subscription-key";

#[derive(Deserialize)]
struct Input {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    display_name: Option<String>,
    description: Option<String>,
    path: Option<String>,
    service_url: Option<String>,
    subscription_required: Option<bool>,
    subscription_key_parameter_names: Option<KeyNames>,
    format: Option<String>,
    value: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct KeyNames {
    header: Option<String>,
    query: Option<String>,
}

pub(super) fn list(front: &ApiManagement, request: &AzureRequest, target: &Target) -> Answer {
    let service = front.managed.service(&target.service)?;
    page(request, service.apis.values().map(|api| shown(target, api)).collect())
}

pub(super) async fn answer(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    match request.method {
        Method::PUT => {
            let mut properties = input::<Input>(request)?.properties;
            let imported = properties.take_import(front).await?;
            let made = front.managed.put_api(&target.service, asked(name, properties)?).await?;
            if let Some(operations) = imported {
                front.managed.replace_operations(&target.service, name, operations).await?;
            }
            Ok((put(made), find(front, target, name)?))
        }
        Method::GET => Ok((StatusCode::OK, find(front, target, name)?)),
        Method::DELETE => {
            front.managed.delete_api(&target.service, name).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

impl Properties {
    /// Fills in what an imported description says and the request does not; gives its operations, `None` without an import.
    async fn take_import(&mut self, front: &ApiManagement) -> Result<Option<Vec<ManagedOperation>>, ArmError> {
        let Some(format) = self.format.take() else { return Ok(None) };
        let value =
            self.value.take().ok_or_else(|| ArmError::invalid("Property 'value' is required with 'format'."))?;
        let imported = match openapi::linked(&format) {
            Some(format) => {
                let fetched = front.managed.fetch(value.trim()).await?;
                openapi::read(format, &String::from_utf8_lossy(&fetched))?
            }
            None => openapi::read(&format, &value)?,
        };
        self.display_name = self.display_name.take().or(imported.title);
        self.description = self.description.take().or(imported.description);
        self.service_url = self.service_url.take().or(imported.backend);
        Ok(Some(imported.operations))
    }
}

fn asked(name: &str, properties: Properties) -> Result<ManagedApi, ArmError> {
    if let Some(kind) = properties.kind.filter(|kind| kind != "http") {
        return Err(ArmError::unsupported(&format!("An API of the type {kind}")));
    }
    let path = properties.path.ok_or_else(|| ArmError::invalid("Property 'path' is required."))?;
    let names = properties.subscription_key_parameter_names;
    let (header, query) = names.map_or((None, None), |names| (names.header, names.query));
    Ok(ManagedApi {
        name: name.to_owned(),
        display_name: properties.display_name.unwrap_or_else(|| name.to_owned()),
        description: properties.description.unwrap_or_default(),
        path,
        backend: properties.service_url.filter(|url| !url.is_empty()),
        subscription_required: properties.subscription_required.unwrap_or(true),
        key_header: header.unwrap_or_else(|| KEY_HEADER.to_owned()),
        key_query: query.unwrap_or_else(|| KEY_QUERY.to_owned()),
        ..ManagedApi::default()
    })
}

fn find(front: &ApiManagement, target: &Target, name: &str) -> Result<Value, ArmError> {
    let service = front.managed.service(&target.service)?;
    let unknown = || GatewayError::NotFound { kind: "API", name: name.to_owned() };
    Ok(shown(target, service.apis.get(name).ok_or_else(unknown)?))
}

pub(super) fn shown(target: &Target, api: &ManagedApi) -> Value {
    let properties = json!({
        "displayName": api.display_name,
        "description": api.description,
        "path": api.path,
        "serviceUrl": api.backend,
        "subscriptionRequired": api.subscription_required,
        "subscriptionKeyParameterNames": { "header": api.key_header, "query": api.key_query },
        "protocols": ["https"],
        "apiRevision": "1",
        "isCurrent": true,
    });
    target.resource(&format!("apis/{}", api.name), "apis", properties)
}
