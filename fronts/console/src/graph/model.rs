//! Nodes and edges from the catalog's definitions.
//!
//! An edge is drawn where a definition names the other resource. A function's code is not read: an environment variable
//! whose value is a resource's name counts as naming it, because that is how functions are told where to write.

use std::collections::HashMap;

use millstream_catalog::{
    Catalog, DeliverySource, DocumentOutput, EventEndpoint, EventSource, EventSubscriptionDefinition,
    FunctionDefinition, OutputTarget, StreamOwner, TableOwner,
};

use crate::page::Page;

/// Stages that one graph shows; beyond it the lists are the better view.
pub const NODES_MAX: usize = 80;

/// Kinds of stages, in the order of a record's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An HTTP API.
    Api,
    /// A stream.
    Stream,
    /// An event hub.
    Hub,
    /// A topic of events.
    Topic,
    /// A delivery stream.
    Delivery,
    /// A continuous query.
    Query,
    /// A function.
    Function,
    /// A table.
    Table,
    /// A container of documents.
    Container,
    /// A bucket of objects.
    Objects,
    /// The address of somebody else that a subscription's events are sent to.
    Webhook,
}

impl Kind {
    /// The kind's word on its node.
    pub fn word(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Stream => "stream",
            Self::Hub => "event hub",
            Self::Topic => "topic",
            Self::Delivery => "delivery stream",
            Self::Query => "query",
            Self::Function => "function",
            Self::Table => "table",
            Self::Container => "container",
            Self::Objects => "objects",
            Self::Webhook => "webhook",
        }
    }

    /// The kind's class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Api => "api",
            Self::Hub => "hub",
            other => other.word(),
        }
    }
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its name for people.
    pub name: String,
    /// Its name in metrics: an API's id, else its name.
    pub subject: String,
    /// The page that shows it; an API has none yet.
    pub page: Option<Page>,
}

/// Stages and the way between them, as indices of `nodes`.
#[derive(Debug, Default)]
pub struct Pipeline {
    /// The stages.
    pub nodes: Vec<Node>,
    /// From, to.
    pub edges: Vec<(usize, usize)>,
    /// How many stages were left out because there are more than [`NODES_MAX`].
    pub left_out: usize,
    places: HashMap<(Kind, String), usize>,
}

impl Pipeline {
    /// The graph of everything defined.
    pub fn of(catalog: &Catalog) -> Self {
        let mut pipeline = Self::default();
        pipeline.add_nodes(catalog);
        pipeline.connect_apis(catalog);
        pipeline.connect_functions(catalog);
        pipeline.connect_mappings(catalog);
        pipeline.connect_delivery_streams(catalog);
        pipeline.connect_queries(catalog);
        pipeline.connect_topics(catalog);
        pipeline.edges.sort_unstable();
        pipeline.edges.dedup();
        pipeline
    }

    fn add_nodes(&mut self, catalog: &Catalog) {
        for api in catalog.apis.list() {
            self.add(Kind::Api, &api.name, &api.id, None);
        }
        let hubs = catalog.hubs.list();
        for hub in &hubs {
            self.add(Kind::Hub, &hub.name, &hub.stream, Some(Page::Hub(hub.namespace.clone(), hub.name.clone())));
        }
        // Some hubs share their stream with its other users: it is one stage.
        let is_hub = |name: &str| hubs.iter().any(|hub| hub.stream == name);
        for stream in catalog.streams.list() {
            if stream.owner == StreamOwner::User && !is_hub(&stream.name) {
                self.add(Kind::Stream, &stream.name, &stream.name, Some(Page::stream(&stream.name)));
            }
        }
        for topic in catalog.topics.list() {
            self.add(Kind::Topic, &topic.name, &topic.name, Some(Page::Topic(topic.name.clone())));
        }
        for subscription in catalog.event_subscriptions.list() {
            if let EventEndpoint::Webhook { .. } = subscription.endpoint {
                let page = Page::Subscription(subscription.topic.clone(), subscription.name.clone());
                self.add(Kind::Webhook, &subscription.name, &subscription.id, Some(page));
            }
        }
        for delivery in catalog.delivery_streams.list() {
            let page = Page::Delivery(delivery.name.clone());
            self.add(Kind::Delivery, &delivery.name, &delivery.name, Some(page.clone()));
            let bucket = &delivery.destination.bucket;
            self.add(Kind::Objects, bucket, &delivery.name, Some(bucket_page(catalog, bucket).unwrap_or(page)));
        }
        for query in catalog.queries.list() {
            let page = Some(Page::Query(query.name.clone()));
            self.add(Kind::Query, &query.name, &query.name, page.clone());
            for output in &query.outputs {
                match &output.target {
                    OutputTarget::Objects(output) => {
                        let page = bucket_page(catalog, &output.bucket).or(page.clone());
                        self.add(Kind::Objects, &output.bucket, &format!("query/{}", query.name), page);
                    }
                    OutputTarget::Documents(output) => {
                        let name = container(output);
                        let made = catalog.document_containers.get(&name).map(|_| Page::container(&name));
                        self.add(Kind::Container, &name, &name, made.or(page.clone()));
                    }
                    OutputTarget::Function { .. } | OutputTarget::Stream { .. } | OutputTarget::Keep => {}
                }
            }
        }
        for function in catalog.functions.list() {
            self.add(Kind::Function, &function.name, &function.name, Some(Page::Function(function.name.clone())));
        }
        for table in catalog.tables.list().iter().filter(|table| table.owner == TableOwner::User) {
            self.add(Kind::Table, &table.name, &table.name, Some(Page::table(&table.name)));
        }
        for container in catalog.document_containers.list() {
            self.add(Kind::Container, &container.path, &container.path, Some(Page::container(&container.path)));
        }
        for bucket in catalog.buckets.list() {
            self.add(Kind::Objects, &bucket.name, &format!("bucket/{}", bucket.name), Some(Page::bucket(&bucket.name)));
        }
    }

