//! What a pipeline file says in Azure's words: blob containers, Cosmos databases, Event Grid topics, API Management services.
//! Event hubs are in `hub.rs`.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::Millis;
use millstream_types::time::from_rfc3339;
use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{
    DeadLetterTarget, EventEndpoint, EventFilter, EventRetry, EventSchema, FieldCondition, FieldTest, ManagedApi,
    ManagedOperation, Product,
};

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
pub(super) struct SubscriptionTable {
    name: Spanned<String>,
    webhook: Option<String>,
    event_hub: Option<Spanned<String>>,
    function: Option<Spanned<String>>,
    queue: Option<Spanned<String>>,
    #[serde(default)]
    event_types: Vec<String>,
    #[serde(default)]
    subject_begins_with: String,
    #[serde(default)]
    subject_ends_with: String,
    /// Fields that must hold one of the texts.
    #[serde(default)]
    fields: BTreeMap<String, Vec<String>>,
    max_attempts: Option<u32>,
    ttl_minutes: Option<u32>,
    /// When the subscription ends, RFC 3339.
    expires: Option<Spanned<String>>,
    dead_letter: Option<DeadLetterTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLetterTable {
    container: String,
    #[serde(default)]
    prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiManagementTable {
    pub(super) name: Spanned<String>,
    policy: Option<String>,
    #[serde(default)]
    api: Vec<ManagedApiTable>,
    #[serde(default)]
    product: Vec<ProductTable>,
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

/// An event subscription to be.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSubscriptionSpec {
    /// Its name in its topic.
    pub name: String,
    /// Where events go.
    pub endpoint: EventEndpoint,
    /// Which events.
    pub filter: EventFilter,
    /// How often and how long a delivery is tried.
    pub retry: EventRetry,
    /// Where undeliverable events go.
    pub dead_letter: Option<DeadLetterTarget>,
    /// When it ends; `None`: when it is removed.
    pub expires: Option<Millis>,
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
        let value = ManagedServiceSpec {
            name: table.name.into_inner(),
            policy: table.policy,
            apis: table.api.into_iter().map(managed_api).collect(),
            products: table.product.into_iter().map(product).collect(),
        };
        Located { value, line }
    }

    fn subscription(&mut self, table: SubscriptionTable) -> Option<Located<EventSubscriptionSpec>> {
        let line = self.line(&table.name);
        let endpoint = match (table.webhook, table.event_hub, table.function, table.queue) {
            (Some(url), None, None, None) => EventEndpoint::Webhook { url },
            (None, Some(hub), None, None) => EventEndpoint::Stream { name: self.hub_stream(&hub) },
            (None, None, Some(function), None) => {
                let functions = self.functions.clone();
                self.refers("function", &functions, &function);
                EventEndpoint::Function { name: function.into_inner() }
            }
            (None, None, None, Some(queue)) => {
                let queues = self.queues.clone();
                self.refers("queue", &queues, &queue);
                EventEndpoint::Queue { name: queue.into_inner() }
            }
            _ => {
                self.wrong(
                    line,
                    "expected exactly one of `webhook`, `event_hub`, `function` and `queue`".to_owned(),
                    "name one: queue = \"NAME\"",
                );
                return None;
            }
        };
        let usual = EventRetry::default();
        let retry = EventRetry {
            attempts_max: table.max_attempts.unwrap_or(usual.attempts_max),
            ttl_minutes: table.ttl_minutes.unwrap_or(usual.ttl_minutes),
        };
        self.range(line, "max_attempts", retry.attempts_max.into(), (1, 30));
        self.range(line, "ttl_minutes", retry.ttl_minutes.into(), (1, 1_440));
        let condition = |(key, texts): (String, Vec<String>)| FieldCondition { key, test: FieldTest::StringIn(texts) };
        let filter = EventFilter {
            event_types: table.event_types,
            subject_begins_with: table.subject_begins_with,
            subject_ends_with: table.subject_ends_with,
            conditions: table.fields.into_iter().map(condition).collect(),
            ..EventFilter::default()
        };
        let dead_letter =
            table.dead_letter.map(|target| DeadLetterTarget { bucket: target.container, prefix: target.prefix });
        let expires = table.expires.and_then(|text| self.time("expires", &text));
        let value =
            EventSubscriptionSpec { name: table.name.into_inner(), endpoint, filter, retry, dead_letter, expires };
        Some(Located { value, line })
    }

    /// The time that a field names; what names none is a mistake.
    fn time(&mut self, field: &str, text: &Spanned<String>) -> Option<Millis> {
        let time = from_rfc3339(text.get_ref());
        if time.is_none() {
            let found =
                format!("expected a time such as `2026-12-31T00:00:00Z` for `{field}`, found `{}`", text.get_ref());
            self.wrong(self.line(text), found, "");
        }
        time
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
