//! Named values: `PUT`, `PATCH`, `GET`, `DELETE`, their list, and `listValue`.

use http::{Method, StatusCode};
use millstream_catalog::NamedValue;
use millstream_gateway::GatewayError;
use serde::Deserialize;
use serde_json::{Value, json};

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
    display_name: Option<String>,
    value: Option<String>,
    secret: Option<bool>,
    tags: Option<Vec<String>>,
    key_vault: Option<Value>,
}

pub(super) fn list(front: &ApiManagement, request: &AzureRequest, target: &Target) -> Answer {
    let service = front.managed.service(&target.service)?;
    page(request, service.named_values.values().map(|value| shown(target, value)).collect())
}

pub(super) async fn answer(front: &ApiManagement, request: &AzureRequest, target: &Target, name: &str) -> Answer {
    match request.method {
        Method::PUT => {
            let properties = input::<Input>(request)?.properties;
            let required = |what: &str| ArmError::invalid(format!("Property '{what}' is required."));
            if properties.display_name.is_none() {
                return Err(required("displayName"));
            }
            if properties.value.is_none() && properties.key_vault.is_none() {
                return Err(required("value"));
            }
            let mut value = NamedValue { name: name.to_owned(), ..NamedValue::default() };
            change(properties)?(&mut value);
            let made = front.managed.put_named_value(&target.service, value).await?;
            Ok((put(made), shown(target, &find(front, target, name)?)))
        }
        Method::PATCH => {
            let change = change(input::<Input>(request)?.properties)?;
            front.managed.change_named_value(&target.service, name, change).await?;
            Ok((StatusCode::OK, shown(target, &find(front, target, name)?)))
        }
        Method::GET => Ok((StatusCode::OK, shown(target, &find(front, target, name)?))),
        Method::DELETE => {
            front.managed.delete_named_value(&target.service, name).await?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

/// The value of one, secret or not.
pub(super) fn value(front: &ApiManagement, target: &Target, name: &str) -> Answer {
    Ok((StatusCode::OK, json!({ "value": find(front, target, name)?.value })))
}

/// What a request's properties change of a named value.
fn change(properties: Properties) -> Result<impl FnOnce(&mut NamedValue), ArmError> {
    if properties.key_vault.is_some_and(|vault| !vault.is_null()) {
        return Err(ArmError::unsupported("keyVault"));
    }
    Ok(move |value: &mut NamedValue| {
        set(&mut value.display_name, properties.display_name);
        set(&mut value.value, properties.value);
        set(&mut value.secret, properties.secret);
        set(&mut value.tags, properties.tags);
    })
}

fn find(front: &ApiManagement, target: &Target, name: &str) -> Result<NamedValue, ArmError> {
    let service = front.managed.service(&target.service)?;
    let unknown = || GatewayError::NotFound { kind: "named value", name: name.to_owned() };
    Ok(service.named_values.get(name).cloned().ok_or_else(unknown)?)
}

fn shown(target: &Target, value: &NamedValue) -> Value {
    let mut properties = json!({
        "displayName": value.display_name,
        "secret": value.secret,
        "tags": value.tags,
        "provisioningState": "Succeeded",
    });
    if !value.secret {
        properties["value"] = json!(value.value);
    }
    target.resource(&format!("namedValues/{}", value.name), "namedValues", properties)
}
