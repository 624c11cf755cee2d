//! What is said about a service, a product, an API and an operation, and what of it applies to a request.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_catalog::{ManagedApi, ManagedOperation, ManagedServiceDefinition};
use millstream_types::BoxFuture;

use super::Managed;
use super::definitions::unknown;
use crate::error::GatewayError;
use crate::policy::{Policy, PolicyDocument, Section};

/// What a document is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PolicyScope {
    /// All APIs of the service.
    Service,
    /// The APIs of a product, when they are called with a key to it.
    Product(String),
    /// An API.
    Api(String),
    /// An operation of an API.
    Operation(String, String),
}

impl PolicyScope {
    /// Its name in traces and counters.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Service => "global".to_owned(),
            Self::Product(product) => format!("product {product}"),
            Self::Api(api) => format!("api {api}"),
            Self::Operation(api, operation) => format!("operation {api}/{operation}"),
        }
    }
}

impl Managed {
    /// The document about something, as it was written; `None` without one.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn policy(&self, service: &str, scope: &PolicyScope) -> Result<Option<String>, GatewayError> {
        let mut definition = Arc::unwrap_or_clone(self.service(service)?);
        place(&mut definition, scope).cloned()
    }

    /// Puts a document in place of the one about something, or removes it; says whether there was none before.
    ///
    /// # Errors
    /// [`GatewayError::Policy`] says where, and what was not understood; [`GatewayError::NotFound`].
    pub fn set_policy<'a>(
        &'a self,
        service: &'a str,
        scope: &'a PolicyScope,
        document: Option<String>,
    ) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move {
            self.edit(service, |definition| {
                if let Some(document) = &document {
                    PolicyDocument::parse(document, definition)?;
                }
                Ok(std::mem::replace(place(definition, scope)?, document).is_none())
            })
            .await
        })
    }
}

fn place<'d>(
    definition: &'d mut ManagedServiceDefinition,
    scope: &PolicyScope,
) -> Result<&'d mut Option<String>, GatewayError> {
    match scope {
        PolicyScope::Service => Ok(&mut definition.policy),
        PolicyScope::Product(name) => {
            let product = definition.products.get_mut(name).ok_or_else(|| unknown("product", name))?;
            Ok(&mut product.policy)
        }
        PolicyScope::Api(name) => {
            let api = definition.apis.get_mut(name).ok_or_else(|| unknown("API", name))?;
            Ok(&mut api.policy)
        }
        PolicyScope::Operation(api, name) => {
            let api = definition.apis.get_mut(api).ok_or_else(|| unknown("API", api))?;
            let operation = api.operations.get_mut(name).ok_or_else(|| unknown("operation", name))?;
            Ok(&mut operation.policy)
        }
    }
}

/// All documents of a service, and what each is about.
pub(super) fn written(service: &ManagedServiceDefinition) -> Vec<(PolicyScope, &str)> {
    let mut written: Vec<(PolicyScope, &Option<String>)> = vec![(PolicyScope::Service, &service.policy)];
    written
        .extend(service.products.values().map(|product| (PolicyScope::Product(product.name.clone()), &product.policy)));
    for api in service.apis.values() {
        written.push((PolicyScope::Api(api.name.clone()), &api.policy));
        let operations = api.operations.values();
        let scope = |name: &str| PolicyScope::Operation(api.name.clone(), name.to_owned());
        written.extend(operations.map(|operation| (scope(&operation.name), &operation.policy)));
    }
    written.into_iter().filter_map(|(scope, text)| Some((scope, text.as_deref()?))).collect()
}

/// A service with its documents read and its keys by what they are.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) service: Arc<ManagedServiceDefinition>,
    documents: HashMap<PolicyScope, Arc<PolicyDocument>>,
    /// The subscription of each key.
    pub(super) keys: HashMap<String, String>,
    /// What is done where nothing is said: the backend is called.
    forward: Arc<PolicyDocument>,
}

/// A policy that applies to a request, and which document says so.
#[derive(Debug, Clone)]
pub(super) struct Applied {
    pub(super) scope: PolicyScope,
    /// Its place in the section of its document: with the scope it names its counter.
    pub(super) index: usize,
    pub(super) document: Arc<PolicyDocument>,
    pub(super) section: Section,
}

impl Applied {
    pub(super) fn policy(&self) -> &Policy {
        &self.document.section(self.section)[self.index]
    }
}

impl Compiled {
    pub(super) fn new(service: Arc<ManagedServiceDefinition>) -> Self {
        // Documents were read when they were set; one that this version does not understand stops its requests.
        let read = |text: &str| PolicyDocument::parse(text, &service).unwrap_or_else(|_| PolicyDocument::refusing());
        let documents = written(&service).into_iter().map(|(scope, text)| (scope, Arc::new(read(text)))).collect();
        let keys = service.subscriptions.values().flat_map(|subscription| {
            let name = &subscription.name;
            [(subscription.primary_key.clone(), name.clone()), (subscription.secondary_key.clone(), name.clone())]
        });
        let keys = keys.collect();
        Self { documents, keys, forward: Arc::new(PolicyDocument::forwarding()), service }
    }

    /// The policies of a section for a request, outer ones where inner documents have their `<base />`.
    pub(super) fn section(
        &self,
        section: Section,
        api: &ManagedApi,
        operation: &ManagedOperation,
        product: Option<&str>,
    ) -> Vec<Applied> {
        let mut scopes =
            vec![PolicyScope::Operation(api.name.clone(), operation.name.clone()), PolicyScope::Api(api.name.clone())];
        scopes.extend(product.map(|product| PolicyScope::Product(product.to_owned())));
        scopes.push(PolicyScope::Service);
        let mut applied = Vec::new();
        self.collect(section, &scopes, &mut applied);
        applied
    }

    fn collect(&self, section: Section, scopes: &[PolicyScope], applied: &mut Vec<Applied>) {
        let Some((scope, outer)) = scopes.split_first() else { return };
        let document = match self.documents.get(scope) {
            Some(document) => document,
            None if outer.is_empty() => &self.forward,
            None => return self.collect(section, outer, applied),
        };
        for (index, policy) in document.section(section).iter().enumerate() {
            if *policy == Policy::Base {
                self.collect(section, outer, applied);
            } else {
                let (scope, document) = (scope.clone(), Arc::clone(document));
                applied.push(Applied { scope, index, document, section });
            }
        }
    }
}
