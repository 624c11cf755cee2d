//! `CreateUsagePlanKey`, `GetUsagePlanKeys`, `GetUsagePlanKey`, `DeleteUsagePlanKey`

use std::sync::Arc;

use http::StatusCode;
use millstream_catalog::ApiKeyDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, bad_request, error, input, methods, page};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

/// The one type of keys that there is.
const KEY_TYPE: &str = "API_KEY";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    key_id: Option<String>,
    key_type: Option<String>,
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest, plan: &str) -> Answer {
    let input: Input = input(request)?;
    let key = input.key_id.ok_or_else(|| bad_request("keyId must be specified"))?;
    if input.key_type.as_deref() != Some(KEY_TYPE) {
        return Err(bad_request(format!("keyType must be {KEY_TYPE}")));
    }
    if front.plans.key(&key).is_ok_and(|key| key.plans.contains(plan)) {
        let message = format!("API Key {key} is already part of Usage Plan {plan}");
        return Err(ServiceError { status: 409, ..ServiceError::new("ConflictException", message) });
    }
    let attached = front.plans.attach(plan, &key).await.map_err(|e| error(&e))?;
    Ok((StatusCode::CREATED, shown(&attached)))
}

pub(super) fn list(front: &ApiGateway, request: &RestRequest, plan: &str) -> Answer {
    front.plans.plan(plan).map_err(|e| error(&e))?;
    let mut keys = front.plans.keys_of(plan);
    if let Some(name) = request.parameters().get("name") {
        keys.retain(|key| key.name.starts_with(name.as_str()));
    }
    page::answer(request, keys.iter().map(|key| (key.id.as_str(), shown(key))))
}

pub(super) fn get(front: &ApiGateway, plan: &str, key: &str) -> Answer {
    Ok((StatusCode::OK, shown(&*find(front, plan, key)?)))
}

pub(super) async fn delete(front: &ApiGateway, plan: &str, key: &str) -> Answer {
    find(front, plan, key)?;
    front.plans.detach(plan, key).await.map_err(|e| error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

/// A key of a plan.
pub(super) fn find(front: &ApiGateway, plan: &str, key: &str) -> Result<Arc<ApiKeyDefinition>, ServiceError> {
    front.plans.plan(plan).map_err(|e| error(&e))?;
    let key = front.plans.key(key).ok().filter(|key| key.plans.contains(plan));
    key.ok_or_else(|| methods::not_found("Invalid Usage Plan ID or API Key identifier specified"))
}

fn shown(key: &ApiKeyDefinition) -> Value {
    json!({ "id": key.id, "type": KEY_TYPE, "value": key.value, "name": key.name })
}
