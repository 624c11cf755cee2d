//! The operations on APIs.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{ApiDefinition, Catalog, Deployment, Integration, Method, Resource, Stage};
use millstream_insight::Insight;
use millstream_storage::Transaction;
use millstream_types::Clock;

use crate::error::GatewayError;
use crate::route::{self, Matched};

/// Resources of one API: the service's own quota.
const RESOURCES_MAX: usize = 300;

/// A route as a pipeline file has it: method, path, function, whether the function gets the whole request.
pub type Route = (String, String, String, bool);

/// The gateway engine. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    catalog: Catalog,
    insight: Insight,
    clock: Arc<dyn Clock>,
    /// An edit reads a definition, changes it and writes it: one at a time, or one would undo the other.
    edits: Arc<tokio::sync::Mutex<()>>,
}

impl Gateway {
    /// The engine over a catalog.
    #[must_use]
    pub fn new(catalog: Catalog, insight: Insight, clock: Arc<dyn Clock>) -> Self {
        Self { catalog, insight, clock, edits: Arc::default() }
    }

    /// Makes an API with its root resource.
    ///
    /// # Errors
    /// [`GatewayError::Catalog`].
    pub async fn create_api(&self, name: &str, description: &str) -> Result<Arc<ApiDefinition>, GatewayError> {
        let root = Resource {
            id: new_id(),
            parent: None,
            path_part: String::new(),
            path: "/".to_owned(),
            methods: BTreeMap::new(),
        };
        let definition = ApiDefinition {
            id: new_id(),
            name: name.to_owned(),
            description: description.to_owned(),
            created: self.clock.now(),
            resources: BTreeMap::from([(root.id.clone(), root)]),
            deployments: BTreeMap::new(),
            stages: BTreeMap::new(),
        };
        Ok(self.catalog.apis.create(definition).await?)
    }

    /// Removes an API.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub async fn delete_api(&self, api: &str) -> Result<(), GatewayError> {
        self.catalog.apis.delete(api, Transaction::new()).await?;
        Ok(())
    }

    /// An API's definition.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn get(&self, api: &str) -> Result<Arc<ApiDefinition>, GatewayError> {
        Ok(self.catalog.apis.require(api)?)
    }

    /// All APIs in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ApiDefinition>> {
        self.catalog.apis.list()
    }

    /// Makes a resource below another.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Exists`], [`GatewayError::Invalid`].
    pub async fn create_resource(&self, api: &str, parent: &str, part: &str) -> Result<Resource, GatewayError> {
        let _turn = self.edits.lock().await;
        let mut definition = (*self.get(api)?).clone();
        let resource = add_resource(&mut definition, parent, part)?;
        self.catalog.apis.put(definition).await?;
        Ok(resource)
    }

    /// Removes a resource with those below it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`] for the root.
    pub async fn delete_resource(&self, api: &str, resource: &str) -> Result<(), GatewayError> {
        let _turn = self.edits.lock().await;
        let mut definition = (*self.get(api)?).clone();
        let found = resource_of(&definition, resource)?;
        if found.parent.is_none() {
            return Err(GatewayError::Invalid { reason: "the root resource cannot be removed".to_owned() });
        }
        let below = format!("{}/", found.path);
        let path = found.path.clone();
        definition.resources.retain(|_, other| other.path != path && !other.path.starts_with(&below));
        self.catalog.apis.put(definition).await?;
        Ok(())
    }

    /// Changes a method, or makes it when `edit` is given `None`; gives it back as it is then.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], or what `edit` refuses.
    pub async fn edit_method(
        &self,
        api: &str,
        resource: &str,
        method: &str,
        edit: impl FnOnce(Option<Method>) -> Result<Option<Method>, GatewayError>,
    ) -> Result<Option<Method>, GatewayError> {
        let _turn = self.edits.lock().await;
        let mut definition = (*self.get(api)?).clone();
        let no_resource = || GatewayError::NotFound { kind: "resource", name: resource.to_owned() };
        let methods = &mut definition.resources.get_mut(resource).ok_or_else(no_resource)?.methods;
        let edited = edit(methods.remove(method))?;
        if let Some(edited) = &edited {
            methods.insert(method.to_owned(), edited.clone());
        }
        self.catalog.apis.put(definition).await?;
        Ok(edited)
    }

    /// Makes a deployment of what is edited; with a stage, the stage serves it from now on.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`] when there is nothing to deploy.
    pub async fn deploy(&self, api: &str, stage: Option<&str>, description: &str) -> Result<Deployment, GatewayError> {
        let _turn = self.edits.lock().await;
        let mut definition = (*self.get(api)?).clone();
        let deployment = self.add_deployment(&mut definition, stage, description)?;
        self.catalog.apis.put(definition).await?;
        Ok(deployment)
    }

    /// Makes a stage over a deployment.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Exists`].
    pub async fn create_stage(
        &self,
        api: &str,
        stage: &str,
        deployment: &str,
        variables: BTreeMap<String, String>,
    ) -> Result<Stage, GatewayError> {
        let _turn = self.edits.lock().await;
        let mut definition = (*self.get(api)?).clone();
        if definition.stages.contains_key(stage) {
            return Err(GatewayError::Exists { kind: "stage", name: stage.to_owned() });
        }
        if !definition.deployments.contains_key(deployment) {
            return Err(GatewayError::NotFound { kind: "deployment", name: deployment.to_owned() });
        }
        let made =
            Stage { name: stage.to_owned(), deployment: deployment.to_owned(), created: self.clock.now(), variables };
        definition.stages.insert(stage.to_owned(), made.clone());
        self.catalog.apis.put(definition).await?;
        Ok(made)
    }

    /// The method of a stage's deployment that answers a request; `None` when there is none.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] when the API or the stage does not exist.
    pub fn route(&self, api: &str, stage: &str, method: &str, path: &str) -> Result<Option<Matched>, GatewayError> {
        let definition = self.get(api)?;
        let no_stage = || GatewayError::NotFound { kind: "stage", name: stage.to_owned() };
        let deployment = definition.stages.get(stage).map(|stage| stage.deployment.as_str()).ok_or_else(no_stage)?;
        let resources = &definition.deployments.get(deployment).ok_or_else(no_stage)?.resources;
        Ok(route::find(resources, method, path))
    }

    /// Counts an answered request. Requests for APIs that do not exist leave nothing behind: anybody can send them.
    pub fn answered(&self, api: &str, status: u16, milliseconds: u64) {
        if self.catalog.apis.get(api).is_none() {
            return;
        }
        let subject = format!("api/{api}");
        let metrics = &self.insight.metrics;
        metrics.counter("requests", &subject).add(1);
        metrics.counter("latency_ms", &subject).add(milliseconds);
        metrics.counter("errors_4xx", &subject).add(u64::from((400..500).contains(&status)));
        metrics.counter("errors_5xx", &subject).add(u64::from(status >= 500));
    }

    /// Makes an API as a pipeline file describes it, or makes the one of that name so, and deploys it when it changed. The
    /// second part says whether it did.
    ///
    /// # Errors
    /// [`GatewayError::Invalid`] for a path that cannot be.
    pub async fn apply_api(
        &self,
        name: &str,
        stage: &str,
        routes: &[Route],
    ) -> Result<(Arc<ApiDefinition>, bool), GatewayError> {
        let _turn = self.edits.lock().await;
        let known = self.list().into_iter().find(|api| api.name == name);
        let mut definition = match known {
            Some(known) => (*known).clone(),
            None => (*self.create_api(name, "").await?).clone(),
        };
        let before =
            definition.stages.get(stage).and_then(|stage| definition.deployments.get(&stage.deployment)).cloned();
        definition.resources.retain(|_, resource| resource.parent.is_none());
        definition.resources.values_mut().for_each(|root| root.methods.clear());
        for (method, path, function, proxy) in routes {
            let resource = resource_at(&mut definition, path)?;
            let integration = integration(function, *proxy);
            let made = Method { authorization: "NONE".to_owned(), integration: Some(integration), ..Method::default() };
            if let Some(resource) = definition.resources.get_mut(&resource) {
                resource.methods.insert(method.clone(), made);
            }
        }
        if before.is_some_and(|before| same(&before.resources, &definition.resources)) {
            return Ok((self.get(&definition.id)?, false));
        }
        self.add_deployment(&mut definition, Some(stage), "applied from a pipeline file")?;
        Ok((self.catalog.apis.put(definition).await?, true))
    }

    fn add_deployment(
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
        let deployment = Deployment {
            id: new_id()[..6].to_owned(),
            created: self.clock.now(),
            description: description.to_owned(),
            resources: definition.resources.clone(),
        };
        if let Some(stage) = stage {
            let now = self.clock.now();
            let entry = definition.stages.entry(stage.to_owned()).or_insert_with(|| Stage {
                name: stage.to_owned(),
                deployment: String::new(),
                created: now,
                variables: BTreeMap::new(),
            });
            entry.deployment.clone_from(&deployment.id);
        }
        definition.deployments.insert(deployment.id.clone(), deployment.clone());
        Ok(deployment)
    }
}

