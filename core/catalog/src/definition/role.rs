//! Roles: rights that others take on for a while.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::Grants;
use crate::collection::Definition;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleDefinition {
    /// Unique: 1 to 64 letters, digits and `+=,.@_-`.
    pub name: String,
    /// For sorting names into folders: `/` or `/a/b/`.
    pub path: String,
    /// Never given twice: credentials of a role that was deleted are not good for a later one of its name.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The policy document that says who may take it on.
    pub trust: String,
    /// The longest time that temporary credentials may be asked for. 3,600 to 43,200.
    pub session_seconds_max: u32,
    /// What it may do.
    #[serde(default)]
    pub grants: Grants,
    /// The maker's own pairs.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Millis,
}

impl Definition for RoleDefinition {
    const KIND: &'static str = "role";

    fn key(&self) -> &str {
        &self.name
    }
}
