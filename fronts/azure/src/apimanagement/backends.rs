//! Backends: `PUT`, `PATCH`, `GET`, `DELETE`, and their list. They are addresses; credentials, pools and circuit breakers are
//! refused.

use http::{Method, StatusCode};
use millstream_catalog::ManagedBackend;
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ApiManagement;
use super::error::ArmError;
use super::management::{Answer, Target, input, page, put, set, unsupported};
use crate::request::AzureRequest;

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    url: Option<String>,
    protocol: Option<String>,
    title: Option<String>,
    description: Option<String>,
    /// What else the service takes.
    #[serde(flatten)]
    others: Map<String, Value>,
}

pub(super) fn list(front: &ApiManagement, request: &AzureRequest, target: &Target) -> Answer {
    let service = front.managed.service(&target.service)?;
    page(request, service.backends.values().map(|backend| shown(target, backend)).collect())
}

pub(super) async fn answer(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    match request.method {
        Method::PUT => {
            let properties = input::<Input>(request)?.properties;
            if properties.protocol.is_none() {
                return Err(ArmError::invalid("Property 'protocol' is required."));
            }
            let mut backend = ManagedBackend { name: name.to_owned(), ..ManagedBackend::default() };
            change(properties)?(&mut backend);
            let made = front.managed.put_backend(&target.service, backend).await?;
            Ok((put(made), shown(target, &find(front, target, name)?)))
        }
        Method::PATCH => {
            let change = change(input::<Input>(request)?.properties)?;
            front.managed.change_backend(&target.service, name, change).await?;
            Ok((StatusCode::OK, shown(target, &find(front, target, name)?)))
        }
        Method::GET => Ok((StatusCode::OK, shown(target, &find(front, target, name)?))),
        Method::DELETE => {
            front.managed.delete_backend(&target.service, name).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

/// What a request's properties change of a backend.
fn change(properties: Properties) -> Result<impl FnOnce(&mut ManagedBackend), ArmError> {
    if let Some((name, _)) = properties.others.iter().find(|(_, value)| !value.is_null()) {
        return Err(ArmError::unsupported(&format!("The property {name} of a backend")));
    }
    if let Some(protocol) = properties.protocol.filter(|protocol| protocol != "http") {
        return Err(ArmError::unsupported(&format!("A backend of the protocol {protocol}")));
    }
    Ok(move |backend: &mut ManagedBackend| {
        set(&mut backend.url, properties.url);
        set(&mut backend.title, properties.title);
        set(&mut backend.description, properties.description);
    })
}

fn find(front: &ApiManagement, target: &Target, name: &str) -> Result<ManagedBackend, ArmError> {
    let service = front.managed.service(&target.service)?;
    let unknown = || GatewayError::NotFound { kind: "backend", name: name.to_owned() };
    Ok(service.backends.get(name).cloned().ok_or_else(unknown)?)
}

fn shown(target: &Target, backend: &ManagedBackend) -> Value {
    let properties = json!({
        "url": backend.url,
        "protocol": "http",
        "title": backend.title,
        "description": backend.description,
    });
    target.resource(&format!("backends/{}", backend.name), "backends", properties)
}
