//! What the console looks at: the engines, shared by all pages.

use std::sync::Arc;

use millstream_catalog::{
    Catalog, DeliveryStreamDefinition, DocumentContainerDefinition, EventSubscriptionDefinition, FunctionDefinition,
    HubDefinition, ManagedServiceDefinition, QueryDefinition, StreamDefinition, StreamOwner, TableDefinition,
    TopicDefinition, UsagePlanDefinition,
};
use millstream_delivery::Deliveries;
use millstream_document::Documents;
use millstream_event::Events;
use millstream_function::Functions;
use millstream_gateway::{Managed, Plans};
use millstream_insight::Insight;
use millstream_mapping::Mappings;
use millstream_namespace::Namespaces;
use millstream_object::Objects;
use millstream_query::Queries;
use millstream_stream::Streams;
use millstream_table::Tables;
use millstream_types::Clock;
use tokio::sync::Semaphore;

use crate::create::{Create, CreateRefusal, JobAsk, NewSection};
use crate::error::ConsoleError;
use crate::live::Live;
use crate::measure::Measures;

/// Followers of streams and logs and running queries over the JSON API at a time.
pub const FOLLOWERS_MAX: usize = 64;

/// The engines that a console shows.
pub struct ConsoleParts {
    /// What is defined.
    pub catalog: Catalog,
    /// The stream engine.
    pub streams: Streams,
    /// Logs, metrics, trail.
    pub insight: Insight,
    /// The function engine.
    pub functions: Functions,
    /// The engine of event source mappings.
    pub mappings: Mappings,
    /// The table engine.
    pub tables: Tables,
    /// The delivery engine.
    pub deliveries: Deliveries,
    /// The query engine.
    pub queries: Queries,
    /// The namespace engine.
    pub namespaces: Namespaces,
    /// The event engine.
    pub events: Events,
    /// The object engine.
    pub objects: Objects,
    /// The document engine.
    pub documents: Documents,
    /// The engine of managed APIs.
    pub managed: Managed,
    /// Usage plans, their keys and meters.
    pub plans: Plans,
    /// How clients reach what is shown.
    pub addresses: Addresses,
    /// Makes what forms describe, and does what they ask of queries.
    pub create: Arc<dyn Create>,
    /// The node's time.
    pub clock: Arc<dyn Clock>,
    /// Host names, besides those of loopback, under which browsers may ask for the console.
    pub hosts: Vec<String>,
}

/// The connection strings of a namespace's hub, as text; `None` when there is no such hub.
pub type ConnectionStrings = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// How clients reach what is shown, in the words of the protocol that they speak.
pub struct Addresses {
    /// Connection strings with their keys.
    pub connection_strings: ConnectionStrings,
    /// Where events are published to a topic.
    pub topic_endpoint: Arc<dyn Fn(&str) -> String + Send + Sync>,
}

/// The console. Cheap to clone.
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    parts: ConsoleParts,
    live: Live,
    followers: Arc<Semaphore>,
}

impl Console {
    /// A console over the engines. Draws nothing until somebody looks.
    #[must_use]
    pub fn new(parts: ConsoleParts) -> Self {
        let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
        Self { shared: Arc::new(Shared { parts, live: Live::default(), followers }) }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.shared.parts.catalog
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.shared.parts.streams
    }

    pub(crate) fn insight(&self) -> &Insight {
        &self.shared.parts.insight
    }

    pub(crate) fn functions(&self) -> &Functions {
        &self.shared.parts.functions
    }

