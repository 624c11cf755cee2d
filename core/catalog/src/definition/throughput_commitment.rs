//! What an account has committed itself to pay for. Recorded: nobody pays a node.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// The commitment of the node's account to pay for a throughput of all its streams. There is one at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThroughputCommitmentDefinition {
    /// When it began.
    pub started: Millis,
    /// When it ends, or has ended; `None`: nobody has said so.
    #[serde(default)]
    pub ends: Option<Millis>,
}

impl Definition for ThroughputCommitmentDefinition {
    const KIND: &'static str = "throughput commitment";

    fn key(&self) -> &str {
        "account"
    }
}
