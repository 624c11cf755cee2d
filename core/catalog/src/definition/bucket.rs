//! Buckets: what their folders cannot hold.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A bucket of objects. Its objects are files and say of themselves what they are; a folder without a definition is a
/// bucket too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketDefinition {
    /// Unique; the folder's name.
    pub name: String,
    /// When it was made.
    pub created: Millis,
    /// When its metadata changed last.
    pub modified: Millis,
    /// Changes with its metadata.
    pub etag: String,
    /// The user's own pairs.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl Definition for BucketDefinition {
    const KIND: &'static str = "bucket";

    fn key(&self) -> &str {
        &self.name
    }
}
