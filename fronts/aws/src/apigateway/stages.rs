//! `CreateDeployment`, `GetDeployments`, `CreateStage`, `GetStages`, `GetStage`

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::{Deployment, Stage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiGateway, bad_request, error, input, methods, seconds};
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    stage_name: Option<String>,
    description: Option<String>,
    deployment_id: Option<String>,
    variables: Option<BTreeMap<String, String>>,
}

pub(super) async fn deploy(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let input: Input = input(request)?;
    let description = input.description.unwrap_or_default();
    let made = front.gateway.deploy(api, input.stage_name.as_deref(), &description).await.map_err(|e| error(&e))?;
    Ok((StatusCode::CREATED, shown(&made)))
}

pub(super) fn deployments(front: &ApiGateway, api: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let items: Vec<Value> = api.deployments.values().map(shown).collect();
    Ok((StatusCode::OK, json!({ "item": items })))
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let input: Input = input(request)?;
    let name = input.stage_name.ok_or_else(|| bad_request("Stage name should be set"))?;
    let deployment = input.deployment_id.ok_or_else(|| bad_request("Deployment id should be set"))?;
    let variables = input.variables.unwrap_or_default();
    let made = front.gateway.create_stage(api, &name, &deployment, variables).await.map_err(|e| error(&e))?;
    Ok((StatusCode::CREATED, stage_shown(&made)))
}

pub(super) fn list(front: &ApiGateway, api: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let items: Vec<Value> = api.stages.values().map(stage_shown).collect();
    Ok((StatusCode::OK, json!({ "item": items })))
}

pub(super) fn get(front: &ApiGateway, api: &str, stage: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let found = api.stages.get(stage).ok_or_else(|| methods::not_found("Invalid stage identifier specified"))?;
    Ok((StatusCode::OK, stage_shown(found)))
}

fn shown(deployment: &Deployment) -> Value {
    json!({ "id": deployment.id, "description": deployment.description, "createdDate": seconds(deployment.created) })
}

fn stage_shown(stage: &Stage) -> Value {
    json!({
        "stageName": stage.name,
        "deploymentId": stage.deployment,
        "createdDate": seconds(stage.created),
        "lastUpdatedDate": seconds(stage.created),
        "variables": stage.variables,
        "cacheClusterEnabled": false,
        "methodSettings": {},
        "tracingEnabled": false,
    })
}
