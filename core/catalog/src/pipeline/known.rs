//! What a node has already: names that a file may refer to without defining them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::collection::Catalog;
use crate::definition::{EventSchema, HubDefinition, StreamOwner};

/// The namespace whose hubs are named without it.
const DEFAULT_NAMESPACE: &str = "default";

/// Names by kind. The empty one is that of a file which stands for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Streams of users.
    pub streams: BTreeSet<String>,
    /// Delivery streams.
    pub delivery_streams: BTreeSet<String>,
    /// Tables.
    pub tables: BTreeSet<String>,
    /// Functions.
    pub functions: BTreeSet<String>,
    /// Roles.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// Queues.
    pub queues: BTreeSet<String>,
    /// Topics of messages.
    #[serde(default)]
    pub topics: BTreeSet<String>,
    /// HTTP APIs.
    #[serde(default)]
    pub apis: BTreeSet<String>,
    /// Usage plans.
    #[serde(default)]
    pub plans: BTreeSet<String>,
    /// Hubs, those of other namespaces as `NAMESPACE/HUB`, and their streams.
    pub hubs: BTreeMap<String, String>,
}

impl Known {
    /// What a catalog has.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let hub = |hub: &HubDefinition| {
            let name = if hub.namespace == DEFAULT_NAMESPACE { &hub.name } else { &hub.id };
            (name.clone(), hub.stream.clone())
        };
        let streams = catalog.streams.list();
        let of_users = streams.iter().filter(|stream| stream.owner == StreamOwner::User);
        let topics = catalog.topics.list();
        let topics = topics.iter();
        Self {
            streams: of_users.map(|stream| stream.name.clone()).collect(),
            delivery_streams: catalog.delivery_streams.list().iter().map(|found| found.name.clone()).collect(),
            tables: catalog.tables.list().iter().map(|table| table.name.clone()).collect(),
            functions: catalog.functions.list().iter().map(|function| function.name.clone()).collect(),
            roles: catalog.roles.list().iter().map(|role| role.name.clone()).collect(),
            queues: catalog.queues.list().iter().map(|queue| queue.name.clone()).collect(),
            topics: topics
                .filter(|topic| topic.schema == EventSchema::Message)
                .map(|topic| topic.name.clone())
                .collect(),
            apis: catalog.apis.list().iter().map(|api| api.name.clone()).collect(),
            plans: catalog.usage_plans.list().iter().map(|plan| plan.name.clone()).collect(),
            hubs: catalog.hubs.list().iter().map(|found| hub(found)).collect(),
        }
    }
}
