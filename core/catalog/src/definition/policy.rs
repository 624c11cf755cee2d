//! Policies of users and roles.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A policy that users and roles share: made by somebody, attached by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyDefinition {
    /// Unique: 1 to 128 letters, digits and `+=,.@_-`.
    pub name: String,
    /// For sorting names into folders: `/` or `/a/b/`.
    pub path: String,
    /// Never given twice.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Its texts, oldest first. At least one.
    pub versions: Vec<PolicyVersion>,
    /// The number of the version that holds.
    pub default_version: u32,
    /// The number that was given last.
    pub last_version: u32,
    /// When it was made.
    pub created: Millis,
    /// When its versions last changed.
    pub modified: Millis,
    /// The user's own pairs.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A text of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// From 1, never given twice in a policy.
    pub number: u32,
    /// The policy document, as it was written.
    pub document: String,
    /// When it was made.
    pub created: Millis,
}

impl PolicyDefinition {
    /// The text that holds; empty (which grants nothing) when the stored number names none.
    #[must_use]
    pub fn document(&self) -> &str {
        let holds = self.versions.iter().find(|version| version.number == self.default_version);
        holds.map_or("", |version| &version.document)
    }
}

impl Definition for PolicyDefinition {
    const KIND: &'static str = "policy";

    fn key(&self) -> &str {
        &self.name
    }
}

/// What a user or a role may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Policies of its own: name to document.
    #[serde(default)]
    pub inline: BTreeMap<String, String>,
    /// Policies that it shares with others.
    #[serde(default)]
    pub attached: BTreeSet<PolicyReference>,
}

/// Which shared policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyReference {
    /// One that somebody made here, by name.
    Own(String),
    /// One that every node knows, by name.
    Service(String),
}

impl PolicyReference {
    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Own(name) | Self::Service(name) => name,
        }
    }
}
