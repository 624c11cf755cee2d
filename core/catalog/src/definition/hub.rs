//! Hubs: streams as a namespace offers them.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::AccessPolicyDefinition;
use crate::collection::Definition;

/// A hub. Its records, partitions and retention are its stream's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubDefinition {
    /// `NAMESPACE/HUB`.
    pub id: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
    /// The stream that holds its records.
    pub stream: String,
    /// When it was made.
    pub created: Millis,
    /// Policies that hold for this hub only.
    pub policies: Vec<AccessPolicyDefinition>,
    /// Consumer groups, the one that every hub has among them.
    pub consumer_groups: Vec<ConsumerGroupDefinition>,
}

/// A consumer group: a name under which readers of a hub share its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerGroupDefinition {
    /// Unique in its hub, in any case of letters.
    pub name: String,
    /// When it was made.
    pub created: Millis,
    /// A user's own words on it.
    #[serde(default)]
    pub metadata: String,
}

impl Definition for HubDefinition {
    const KIND: &'static str = "hub";

    fn key(&self) -> &str {
        &self.id
    }
}
