//! Access keys.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A key id and the secret that signatures are made with. The secret is kept readable, since checking a signature needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyDefinition {
    /// Unique.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// Whose: `root`, or `user:NAME`.
    pub principal: String,
    /// Whether it is refused although it is there.
    #[serde(default)]
    pub disabled: bool,
    /// When it was made.
    pub created: Millis,
}

impl Definition for AccessKeyDefinition {
    const KIND: &'static str = "access key";

    fn key(&self) -> &str {
        &self.id
    }
}