    pub(crate) fn mappings(&self) -> &Mappings {
        &self.shared.parts.mappings
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.shared.parts.tables
    }

    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.shared.parts.deliveries
    }

    pub(crate) fn queries(&self) -> &Queries {
        &self.shared.parts.queries
    }

    pub(crate) fn namespaces(&self) -> &Namespaces {
        &self.shared.parts.namespaces
    }

    pub(crate) fn events(&self) -> &Events {
        &self.shared.parts.events
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.shared.parts.objects
    }

    pub(crate) fn documents(&self) -> &Documents {
        &self.shared.parts.documents
    }

    pub(crate) fn managed(&self) -> &Managed {
        &self.shared.parts.managed
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.shared.parts.plans
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.shared.parts.addresses
    }

    /// Whether forms ask for a token.
    pub(crate) fn create_needs_token(&self) -> bool {
        self.shared.parts.create.needs_token()
    }

    /// Makes what a section describes. Goes on to its end when whoever asked goes away: half a resource helps nobody.
    pub(crate) async fn create(&self, new: NewSection) -> Result<Vec<String>, CreateRefusal> {
        let create = Arc::clone(&self.shared.parts.create);
        let made = tokio::spawn(async move { create.create(new).await }).await;
        made.unwrap_or_else(|error| Err(CreateRefusal::Failed(format!("it ended early: {error}"))))
    }

    /// Does what is asked of a query; to its end, too.
    pub(crate) async fn job(&self, token: String, query: String, ask: JobAsk) -> Result<String, CreateRefusal> {
        let create = Arc::clone(&self.shared.parts.create);
        let done = tokio::spawn(async move { create.job(token, query, ask).await }).await;
        done.unwrap_or_else(|error| Err(CreateRefusal::Failed(format!("it ended early: {error}"))))
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.parts.clock
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        self.shared.parts.hosts.clone()
    }

    pub(crate) fn live(&self) -> &Live {
        &self.shared.live
    }

    /// A place for one long answer of the JSON API, held while it runs.
    pub(crate) fn follower(&self) -> Result<tokio::sync::OwnedSemaphorePermit, ConsoleError> {
        let busy = ConsoleError::Busy { what: "followers", limit: FOLLOWERS_MAX };
        Arc::clone(&self.shared.followers).try_acquire_owned().map_err(|_| busy)
    }

    pub(crate) fn query(&self, name: &str) -> Result<Arc<QueryDefinition>, ConsoleError> {
        self.catalog().queries.get(name).ok_or_else(|| not_found("query", name))
    }

    pub(crate) fn function(&self, name: &str) -> Result<Arc<FunctionDefinition>, ConsoleError> {
        self.catalog().functions.get(name).ok_or_else(|| not_found("function", name))
    }

    pub(crate) fn table(&self, name: &str) -> Result<Arc<TableDefinition>, ConsoleError> {
        self.catalog().tables.get(name).ok_or_else(|| not_found("table", name))
    }

    pub(crate) fn delivery_stream(&self, name: &str) -> Result<Arc<DeliveryStreamDefinition>, ConsoleError> {
        self.catalog().delivery_streams.get(name).ok_or_else(|| not_found("delivery stream", name))
    }

    pub(crate) fn hub(&self, namespace: &str, name: &str) -> Result<Arc<HubDefinition>, ConsoleError> {
        self.namespaces().hub(namespace, name).map_err(|_| not_found("hub", name))
    }

    pub(crate) fn topic(&self, name: &str) -> Result<Arc<TopicDefinition>, ConsoleError> {
        self.events().any_topic(name).map_err(|_| not_found("topic", name))
    }

    pub(crate) fn subscription(
        &self,
        topic: &str,
        name: &str,
    ) -> Result<Arc<EventSubscriptionDefinition>, ConsoleError> {
        self.events().any_subscription(topic, name).map_err(|_| not_found("subscription", name))
    }

    pub(crate) fn container(
        &self,
        database: &str,
        name: &str,
    ) -> Result<Arc<DocumentContainerDefinition>, ConsoleError> {
        self.documents().container(database, name).map_err(|_| not_found("container", name))
    }

    pub(crate) fn service(&self, name: &str) -> Result<Arc<ManagedServiceDefinition>, ConsoleError> {
        self.managed().service(name).map_err(|_| not_found("service", name))
    }

    pub(crate) fn plan(&self, id: &str) -> Result<Arc<UsagePlanDefinition>, ConsoleError> {
        self.plans().plan(id).map_err(|_| not_found("usage plan", id))
    }

    /// A stream's metrics: those of a delivery stream's or topic's own stream are counted at its door, under its own name.
    pub(crate) fn stream_measures(&self, stream: &StreamDefinition) -> Measures {
        let subject = match stream.owner {
            StreamOwner::DeliveryStream | StreamOwner::Topic => stream.name.clone(),
            StreamOwner::User | StreamOwner::Query | StreamOwner::Hub | StreamOwner::Table | StreamOwner::Gateway => {
                format!("stream/{}", stream.name)
            }
        };
        Measures::of(&self.insight().metrics, subject)
    }
}

/// Tells that there is no such resource.
pub(crate) fn not_found(kind: &'static str, name: &str) -> ConsoleError {
    ConsoleError::NotFound { kind, name: name.to_owned() }
}
