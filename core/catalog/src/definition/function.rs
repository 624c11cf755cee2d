//! Functions.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// Code that runs when asked to. The package's bytes are kept by the function engine under [`FunctionDefinition::code_hash`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionDefinition {
    /// Unique.
    pub name: String,
    /// The runtime's identifier as the client wrote it: `nodejs20.x`, `python3.11`, `provided.al2023`.
    pub runtime: String,
    /// What the runtime calls: `app.handler`.
    pub handler: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The role that the maker named.
    #[serde(default)]
    pub role: String,
    /// Longest run, seconds. 1 to 900.
    pub timeout_seconds: u32,
    /// Memory limit, MiB. 128 to 10,240.
    pub memory_mib: u32,
    /// Variables of its processes.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// At most this many runs at once; `None`: only the node's limit.
    #[serde(default)]
    pub concurrency_limit: Option<u32>,
    /// SHA-256 of the package, base64: names the package and tells changes.
    pub code_hash: String,
    /// Size of the package, bytes.
    pub code_bytes: u64,
    /// When code or configuration last changed.
    pub modified: Millis,
    /// A new UUID with each change.
    pub revision: String,
}

impl Definition for FunctionDefinition {
    const KIND: &'static str = "function";

    fn key(&self) -> &str {
        &self.name
    }
}
