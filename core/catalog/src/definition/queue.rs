//! Queues: what their messages are kept by.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A queue of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDefinition {
    /// Unique: 1 to 80 letters, digits, `-` and `_`.
    pub name: String,
    /// Never given twice: what its messages are kept under.
    pub number: u64,
    /// When it was made.
    pub created: Millis,
    /// When it last changed.
    pub modified: Millis,
    /// How it treats its messages.
    pub settings: QueueSettings,
    /// The user's own pairs, as clients of storage accounts set them.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The user's own pairs, as clients of queues set them.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Who else may use it, in the words of the protocol that set it; the queue engine keeps it and does not read it.
    #[serde(default)]
    pub policy: Option<String>,
}

/// How a queue treats its messages, where a call does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSettings {
    /// How long a received message is hidden. 0 to 43,200.
    pub visibility_seconds: u32,
    /// How long messages stay. 60 to 1,209,600.
    pub retention_seconds: u32,
    /// How long a new message is hidden. 0 to 900.
    pub delay_seconds: u32,
    /// How long a receive waits for messages. 0 to 20.
    pub wait_seconds: u32,
    /// Bytes of a message with its attributes. 1,024 to 1,048,576.
    pub message_bytes_max: u32,
    /// What becomes of messages that nobody deletes; `None`: they come again and again.
    pub redrive: Option<Redrive>,
    /// Whose dead letters it takes.
    pub sources: RedriveSources,
}

/// Whose dead letters a queue takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedriveSources {
    /// Those of all queues.
    #[default]
    All,
    /// None.
    None,
    /// Those of these queues.
    Queues(Vec<String>),
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            visibility_seconds: 30,
            retention_seconds: 4 * 24 * 3_600,
            delay_seconds: 0,
            wait_seconds: 0,
            message_bytes_max: 1 << 20,
            redrive: None,
            sources: RedriveSources::All,
        }
    }
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// The dead-letter queue.
    pub queue: String,
    /// Receives after which a message goes there instead of to the next receiver. 1 to 1,000.
    pub receives_max: u32,
}

impl Definition for QueueDefinition {
    const KIND: &'static str = "queue";

    fn key(&self) -> &str {
        &self.name
    }
}
