//! Functions.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::function_version::FunctionAlias;
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
    /// Where the events of asynchronous invocations go that failed for good, as the client names it.
    #[serde(default)]
    pub dead_letter_target: Option<String>,
    /// How asynchronous invocations are tried again and where their ends are told; `None`: the defaults. Versions and aliases
    /// have their own.
    #[serde(default)]
    pub asynchronous: Option<AsyncPolicy>,
    /// Who may invoke it besides its owner.
    #[serde(default)]
    pub permissions: Vec<InvokePermission>,
    /// For people and their bills.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// SHA-256 of the package, base64: names the package and tells changes.
    pub code_hash: String,
    /// Size of the package, bytes.
    pub code_bytes: u64,
    /// When code or configuration last changed.
    pub modified: Millis,
    /// A new UUID with each change of what clients see: code, configuration, permissions, a version of it.
    pub revision: String,
    /// A new UUID with each change of code or configuration: its processes are told apart by it.
    #[serde(default)]
    pub generation: String,
    /// Which published version this is; `None`: the function itself, which can be changed.
    #[serde(default)]
    pub version: Option<u32>,
    /// Published versions by number: copies that never change. A version has none itself.
    #[serde(default)]
    pub versions: BTreeMap<u32, Self>,
    /// The number of the last version; no number is given twice.
    #[serde(default)]
    pub last_version: u32,
    /// Names that point to versions.
    #[serde(default)]
    pub aliases: BTreeMap<String, FunctionAlias>,
}

/// How asynchronous invocations of a function are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsyncPolicy {
    /// How often a failed one is tried again. 0 to 2; `None`: as often as the node does.
    pub retries_max: Option<u32>,
    /// How old one may become before it is given up, seconds. 60 to 21,600; `None`: the longest.
    pub age_max_seconds: Option<u32>,
    /// Where it is told that one succeeded, as the client names it.
    pub on_success: Option<String>,
    /// Where it is told that one failed for good.
    pub on_failure: Option<String>,
    /// When this was last changed.
    pub modified: Millis,
}

/// A permission to invoke a function: a statement of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvokePermission {
    /// Unique among the permissions of its qualifier.
    pub id: String,
    /// The version or the alias that it is for; `None`: the function itself.
    #[serde(default)]
    pub qualifier: Option<String>,
    /// What may be done, as the client wrote it.
    pub action: String,
    /// Who may: an account, a role, a service.
    pub principal: String,
    /// Only on behalf of this resource.
    pub source: Option<String>,
    /// Only on behalf of this account.
    pub source_account: Option<String>,
}

impl Definition for FunctionDefinition {
    const KIND: &'static str = "function";

    fn key(&self) -> &str {
        &self.name
    }
}
