//! APIs as pipeline files describe them: made, changed or left as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{ApiDefinition, Integration, Method, Resource};
use millstream_types::BoxFuture;

use crate::engine::{Gateway, add_resource};
use crate::error::GatewayError;

/// A route as a pipeline file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method, or `ANY`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The function that answers.
    pub function: String,
    /// Whether the function gets the whole request.
    pub whole_request: bool,
    /// Whether a caller needs an API key.
    pub key_required: bool,
}

impl Gateway {
    /// Makes an API as a pipeline file describes it, or makes the one of that name so, and deploys it when it changed. The
    /// second part says whether it did. Nothing is made before all of it is known to be right.
    ///
    /// # Errors
    /// [`GatewayError::Invalid`] for a path that cannot be.
    pub fn apply_api<'a>(
        &'a self,
        name: &'a str,
        stage: &'a str,
        routes: &'a [Route],
    ) -> BoxFuture<'a, Result<(Arc<ApiDefinition>, bool), GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let known = self.list().into_iter().find(|api| api.name == name);
            let mut definition = known.map_or_else(|| self.new_api(name, ""), |known| (*known).clone());
            let before = definition.stages.get(stage).map(|stage| stage.deployment.clone());
            definition.resources.retain(|_, resource| resource.parent.is_none());
            definition.resources.values_mut().for_each(|root| root.methods.clear());
            for route in routes {
                let resource = resource_at(&mut definition, &route.path)?;
                let made = Method {
                    authorization: "NONE".to_owned(),
                    api_key_required: route.key_required,
                    integration: Some(integration(&route.function, route.whole_request)),
                    ..Method::default()
                };
                if let Some(resource) = definition.resources.get_mut(&resource) {
                    resource.methods.insert(route.method.clone(), made);
                }
            }
            if let Some(before) = &before {
                let deployed = definition.deployments.get(before);
                if deployed.is_some_and(|deployed| same(&deployed.resources, &definition.resources)) {
                    return Ok((self.get(&definition.id)?, false));
                }
                // The file is its own history: what it replaces goes, unless another stage serves it.
                if !definition.stages.values().any(|other| other.name != stage && other.deployment == *before) {
                    definition.deployments.remove(before);
                }
            }
            self.add_deployment(&mut definition, Some(stage), "applied from a pipeline file")?;
            Ok((self.catalog.apis.put(definition).await?, true))
        })
    }
}

/// The id of the resource at a path; it and those above are made when they are not there.
fn resource_at(definition: &mut ApiDefinition, path: &str) -> Result<String, GatewayError> {
    let root = definition.resources.values().find(|resource| resource.parent.is_none()).map(|root| root.id.clone());
    let mut at = root.ok_or_else(|| GatewayError::Invalid { reason: "the API has no root".to_owned() })?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let below = definition
            .resources
            .values()
            .find(|resource| resource.parent.as_ref() == Some(&at) && resource.path_part == part);
        at = match below {
            Some(below) => below.id.clone(),
            None => add_resource(definition, &at, part)?.id,
        };
    }
    Ok(at)
}

/// An integration with a function: the whole request (`proxy`), or its body and an answer with status 200.
fn integration(function: &str, proxy: bool) -> Integration {
    let default_answer = (!proxy).then(|| ("200".to_owned(), millstream_catalog::IntegrationResponse::default()));
    Integration {
        kind: if proxy { "AWS_PROXY" } else { "AWS" }.to_owned(),
        function: Some(function.to_owned()),
        http_method: "POST".to_owned(),
        passthrough: "WHEN_NO_MATCH".to_owned(),
        responses: default_answer.into_iter().collect(),
        ..Integration::default()
    }
}

/// Whether two sets of resources answer the same, whatever their ids are.
fn same(left: &BTreeMap<String, Resource>, right: &BTreeMap<String, Resource>) -> bool {
    let by_path = |resources: &BTreeMap<String, Resource>| -> BTreeMap<String, BTreeMap<String, Method>> {
        resources.values().map(|resource| (resource.path.clone(), resource.methods.clone())).collect()
    };
    by_path(left) == by_path(right)
}