    fn add(&mut self, kind: Kind, name: &str, subject: &str, page: Option<Page>) {
        // Several delivery streams may fill one bucket; the names of some kinds repeat.
        let by_subject = matches!(kind, Kind::Api | Kind::Hub | Kind::Webhook);
        let key = (kind, if by_subject { subject } else { name }.to_owned());
        if self.places.contains_key(&key) {
            return;
        }
        if self.nodes.len() == NODES_MAX {
            self.left_out += 1;
            return;
        }
        self.places.insert(key, self.nodes.len());
        self.nodes.push(Node { kind, name: name.to_owned(), subject: subject.to_owned(), page });
    }

    fn find(&self, kind: Kind, name: &str) -> Option<usize> {
        self.places.get(&(kind, name.to_owned())).copied()
    }

    /// The stage of a function that a reference names; versions and aliases have none of their own.
    fn find_function(&self, reference: &str) -> Option<usize> {
        self.find(Kind::Function, FunctionDefinition::split_reference(reference).0)
    }

    /// The stage that a stream of the catalog stands for: itself, or the resource that owns it.
    fn find_stream(&self, name: &str) -> Option<usize> {
        if let Some(delivery) = name.strip_prefix("delivery/") {
            return self.find(Kind::Delivery, delivery);
        }
        if let Some((query, _)) = name.strip_prefix("query/").and_then(|rest| rest.split_once('/')) {
            return self.find(Kind::Query, query);
        }
        if let Some(topic) = name.strip_prefix("topic/") {
            return self.find(Kind::Topic, topic);
        }
        self.find(Kind::Stream, name).or_else(|| self.find(Kind::Hub, name))
    }

    fn connect(&mut self, from: Option<usize>, to: Option<usize>) {
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            self.edges.push((from, to));
        }
    }

    fn connect_apis(&mut self, catalog: &Catalog) {
        for api in catalog.apis.list() {
            let from = self.find(Kind::Api, &api.id);
            let methods = api.resources.values().flat_map(|resource| resource.methods.values());
            for function in methods.filter_map(|method| method.integration.as_ref()?.function.as_ref()) {
                let to = self.find_function(function);
                self.connect(from, to);
            }
        }
    }

    fn connect_functions(&mut self, catalog: &Catalog) {
        for function in catalog.functions.list() {
            let from = self.find(Kind::Function, &function.name);
            for to in self.named_by(&function) {
                self.connect(from, Some(to));
            }
        }
    }

    /// Queues have no stage of their own.
    fn connect_mappings(&mut self, catalog: &Catalog) {
        for mapping in catalog.event_source_mappings.list() {
            let from = match &mapping.source {
                EventSource::Stream { name } => self.find_stream(name),
                EventSource::Table { name, .. } => self.find(Kind::Table, name),
                EventSource::Queue { .. } => None,
            };
            self.connect(from, self.find_function(&mapping.function));
        }
    }

    fn named_by(&self, function: &FunctionDefinition) -> Vec<usize> {
        let kinds = [Kind::Table, Kind::Delivery, Kind::Stream, Kind::Hub, Kind::Topic, Kind::Container];
        let values = function.environment.values();
        values.filter_map(|value| kinds.into_iter().find_map(|kind| self.find(kind, value))).collect()
    }

    fn connect_delivery_streams(&mut self, catalog: &Catalog) {
        for delivery in catalog.delivery_streams.list() {
            let node = self.find(Kind::Delivery, &delivery.name);
            if let DeliverySource::Stream { name } = &delivery.source {
                self.connect(self.find_stream(name), node);
            }
            self.connect(node, self.find(Kind::Objects, &delivery.destination.bucket));
        }
    }

    fn connect_queries(&mut self, catalog: &Catalog) {
        for query in catalog.queries.list() {
            let node = self.find(Kind::Query, &query.name);
            for input in &query.inputs {
                self.connect(self.find_stream(&input.stream), node);
            }
            for output in &query.outputs {
                let to = match &output.target {
                    OutputTarget::Function { name } => self.find_function(name),
                    OutputTarget::Stream { name } => self.find_stream(name),
                    OutputTarget::Objects(output) => self.find(Kind::Objects, &output.bucket),
                    OutputTarget::Documents(output) => self.find(Kind::Container, &container(output)),
                    OutputTarget::Keep => None,
                };
                self.connect(node, to);
            }
        }
    }

    fn connect_topics(&mut self, catalog: &Catalog) {
        for subscription in catalog.event_subscriptions.list() {
            let (topic, endpoint) = (self.find(Kind::Topic, &subscription.topic), self.find_endpoint(&subscription));
            self.connect(topic, endpoint);
            let letters = subscription.dead_letter.as_ref().and_then(|target| self.find(Kind::Objects, &target.bucket));
            self.connect(endpoint.or(topic), letters);
        }
    }

    fn find_endpoint(&self, subscription: &EventSubscriptionDefinition) -> Option<usize> {
        match &subscription.endpoint {
            EventEndpoint::Webhook { .. } => self.find(Kind::Webhook, &subscription.id),
            EventEndpoint::Stream { name } => self.find_stream(name),
            EventEndpoint::Function { name } => self.find_function(name),
            EventEndpoint::Queue { .. } => None,
        }
    }
}

/// The page of a bucket, once it is made.
fn bucket_page(catalog: &Catalog, bucket: &str) -> Option<Page> {
    catalog.buckets.get(bucket).map(|_| Page::bucket(bucket))
}

/// A container's name among the stages.
fn container(output: &DocumentOutput) -> String {
    format!("{}/{}", output.database, output.container)
}
