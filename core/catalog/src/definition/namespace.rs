//! Namespaces of hubs and the policies that say who may use them.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A namespace: hubs under one name and one set of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceDefinition {
    /// Unique.
    pub name: String,
    /// When it was made.
    pub created: Millis,
    /// Policies that hold for all its hubs.
    pub policies: Vec<AccessPolicyDefinition>,
    /// How much it takes and gives in a second; 0: without a limit.
    #[serde(default)]
    pub throughput_units: u32,
    /// Up to how many units it gets by itself when it needs more than it has; 0: it gets none.
    #[serde(default)]
    pub throughput_units_max: u32,
}

/// A shared access policy: who has one of its keys has its rights. Keys are kept readable, since checking a signature
/// needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicyDefinition {
    /// Unique in its namespace or hub.
    pub name: String,
    /// What it allows.
    pub rights: AccessRights,
    /// One of two keys, so that one can be changed while the other is in use.
    pub primary_key: String,
    /// The other.
    pub secondary_key: String,
}

/// Rights on hubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccessRights {
    /// To put records.
    pub send: bool,
    /// To read records.
    pub listen: bool,
    /// To change hubs; needs the two others.
    pub manage: bool,
}

impl AccessRights {
    /// All of them.
    pub const ALL: Self = Self { send: true, listen: true, manage: true };
}

impl Definition for NamespaceDefinition {
    const KIND: &'static str = "namespace";

    fn key(&self) -> &str {
        &self.name
    }
}
