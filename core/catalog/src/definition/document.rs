//! Databases of documents and their containers.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A database: it only holds containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentDatabaseDefinition {
    /// Unique.
    pub name: String,
    /// Never given twice, so a database made anew is another one.
    pub number: u32,
    /// When it was made.
    pub created: Millis,
    /// Told to clients; a new one with each change.
    pub etag: String,
    /// What its containers were promised together; `None`: nothing.
    #[serde(default)]
    pub throughput: Option<Throughput>,
}

/// How much a database or a container was promised, in request units a second. It is kept for clients; nothing is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Throughput {
    /// Always so much.
    Manual {
        /// Request units a second.
        units: u32,
    },
    /// As much as is used, up to a bound.
    Autoscale {
        /// Request units a second at most.
        units_max: u32,
    },
}

/// A container: its documents are the items of the table `document/DATABASE/CONTAINER`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentContainerDefinition {
    /// `DATABASE/CONTAINER`, unique; neither name may hold a slash.
    pub path: String,
    /// Never given twice, so a container made anew is another one.
    pub number: u32,
    /// The database's number.
    pub database_number: u32,
    /// When it was made.
    pub created: Millis,
    /// Told to clients; a new one with each change.
    pub etag: String,
    /// Where in a document its partition key is: `/tenant`, `/address/city`; up to three.
    pub partition_key_paths: Vec<String>,
    /// Settings that clients gave and that this node keeps for them without acting on them, as JSON: the indexing policy.
    #[serde(default)]
    pub indexing_policy: Option<String>,
    /// Seconds that documents stay which do not say it themselves, -1: for good; `None`: none of them ends.
    #[serde(default)]
    pub default_ttl: Option<i64>,
    /// The paths of each unique key: no two documents of a partition key have the same values there.
    #[serde(default)]
    pub unique_keys: Vec<Vec<String>>,
    /// What it was promised; `None`: nothing.
    #[serde(default)]
    pub throughput: Option<Throughput>,
}

impl DocumentContainerDefinition {
    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        self.path.split_once('/').map_or("", |(database, _)| database)
    }

    /// The container's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.split_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }
}

impl Definition for DocumentDatabaseDefinition {
    const KIND: &'static str = "database";

    fn key(&self) -> &str {
        &self.name
    }
}

impl Definition for DocumentContainerDefinition {
    const KIND: &'static str = "container";

    fn key(&self) -> &str {
        &self.path
    }
}
