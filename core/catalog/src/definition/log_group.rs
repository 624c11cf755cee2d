//! Log groups: what somebody said of them. Their lines are the insight engine's.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A log group that was made or changed by hand; a group that has only lines has no definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroupDefinition {
    /// Unique.
    pub name: String,
    /// When it was made.
    pub created: Millis,
    /// How many days its lines are shown; `None`: as long as they are kept.
    #[serde(default)]
    pub retention_days: Option<u32>,
    /// For people and their bills.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Streams that were made by hand, and when; streams that have lines besides need not be here.
    #[serde(default)]
    pub streams: BTreeMap<String, Millis>,
}

impl Definition for LogGroupDefinition {
    const KIND: &'static str = "log_group";

    fn key(&self) -> &str {
        &self.name
    }
}
