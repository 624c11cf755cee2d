//! Tables.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// Items under a hash key and, if there is one, a sort key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// Unique.
    pub name: String,
    /// Names its items on disk; never given twice, so a table made anew begins empty.
    pub id: u64,
    /// A UUID, as clients see it.
    pub uuid: String,
    /// When it was made.
    pub created: Millis,
    /// The hash key.
    pub hash_key: KeyAttribute,
    /// The sort key.
    #[serde(default)]
    pub sort_key: Option<KeyAttribute>,
    /// Provisioned (reads, writes) per second; `None` for pay per request.
    #[serde(default)]
    pub provisioned: Option<(u64, u64)>,
    /// Labels.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
}

/// One key attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAttribute {
    /// Its name in items.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub key_type: KeyType,
}

/// What a key may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// Text, ordered by its UTF-8 bytes.
    String,
    /// A decimal number of up to 38 digits.
    Number,
    /// Bytes.
    Binary,
}

impl Definition for TableDefinition {
    const KIND: &'static str = "table";

    fn key(&self) -> &str {
        &self.name
    }
}
