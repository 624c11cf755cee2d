//! What a pipeline file says in Azure's words: blob containers, Cosmos databases, Event Grid topics, API Management services.
//! Event hubs are in `hub.rs`.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::event_subscription::{EventSubscriptionSpec, SubscriptionTable};
use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{EventSchema, ManagedApi, ManagedBackend, ManagedOperation, NamedValue, Product};

/// Where callers of a managed API put their key, as the service has it.
const KEY_HEADER: &str = "Ocp-Apim-Subscription-Key";
const KEY_QUERY: &str = "subscription-key";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlobContainerTable {
    pub(super) name: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CosmosDatabaseTable {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) container: Vec<CosmosContainerTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CosmosContainerTable {
    pub(super) name: Spanned<String>,
    partition_key: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicTable {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    schema: SchemaName,
    #[serde(default)]
    pub(super) subscription: Vec<SubscriptionTable>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SchemaName {
    #[default]
    EventGrid,
    CloudEvents,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiManagementTable {
    pub(super) name: Spanned<String>,
    policy: Option<String>,
    #[serde(default)]
    named_value: Vec<NamedValueTable>,
    #[serde(default)]
    backend: Vec<BackendTable>,
    #[serde(default)]
    api: Vec<ManagedApiTable>,
    #[serde(default)]
    product: Vec<ProductTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedValueTable {
    name: Spanned<String>,
    /// `${endpoint}` is this node's own address.
    value: String,
    #[serde(default)]
    secret: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackendTable {
    name: Spanned<String>,
    /// `${endpoint}` is this node's own address.
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManagedApiTable {
    name: Spanned<String>,
    path: String,
    /// The backend's address; `${endpoint}` is this node's own.
    service_url: Option<String>,
    policy: Option<String>,
    #[serde(default)]
    operation: Vec<OperationTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationTable {
    name: String,
    method: String,
    template: String,
    policy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductTable {
    name: String,
    apis: Vec<Spanned<String>>,
    policy: Option<String>,
    /// Names of subscriptions; each gets two keys.
    #[serde(default)]
    subscriptions: Vec<String>,
}

/// A managed API service to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedServiceSpec {
    /// Its name.
    pub name: String,
    /// The policies of all its APIs, as XML.
    pub policy: Option<String>,
    /// Texts that policies name.
    pub named_values: Vec<Located<NamedValue>>,
    /// Backends that policies name.
    pub backends: Vec<Located<ManagedBackend>>,
    /// Its APIs, with operations.
    pub apis: Vec<ManagedApi>,
    /// Its products, and the subscriptions to each.
    pub products: Vec<(Product, Vec<String>)>,
}

/// A database of documents to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentDatabaseSpec {
    /// Its name.
    pub name: String,
    /// Its containers: name and path of the partition key.
    pub containers: Vec<(String, String)>,
}

/// A topic to be, with its subscriptions.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// The form of its events.
    pub schema: EventSchema,
    /// Who gets them.
    pub subscriptions: Vec<Located<EventSubscriptionSpec>>,
}

impl Resolver<'_> {
    pub(super) fn container(&self, table: BlobContainerTable) -> Located<String> {
        Located { line: self.line(&table.name), value: table.name.into_inner() }
    }

    pub(super) fn database(&mut self, table: CosmosDatabaseTable) -> Located<DocumentDatabaseSpec> {
        let line = self.line(&table.name);
        let mut containers = Vec::with_capacity(table.container.len());
        for container in table.container {
            let path = container.partition_key;
            if !path.get_ref().starts_with('/') || path.get_ref().len() < 2 {
                let line = self.line(&path);
                let found =
                    format!("expected a path such as `/symbol` for the partition key, found `{}`", path.get_ref());
                self.wrong(line, found, "partition_key = \"/NAME\"");
            }
            containers.push((container.name.into_inner(), path.into_inner()));
        }
        Located { value: DocumentDatabaseSpec { name: table.name.into_inner(), containers }, line }
    }

    pub(super) fn topic(&mut self, table: TopicTable) -> Located<TopicSpec> {
        let line = self.line(&table.name);
        let schema = match table.schema {
            SchemaName::EventGrid => EventSchema::EventGrid,
            SchemaName::CloudEvents => EventSchema::CloudEvents,
        };
        let subscriptions = table.subscription.into_iter().filter_map(|table| self.subscription(table)).collect();
        Located { value: TopicSpec { name: table.name.into_inner(), schema, subscriptions }, line }
    }

    pub(super) fn managed_service(&mut self, table: ApiManagementTable) -> Located<ManagedServiceSpec> {
        let line = self.line(&table.name);
        let mut known: BTreeSet<String> = table.api.iter().map(|api| api.name.get_ref().clone()).collect();
        known.extend(self.left_out.names("api_management.api"));
        for api in table.product.iter().flat_map(|product| &product.apis) {
            self.refers("api management api", &known, api);
        }
        self.unique("named value", table.named_value.iter().map(|value| &value.name));
        self.unique("backend", table.backend.iter().map(|backend| &backend.name));
        let value = ManagedServiceSpec {
            name: table.name.into_inner(),
            policy: table.policy,
            named_values: table.named_value.into_iter().map(|table| self.named_value(table)).collect(),
            backends: table.backend.into_iter().map(|table| self.backend(table)).collect(),
            apis: table.api.into_iter().map(managed_api).collect(),
            products: table.product.into_iter().map(product).collect(),
        };
        Located { value, line }
    }

    /// Policies name a value of a file by its name.
    fn named_value(&self, table: NamedValueTable) -> Located<NamedValue> {
        let line = self.line(&table.name);
        let name = table.name.into_inner();
        let display_name = name.clone();
        Located {
            value: NamedValue { name, display_name, value: table.value, secret: table.secret, tags: Vec::new() },
            line,
        }
    }

    fn backend(&self, table: BackendTable) -> Located<ManagedBackend> {
        let line = self.line(&table.name);
        let backend = ManagedBackend { name: table.name.into_inner(), url: table.url, ..ManagedBackend::default() };
        Located { value: backend, line }
    }

    /// The stream of a hub of this file; another name is a mistake.
    pub(super) fn hub_stream(&mut self, hub: &Spanned<String>) -> String {
        if let Some(stream) = self.hubs.get(hub.get_ref()) {
            return stream.clone();
        }
        let known = self.hubs.keys().cloned().collect();
        self.refers("event hub", &known, hub);
        hub.get_ref().clone()
    }
}

fn managed_api(table: ManagedApiTable) -> ManagedApi {
    let operation = |operation: OperationTable| ManagedOperation {
        display_name: operation.name.clone(),
        name: operation.name,
        method: operation.method.to_uppercase(),
        template: operation.template,
        policy: operation.policy,
    };
    let name = table.name.into_inner();
    ManagedApi {
        display_name: name.clone(),
        name,
        description: String::new(),
        path: table.path,
        backend: table.service_url,
        subscription_required: true,
        key_header: KEY_HEADER.to_owned(),
        key_query: KEY_QUERY.to_owned(),
        policy: table.policy,
        operations: table.operation.into_iter().map(operation).map(|made| (made.name.clone(), made)).collect(),
    }
}

fn product(table: ProductTable) -> (Product, Vec<String>) {
    let product = Product {
        display_name: table.name.clone(),
        name: table.name,
        description: String::new(),
        subscription_required: true,
        published: true,
        apis: table.apis.into_iter().map(Spanned::into_inner).collect(),
        policy: table.policy,
    };
    (product, table.subscriptions)
}