/// Ten lowercase letters and digits, as the service's ids are.
fn new_id() -> String {
    let bytes = uuid::Uuid::new_v4();
    bytes
        .as_bytes()
        .iter()
        .take(10)
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[usize::from(byte % 36)]))
        .collect()
}

fn resource_of<'d>(definition: &'d ApiDefinition, id: &str) -> Result<&'d Resource, GatewayError> {
    definition.resources.get(id).ok_or_else(|| GatewayError::NotFound { kind: "resource", name: id.to_owned() })
}

fn add_resource(definition: &mut ApiDefinition, parent: &str, part: &str) -> Result<Resource, GatewayError> {
    let above = resource_of(definition, parent)?;
    let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')).unwrap_or(part);
    let name = name.strip_suffix('+').unwrap_or(name);
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-' | ':' | '~');
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(GatewayError::Invalid {
            reason:
                "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the \
                     beginning and the end."
                    .to_owned(),
        });
    }
    if definition.resources.len() >= RESOURCES_MAX {
        return Err(GatewayError::Invalid { reason: format!("an API has at most {RESOURCES_MAX} resources") });
    }
    let path = format!("{}/{part}", above.path.trim_end_matches('/'));
    if definition.resources.values().any(|other| other.path == path) {
        return Err(GatewayError::Exists { kind: "resource", name: part.to_owned() });
    }
    let resource = Resource {
        id: new_id()[..6].to_owned(),
        parent: Some(parent.to_owned()),
        path_part: part.to_owned(),
        path,
        methods: BTreeMap::new(),
    };
    definition.resources.insert(resource.id.clone(), resource.clone());
    Ok(resource)
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

fn integration(function: &str, proxy: bool) -> Integration {
    Integration {
        kind: if proxy { "AWS_PROXY" } else { "AWS" }.to_owned(),
        function: Some(function.to_owned()),
        http_method: "POST".to_owned(),
        passthrough: "WHEN_NO_MATCH".to_owned(),
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
