//! API keys: what callers of APIs name themselves with.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyDefinition {
    /// Unique: ten letters and digits. It stays when the value changes.
    pub id: String,
    /// For people; need not be unique.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// What callers send; unique.
    pub value: String,
    /// The value before, while it opens the same.
    #[serde(default)]
    pub former: Option<FormerValue>,
    /// Whether it opens anything.
    pub enabled: bool,
    /// Whose it is at the marketplace; empty without.
    #[serde(default)]
    pub customer: String,
    /// The usage plans that it belongs to, by id.
    #[serde(default)]
    pub plans: BTreeSet<String>,
    /// Labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Millis,
    /// When it was last changed.
    #[serde(default)]
    pub updated: Millis,
}

/// A value that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerValue {
    /// What callers may still send.
    pub value: String,
    /// Until when; `None`: until it is revoked.
    #[serde(default)]
    pub until: Option<Millis>,
}

impl ApiKeyDefinition {
    /// Whether a value is this key's at a time.
    #[must_use]
    pub fn is_value(&self, value: &str, now: Millis) -> bool {
        let former = |former: &FormerValue| former.value == value && former.until.is_none_or(|until| now < until);
        self.value == value || self.former.as_ref().is_some_and(former)
    }
}

impl Definition for ApiKeyDefinition {
    const KIND: &'static str = "API key";

    fn key(&self) -> &str {
        &self.id
    }
}
