//! Shared access policies: whose they are, and how their keys are made.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_catalog::{AccessPolicyDefinition, AccessRights};

/// The policy that every namespace is made with.
pub const ROOT_POLICY: &str = "RootManageSharedAccessKey";

/// The published key of development nodes under [`ROOT_POLICY`].
pub const DEVELOPMENT_KEY: &str = "SAS_KEY_VALUE";

/// Policies of one namespace or hub.
pub const POLICIES_MAX: usize = 12;

/// Where keys come from: 32 bytes that nobody can guess, at each call.
pub type Random = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// What a policy holds for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The namespace.
    pub namespace: String,
    /// The hub; `None`: all of them.
    pub hub: Option<String>,
}

/// Which of a policy's two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyName {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

/// A key as text.
#[must_use]
pub fn new_key(random: &Random) -> String {
    STANDARD.encode(random())
}

/// A policy with new keys.
#[must_use]
pub fn new_policy(name: &str, rights: AccessRights, random: &Random) -> AccessPolicyDefinition {
    AccessPolicyDefinition {
        name: name.to_owned(),
        rights,
        primary_key: new_key(random),
        secondary_key: new_key(random),
    }
}
