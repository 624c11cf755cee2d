//! Deployments and stages: what of an API is live, and under which name.

use std::collections::{BTreeMap, BTreeSet};

use millstream_catalog::{ApiDefinition, Deployment, Method, RequestValidator, Stage, Throttle};
use millstream_types::BoxFuture;

use crate::engine::{Gateway, new_id};
use crate::error::GatewayError;
use crate::mapping;
use crate::plan::Caller;
use crate::route::{self, Matched};

/// Deployments of one API: the service's own quota is 300. Each is a whole copy of the resources.
const DEPLOYMENTS_MAX: usize = 300;

/// Stages of one API: the service's own quota.
const STAGES_MAX: usize = 10;

/// Method throttles of one stage: one for each resource that an API may have.
const THROTTLES_MAX: usize = 300;

/// What the throttle of methods that are not named is found by.
pub const ALL_METHODS: &str = "*/*";

/// What is changed of a stage; `None` and what is not named stay as they are.
#[derive(Debug, Clone, Default)]
pub struct StageChange {
    /// The deployment that it serves from now on.
    pub deployment: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Variables with their new values; `None` removes one.
    pub variables: BTreeMap<String, Option<String>>,
    /// Throttles of methods with their new values, see [`Stage::throttles`]; `None` removes one.
    pub throttles: BTreeMap<String, Option<Throttle>>,
}

/// What answers a request of a stage, in the definition that it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served<'d> {
    /// The resource and method.
    pub matched: Matched<'d>,
    /// The stage's variables.
    pub variables: &'d BTreeMap<String, String>,
    /// The request validator of the method.
    pub validator: Option<&'d RequestValidator>,
    /// What throttles know the method by: the resource's path and the method.
    pub throttled_as: String,
    /// How fast all callers of the stage together may call the method.
    pub throttle: Option<Throttle>,
    /// Who calls, when the method needs a key.
    pub caller: Option<Caller>,
}

impl<'d> Served<'d> {
    /// What of a stage's deployment answers a request; `None` when nothing does.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] when the stage does not exist.
    pub fn of(api: &'d ApiDefinition, stage: &str, method: &str, path: &str) -> Result<Option<Self>, GatewayError> {
        let stage = api.stages.get(stage).ok_or_else(|| unknown_stage(stage))?;
        let deployment = api.deployments.get(&stage.deployment);
        let deployment = deployment.ok_or_else(|| unknown_deployment(&stage.deployment))?;
        let Some(matched) = route::find(&deployment.resources, method, path) else { return Ok(None) };
        let validator = matched.method.validator.as_ref().and_then(|id| deployment.validators.get(id));
        // A method that answers all is throttled as the one that was asked for.
        let throttled_as = [matched.resource.path.as_str(), "/", method].concat();
        let throttle = stage.throttles.get(&throttled_as).or_else(|| stage.throttles.get(ALL_METHODS)).copied();
        Ok(Some(Self { throttled_as, throttle, ..Self::alone(matched, &stage.variables, validator) }))
    }

    /// A method that stands under no throttle and has no caller.
    #[must_use]
    pub fn alone(
        matched: Matched<'d>,
        variables: &'d BTreeMap<String, String>,
        validator: Option<&'d RequestValidator>,
    ) -> Self {
        Self { matched, variables, validator, throttled_as: String::new(), throttle: None, caller: None }
    }
}

/// The functions that an API runs without a role, in all its stages and as it is edited.
#[must_use]
pub fn functions_without_role(api: &ApiDefinition) -> BTreeSet<String> {
    let deployed = api.deployments.values().map(|deployment| &deployment.resources);
    let resources = deployed.chain([&api.resources]).flat_map(BTreeMap::values);
    let integrations = resources.flat_map(|resource| resource.methods.values()).filter_map(|m| m.integration.as_ref());
    let named = integrations.filter(|found| found.role.is_empty()).filter_map(|found| found.function.as_deref());
    // A name may have a part that each stage fills in.
    let variables: Vec<_> = api.stages.values().map(|stage| stage.variables.clone()).chain([BTreeMap::new()]).collect();
    named.flat_map(|name| variables.iter().map(|variables| mapping::filled(name, variables))).collect()
}

