//! Policies of a service, a product, an API or an operation: `PUT`, `GET`, `DELETE` of `policies/policy`.

use http::{Method, StatusCode};
use millstream_gateway::GatewayError;
use millstream_gateway::managed::PolicyScope;
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
struct Properties {
    format: Option<String>,
    value: Option<String>,
}

pub(super) async fn answer(
    front: &ApiManagement,
    request: &AzureRequest,
    target: &Target,
    scope: PolicyScope,
    rest: &[&str],
) -> Answer {
    let service = target.service.as_str();
    match (&request.method, rest) {
        (&Method::GET, []) => {
            let document = front.managed.policy(service, &scope)?;
            page(request, document.map(|document| shown(target, &scope, &document)).into_iter().collect())
        }
        (&Method::PUT, ["policy"]) => {
            let document = document(input::<Input>(request)?.properties)?;
            let made = front.managed.set_policy(service, &scope, Some(document.clone())).await?;
            Ok((put(made), shown(target, &scope, &document)))
        }
        (&Method::GET, ["policy"]) => {
            let unknown = || GatewayError::NotFound { kind: "policy", name: scope.name() };
            let document = front.managed.policy(service, &scope)?.ok_or_else(unknown)?;
            Ok((StatusCode::OK, shown(target, &scope, &document)))
        }
        (&Method::DELETE, ["policy"]) => {
            let gone = !front.managed.set_policy(service, &scope, None).await?;
            Ok((if gone { StatusCode::OK } else { StatusCode::NO_CONTENT }, Value::Null))
        }
        _ => Err(unsupported(request)),
    }
}

fn document(properties: Properties) -> Result<String, ArmError> {
    match properties.format.as_deref() {
        None | Some("xml" | "rawxml") => {}
        Some(other) => return Err(ArmError::unsupported(&format!("The policy format {other}"))),
    }
    properties.value.ok_or_else(|| ArmError::invalid("Property 'value' is required."))
}

fn shown(target: &Target, scope: &PolicyScope, document: &str) -> Value {
    let (of, kind) = match scope {
        PolicyScope::Service => (String::new(), ""),
        PolicyScope::Product(product) => (format!("products/{product}/"), "products/"),
        PolicyScope::Api(api) => (format!("apis/{api}/"), "apis/"),
        PolicyScope::Operation(api, operation) => (format!("apis/{api}/operations/{operation}/"), "apis/operations/"),
    };
    let properties = json!({ "format": "rawxml", "value": document });
    target.resource(&format!("{of}policies/policy"), &format!("{kind}policies"), properties)
}
