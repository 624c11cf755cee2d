//! Event source mappings: functions that are run on the records of a stream or the messages of a queue.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// Runs a function on what a source brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSourceMappingDefinition {
    /// A UUID.
    pub id: String,
    /// Where records come from.
    pub source: EventSource,
    /// The function that gets them.
    pub function: String,
    /// Where reading began; of queues nothing.
    #[serde(default)]
    pub start: Option<MappingStart>,
    /// When it was made.
    pub created: Millis,
    /// When it last changed.
    pub modified: Millis,
    /// Whether it runs, or what else is wanted.
    pub state: MappingState,
    /// How batches are made and failures treated.
    pub settings: MappingSettings,
}

/// Where a mapping's records come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSource {
    /// The records of a stream.
    Stream {
        /// The stream.
        name: String,
    },
    /// The changes of a table.
    Table {
        /// The table.
        name: String,
        /// When its stream of changes was made: tells it from those that the table had before.
        made: Millis,
    },
    /// The messages of a queue.
    Queue {
        /// The queue.
        name: String,
    },
}

impl EventSource {
    /// The stream of the catalog that is read; `None` for a queue.
    #[must_use]
    pub fn stream(&self) -> Option<String> {
        match self {
            Self::Stream { name } => Some(name.clone()),
            Self::Table { name, .. } => Some(format!("changes/{name}")),
            Self::Queue { .. } => None,
        }
    }
}

/// With which record of a stream a mapping begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingStart {
    /// Those that come after the mapping was made.
    Latest,
    /// The oldest.
    TrimHorizon,
    /// The first that came at this time or later.
    AtTime(Millis),
}

/// What is wanted of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingState {
    /// It runs.
    Enabled,
    /// It waits; its place is kept.
    Disabled,
    /// It goes away as soon as what it began has ended.
    Deleting,
}

/// How a mapping makes batches and treats failures. What does not concern a kind of source has its default there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MappingSettings {
    /// Records of one invocation at most. 1 to 10,000.
    pub batch_size: u32,
    /// How long a batch may wait to be full, seconds. 0 to 300.
    pub window_seconds: u32,
    /// Batches of one shard at once, each of other partition keys. 1 to 10; streams only.
    pub parallelization: u32,
    /// Failed attempts after the first until a batch is discarded; `None`: without limit. Streams only.
    pub retries_max: Option<u32>,
    /// Age from which records are discarded, seconds; `None`: without limit. Streams only.
    pub record_age_max_seconds: Option<u32>,
    /// Whether a batch that failed is split in two. Streams only.
    pub bisect: bool,
    /// Whether the function says which records of a batch failed.
    pub reports_failures: bool,
    /// Patterns of which a record must match one, in the words of the front that made the mapping; none: all records.
    pub filters: Vec<String>,
    /// Where what is discarded is told of. Streams only.
    pub on_failure: Option<FailureTarget>,
    /// The length of windows over which the function hands a state on, seconds; `None`: there are none. 1 to 900; streams
    /// with one batch of a shard at once only.
    pub tumbling_window_seconds: Option<u32>,
    /// Invocations at once at most; `None`: as many as the engine has for a queue. 2 to 1,000; queues only.
    pub concurrency_max: Option<u32>,
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            window_seconds: 0,
            parallelization: 1,
            retries_max: None,
            record_age_max_seconds: None,
            bisect: false,
            reports_failures: false,
            filters: Vec::new(),
            on_failure: None,
            tumbling_window_seconds: None,
            concurrency_max: None,
        }
    }
}

/// Where discarded batches are told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureTarget {
    /// A queue.
    Queue {
        /// Its name.
        name: String,
    },
    /// A topic.
    Topic {
        /// Its name.
        name: String,
    },
    /// A bucket, which gets the records too.
    Bucket {
        /// Its name.
        name: String,
    },
}

impl Definition for EventSourceMappingDefinition {
    const KIND: &'static str = "event_source_mapping";

    fn key(&self) -> &str {
        &self.id
    }
}
