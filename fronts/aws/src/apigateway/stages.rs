//! Deployments and stages: `CreateDeployment`, `GetDeployments`, `GetDeployment`, `DeleteDeployment`, `CreateStage`,
//! `GetStages`, `GetStage`, `UpdateStage`, `DeleteStage`

use std::collections::BTreeMap;

use http::StatusCode;
use millstream_catalog::{Deployment, Stage};
use millstream_gateway::StageChange;
use serde::Deserialize;
use serde_json::{Value, json};

use super::patch::{self, PatchOperation};
use super::{Answer, ApiGateway, Unknown, bad_request, error, input, method_settings, methods, page, refuse, seconds};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    stage_name: Option<String>,
    description: Option<String>,
    deployment_id: Option<String>,
    variables: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    unknown: Unknown,
}

pub(super) async fn deploy(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    let description = input.description.unwrap_or_default();
    let stage = input.stage_name.as_deref();
    let made = front.gateway.deploy(api, stage, &description).await.map_err(|e| error(&e))?;
    if let (Some(stage), Some(variables)) = (stage, input.variables) {
        let variables = variables.into_iter().map(|(name, value)| (name, Some(value))).collect();
        let change = StageChange { variables, ..StageChange::default() };
        front.gateway.update_stage(api, stage, change).await.map_err(|e| error(&e))?;
    }
    Ok((StatusCode::CREATED, shown(&made)))
}

pub(super) fn deployments(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    page::answer(request, api.deployments.values().map(|deployment| (deployment.id.as_str(), shown(deployment))))
}

pub(super) fn deployment(front: &ApiGateway, api: &str, deployment: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let found = api.deployments.get(deployment);
    let found = found.ok_or_else(|| methods::not_found("Invalid Deployment identifier specified"))?;
    Ok((StatusCode::OK, shown(found)))
}

pub(super) async fn delete_deployment(front: &ApiGateway, api: &str, deployment: &str) -> Answer {
    front.gateway.delete_deployment(api, deployment).await.map_err(|e| error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

pub(super) async fn create(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let input: Input = input(request)?;
    refuse(&input.unknown)?;
    let name = input.stage_name.ok_or_else(|| bad_request("Stage name should be set"))?;
    let deployment = input.deployment_id.ok_or_else(|| bad_request("Deployment id should be set"))?;
    let variables = input.variables.unwrap_or_default();
    let mut made = front.gateway.create_stage(api, &name, &deployment, variables).await.map_err(|e| error(&e))?;
    if let Some(description) = input.description.filter(|description| !description.is_empty()) {
        let change = StageChange { description: Some(description), ..StageChange::default() };
        made = front.gateway.update_stage(api, &name, change).await.map_err(|e| error(&e))?;
    }
    Ok((StatusCode::CREATED, stage_shown(&made)))
}

pub(super) fn list(front: &ApiGateway, request: &RestRequest, api: &str) -> Answer {
    let wanted = request.parameters().remove("deploymentId");
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let of_deployment = |stage: &&Stage| wanted.as_ref().is_none_or(|wanted| stage.deployment == *wanted);
    let items: Vec<Value> = api.stages.values().filter(of_deployment).map(stage_shown).collect();
    Ok((StatusCode::OK, json!({ "item": items })))
}

pub(super) fn get(front: &ApiGateway, api: &str, stage: &str) -> Answer {
    let api = front.gateway.get(api).map_err(|e| error(&e))?;
    let found = api.stages.get(stage).ok_or_else(|| methods::not_found("Invalid stage identifier specified"))?;
    Ok((StatusCode::OK, stage_shown(found)))
}

pub(super) async fn update(front: &ApiGateway, request: &RestRequest, api: &str, stage: &str) -> Answer {
    let known = front.gateway.get(api).map_err(|e| error(&e))?.stages.get(stage).cloned();
    let change = change(patch::operations(request)?, known.as_ref())?;
    let edited = front.gateway.update_stage(api, stage, change).await.map_err(|e| error(&e))?;
    Ok((StatusCode::OK, stage_shown(&edited)))
}

pub(super) async fn delete(front: &ApiGateway, api: &str, stage: &str) -> Answer {
    front.gateway.delete_stage(api, stage).await.map_err(|e| error(&e))?;
    Ok((StatusCode::ACCEPTED, json!({})))
}

/// What patch operations change of a stage.
fn change(operations: Vec<PatchOperation>, known: Option<&Stage>) -> Result<StageChange, ServiceError> {
    let mut change = StageChange::default();
    for operation in operations {
        let variable = operation.path.strip_prefix("/variables/").map(patch::unescape);
        match (operation.op.as_str(), operation.path.as_str(), variable) {
            ("replace", "/deploymentId", _) => change.deployment = operation.value,
            ("replace", "/description", _) => change.description = operation.value,
            ("add" | "replace", _, Some(name)) => {
                change.variables.insert(name, Some(operation.value.unwrap_or_default()));
            }
            ("remove", _, Some(name)) => {
                change.variables.insert(name, None);
            }
            _ => method_settings::apply(&operation, known, &mut change)?,
        }
    }
    Ok(change)
}

fn shown(deployment: &Deployment) -> Value {
    json!({ "id": deployment.id, "description": deployment.description, "createdDate": seconds(deployment.created) })
}

fn stage_shown(stage: &Stage) -> Value {
    json!({
        "stageName": stage.name,
        "deploymentId": stage.deployment,
        "description": stage.description,
        "createdDate": seconds(stage.created),
        "lastUpdatedDate": seconds(stage.created.max(stage.updated)),
        "variables": stage.variables,
        "cacheClusterEnabled": false,
        "methodSettings": method_settings::shown(stage),
        "tracingEnabled": false,
    })
}
