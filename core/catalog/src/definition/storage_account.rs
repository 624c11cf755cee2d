//! Storage accounts: names and keys under which clients of the Blob protocol come.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A storage account. Its keys are kept readable, since checking a signature needs them; there are two so that one can
/// be changed while the other is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageAccountDefinition {
    /// Unique: 3 to 24 lower-case letters and digits.
    pub name: String,
    /// Both keys, base64.
    pub keys: [String; 2],
    /// When it was made.
    pub created: Millis,
}

impl Definition for StorageAccountDefinition {
    const KIND: &'static str = "storage account";

    fn key(&self) -> &str {
        &self.name
    }
}