impl Gateway {
    /// Makes a deployment of what is edited; with a stage, the stage serves it from now on.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::TooMany`], [`GatewayError::Invalid`] when there is nothing to deploy.
    pub fn deploy<'a>(
        &'a self,
        api: &'a str,
        stage: Option<&'a str>,
        description: &'a str,
    ) -> BoxFuture<'a, Result<Deployment, GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            let deployment = self.add_deployment(&mut definition, stage, description)?;
            self.catalog.apis.put(definition).await?;
            Ok(deployment)
        })
    }

    /// Removes a deployment that no stage serves.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`] when a stage serves it.
    pub fn delete_deployment<'a>(
        &'a self,
        api: &'a str,
        deployment: &'a str,
    ) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            if definition.stages.values().any(|stage| stage.deployment == deployment) {
                let reason = "Active stages pointing to this deployment must be moved or deleted".to_owned();
                return Err(GatewayError::Invalid { reason });
            }
            definition.deployments.remove(deployment).ok_or_else(|| unknown_deployment(deployment))?;
            self.catalog.apis.put(definition).await?;
            Ok(())
        })
    }

    /// Makes a stage over a deployment.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Exists`], [`GatewayError::TooMany`], [`GatewayError::Invalid`] for a
    /// name that cannot be part of an address.
    pub fn create_stage<'a>(
        &'a self,
        api: &'a str,
        stage: &'a str,
        deployment: &'a str,
        variables: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Stage, GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            if definition.stages.contains_key(stage) {
                return Err(GatewayError::Exists { kind: "stage", name: stage.to_owned() });
            }
            if !definition.deployments.contains_key(deployment) {
                return Err(unknown_deployment(deployment));
            }
            let made = self.add_stage(&mut definition, stage, deployment)?;
            made.variables = variables;
            let made = made.clone();
            self.catalog.apis.put(definition).await?;
            Ok(made)
        })
    }

    /// Changes a stage.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn update_stage<'a>(
        &'a self,
        api: &'a str,
        stage: &'a str,
        change: StageChange,
    ) -> BoxFuture<'a, Result<Stage, GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            if let Some(deployment) = &change.deployment
                && !definition.deployments.contains_key(deployment)
            {
                return Err(unknown_deployment(deployment));
            }
            let edited = definition.stages.get_mut(stage).ok_or_else(|| unknown_stage(stage))?;
            edited.updated = self.clock.now();
            edited.deployment = change.deployment.unwrap_or_else(|| edited.deployment.clone());
            edited.description = change.description.unwrap_or_else(|| edited.description.clone());
            for (name, value) in change.variables {
                match value {
                    Some(value) => edited.variables.insert(name, value),
                    None => edited.variables.remove(&name),
                };
            }
            for (method, throttle) in change.throttles {
                match throttle {
                    Some(throttle) => edited.throttles.insert(method, throttle),
                    None => edited.throttles.remove(&method),
                };
            }
            if edited.throttles.len() > THROTTLES_MAX {
                return Err(GatewayError::TooMany { what: "method throttles of a stage", limit: THROTTLES_MAX });
            }
            let edited = edited.clone();
            self.catalog.apis.put(definition).await?;
            Ok(edited)
        })
    }

    /// Removes a stage; its deployment stays.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_stage<'a>(&'a self, api: &'a str, stage: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            definition.stages.remove(stage).ok_or_else(|| unknown_stage(stage))?;
            self.catalog.apis.put(definition).await?;
            Ok(())
        })
    }

    pub(crate) fn add_deployment(
        &self,
        definition: &mut ApiDefinition,
        stage: Option<&str>,
        description: &str,
    ) -> Result<Deployment, GatewayError> {
        let methods: Vec<&Method> =
            definition.resources.values().flat_map(|resource| resource.methods.values()).collect();
        if methods.is_empty() {
            return Err(GatewayError::Invalid { reason: "The REST API doesn't contain any methods".to_owned() });
        }
        if methods.iter().any(|method| method.integration.is_none()) {
            return Err(GatewayError::Invalid { reason: "No integration defined for method".to_owned() });
        }
        if definition.deployments.len() >= DEPLOYMENTS_MAX {
            return Err(GatewayError::TooMany { what: "deployments of an API", limit: DEPLOYMENTS_MAX });
        }
        let deployment = Deployment {
            id: new_id()[..6].to_owned(),
            created: self.clock.now(),
            description: description.to_owned(),
            resources: definition.resources.clone(),
            validators: definition.validators.clone(),
        };
        if let Some(stage) = stage {
            match definition.stages.get_mut(stage) {
                Some(known) => {
                    known.deployment.clone_from(&deployment.id);
                    known.updated = self.clock.now();
                }
                None => {
                    self.add_stage(definition, stage, &deployment.id)?;
                }
            }
        }
        definition.deployments.insert(deployment.id.clone(), deployment.clone());
        Ok(deployment)
    }

    fn add_stage<'d>(
        &self,
        definition: &'d mut ApiDefinition,
        name: &str,
        deployment: &str,
    ) -> Result<&'d mut Stage, GatewayError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(allowed) {
            let reason = "Stage name only allows a-zA-Z0-9_-".to_owned();
            return Err(GatewayError::Invalid { reason });
        }
        if definition.stages.len() >= STAGES_MAX {
            return Err(GatewayError::TooMany { what: "stages of an API", limit: STAGES_MAX });
        }
        let now = self.clock.now();
        Ok(definition.stages.entry(name.to_owned()).or_insert(Stage {
            name: name.to_owned(),
            deployment: deployment.to_owned(),
            created: now,
            updated: now,
            description: String::new(),
            variables: BTreeMap::new(),
            throttles: BTreeMap::new(),
        }))
    }
}

fn unknown_deployment(name: &str) -> GatewayError {
    GatewayError::NotFound { kind: "deployment", name: name.to_owned() }
}

fn unknown_stage(name: &str) -> GatewayError {
    GatewayError::NotFound { kind: "stage", name: name.to_owned() }
}
