//! The operations on APIs, their resources and methods.
//!
//! Read next: [`crate::stages`] (deployments and stages), [`crate::apply`] (APIs of pipeline files).

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{ApiDefinition, Catalog, Method, RequestValidator, Resource};
use millstream_insight::Insight;
use millstream_storage::Transaction;
use millstream_types::{BoxFuture, Clock};

use crate::error::GatewayError;
use crate::mapping;
use crate::traffic::Traffic;

/// Resources of one API: the service's own quota.
const RESOURCES_MAX: usize = 300;

/// Request validators of one API: there are three that differ.
const VALIDATORS_MAX: usize = 50;

/// The gateway engine. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) catalog: Catalog,
    traffic: Traffic,
    pub(crate) clock: Arc<dyn Clock>,
    /// An edit reads a definition, changes it and writes it: one at a time, or one would undo the other.
    pub(crate) edits: Arc<tokio::sync::Mutex<()>>,
}

impl Gateway {
    /// The engine over a catalog.
    #[must_use]
    pub fn new(catalog: Catalog, insight: Insight, clock: Arc<dyn Clock>) -> Self {
        Self { catalog, traffic: Traffic::new(insight), clock, edits: Arc::default() }
    }

    /// Makes an API with its root resource.
    ///
    /// # Errors
    /// [`GatewayError::Catalog`].
    pub fn create_api<'a>(
        &'a self,
        name: &'a str,
        description: &'a str,
    ) -> BoxFuture<'a, Result<Arc<ApiDefinition>, GatewayError>> {
        Box::pin(async move { Ok(self.catalog.apis.create(self.new_api(name, description)).await?) })
    }

    /// An API with its root resource that nobody knows yet.
    pub(crate) fn new_api(&self, name: &str, description: &str) -> ApiDefinition {
        let root = Resource {
            id: new_id(),
            parent: None,
            path_part: String::new(),
            path: "/".to_owned(),
            methods: BTreeMap::new(),
        };
        ApiDefinition {
            id: new_id(),
            name: name.to_owned(),
            description: description.to_owned(),
            created: self.clock.now(),
            resources: BTreeMap::from([(root.id.clone(), root)]),
            deployments: BTreeMap::new(),
            stages: BTreeMap::new(),
            validators: BTreeMap::new(),
        }
    }

    /// Changes what people read of an API: its name, its description.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn describe_api<'a>(
        &'a self,
        api: &'a str,
        name: Option<String>,
        description: Option<String>,
    ) -> BoxFuture<'a, Result<Arc<ApiDefinition>, GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            definition.name = name.unwrap_or(definition.name);
            definition.description = description.unwrap_or(definition.description);
            Ok(self.catalog.apis.put(definition).await?)
        })
    }

    /// Removes an API.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_api<'a>(&'a self, api: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            // An edit under way would write the API again after it is gone.
            let _turn = self.edits.lock().await;
            self.catalog.apis.delete(api, Transaction::new()).await?;
            Ok(())
        })
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
    pub fn create_resource<'a>(
        &'a self,
        api: &'a str,
        parent: &'a str,
        part: &'a str,
    ) -> BoxFuture<'a, Result<Resource, GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            let resource = add_resource(&mut definition, parent, part)?;
            self.catalog.apis.put(definition).await?;
            Ok(resource)
        })
    }

    /// Removes a resource with those below it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`] for the root.
    pub fn delete_resource<'a>(&'a self, api: &'a str, resource: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
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
        })
    }

    /// Changes a method, or makes it when `edit` is given `None`; gives it back as it is then.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], what `edit` refuses, [`GatewayError::Invalid`] for mappings that are not understood.
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
            mapping::check(edited)?;
            methods.insert(method.to_owned(), edited.clone());
        }
        self.catalog.apis.put(definition).await?;
        Ok(edited)
    }

    /// Makes a request validator.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::TooMany`].
    pub fn create_validator<'a>(
        &'a self,
        api: &'a str,
        name: &'a str,
        parameters: bool,
    ) -> BoxFuture<'a, Result<RequestValidator, GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            if definition.validators.len() >= VALIDATORS_MAX {
                return Err(GatewayError::TooMany { what: "request validators in an API", limit: VALIDATORS_MAX });
            }
            let made = RequestValidator { id: new_id()[..6].to_owned(), name: name.to_owned(), parameters };
            definition.validators.insert(made.id.clone(), made.clone());
            self.catalog.apis.put(definition).await?;
            Ok(made)
        })
    }

    /// Removes a request validator; deployments keep the one that they were made with.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_validator<'a>(&'a self, api: &'a str, validator: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let _turn = self.edits.lock().await;
            let mut definition = (*self.get(api)?).clone();
            let gone = definition.validators.remove(validator);
            gone.ok_or_else(|| GatewayError::NotFound { kind: "request validator", name: validator.to_owned() })?;
            self.catalog.apis.put(definition).await?;
            Ok(())
        })
    }

    /// Counts an answered request. Requests for APIs that do not exist leave nothing behind: anybody can send them.
    /// It counts for the API and for the stage, under the API's name.
    pub fn answered(&self, api: &str, stage: &str, status: u16, milliseconds: u64) {
        let Some(definition) = self.catalog.apis.get(api) else { return };
        let name = &definition.name;
        self.traffic.answered(&["api/", name.as_str()].concat(), status, milliseconds);
        if definition.stages.contains_key(stage) {
            self.traffic.answered(&["api_stage/", name.as_str(), "/", stage].concat(), status, milliseconds);
        }
    }
}

/// Ten lowercase letters and digits, as the service's ids are.
pub(crate) fn new_id() -> String {
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

pub(crate) fn add_resource(definition: &mut ApiDefinition, parent: &str, part: &str) -> Result<Resource, GatewayError> {
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
        return Err(GatewayError::TooMany { what: "resources in an API", limit: RESOURCES_MAX });
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
