//! Users: people and programs with keys of their own.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::Grants;
use crate::collection::Definition;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDefinition {
    /// Unique: 1 to 64 letters, digits and `+=,.@_-`.
    pub name: String,
    /// For sorting names into folders: `/` or `/a/b/`.
    pub path: String,
    /// Never given twice.
    pub id: String,
    /// What it may do.
    #[serde(default)]
    pub grants: Grants,
    /// The maker's own pairs.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Millis,
}

impl Definition for UserDefinition {
    const KIND: &'static str = "user";

    fn key(&self) -> &str {
        &self.name
    }
}
