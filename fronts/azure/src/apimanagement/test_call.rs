//! A test call of an operation, with its trace: `POST …/operations/NAME/testCall`. This is this node's own: the service
//! has its traces behind debug tokens.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use millstream_gateway::managed::TraceStep;
use millstream_gateway::{GatewayError, ManagedRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiManagement;
use super::data_plane::told;
use super::error::ArmError;
use super::management::{Answer, Target, input};
use crate::request::AzureRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    /// The path behind the API's, with its parameters filled in; the operation's template unless it is given.
    path: Option<String>,
    query: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
    /// A subscription whose key is used.
    subscription: Option<String>,
}

pub(super) async fn answer(
    front: &ApiManagement,
    request: &AzureRequest,
    target: &Target,
    api: &str,
    operation: &str,
) -> Answer {
    let input: Input = input(request)?;
    let service = front.managed.service(&target.service)?;
    let unknown = |kind, name: &str| ArmError::from(GatewayError::NotFound { kind, name: name.to_owned() });
    let api = service.apis.get(api).ok_or_else(|| unknown("API", api))?;
    let operation = api.operations.get(operation).ok_or_else(|| unknown("operation", operation))?;
    let mut headers = headers(input.headers.unwrap_or_default())?;
    if let Some(name) = &input.subscription {
        let subscription = service.subscriptions.get(name).ok_or_else(|| unknown("subscription", name))?;
        let key = HeaderValue::from_str(&subscription.primary_key);
        if let (Ok(name), Ok(key)) = (HeaderName::try_from(&api.key_header), key) {
            headers.insert(name, key);
        }
    }
    let path = input.path.unwrap_or_else(|| operation.template.clone());
    let path = format!("/{}/{}", api.path, path.trim_start_matches('/'));
    let call = ManagedRequest {
        id: request.request_id.clone(),
        service: Some(service.name.clone()),
        method: operation.method.parse().map_err(|_| ArmError::invalid("the operation's method is no HTTP method"))?,
        path: if api.path.is_empty() { path[1..].to_owned() } else { path },
        query: input.query.unwrap_or_default(),
        headers,
        body: Bytes::from(input.body.unwrap_or_default()),
        peer: request.peer,
    };
    let mut answered = front.managed.call(&call, true).await;
    let trace: Vec<Value> = std::mem::take(&mut answered.trace).iter().map(shown).collect();
    let response = told(answered);
    let headers: BTreeMap<&str, String> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let answer = json!({
        "status": response.status().as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(response.body()),
        "trace": trace,
    });
    Ok((StatusCode::OK, answer))
}

fn headers(given: BTreeMap<String, String>) -> Result<HeaderMap, ArmError> {
    let pair = |(name, value): (String, String)| {
        let wrong = || ArmError::invalid(format!("the header {name} cannot be sent"));
        let parsed =
            (HeaderName::try_from(&name).map_err(|_| wrong())?, HeaderValue::try_from(value).map_err(|_| wrong())?);
        Ok(parsed)
    };
    given.into_iter().map(pair).collect()
}

fn shown(step: &TraceStep) -> Value {
    json!({
        "section": step.section,
        "scope": step.scope,
        "policy": step.step,
        "message": step.message,
        "elapsedMs": step.elapsed_ms,
    })
}
