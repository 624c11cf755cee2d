//! Streams and their shards.

use millstream_types::{LogId, Millis};
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// A partitioned, durable stream of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDefinition {
    /// Unique. A user's stream has a plain name; one that belongs to another resource has the owner's prefix, see
    /// [`StreamOwner`].
    pub name: String,
    /// Whose it is.
    pub owner: StreamOwner,
    /// When it was made.
    pub created: Millis,
    /// How long records stay readable.
    pub retention_hours: u32,
    /// All shards, closed ones too while they hold records; in the order of their making.
    pub shards: Vec<ShardDefinition>,
    /// Labels.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Who decides the number of shards.
    #[serde(default)]
    pub capacity: CapacityMode,
}

/// Who decides how many shards a stream has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapacityMode {
    /// Its maker.
    #[default]
    Provisioned,
    /// The node. Recorded: shards are not limited in what they take, so there is no need for more.
    OnDemand,
}

/// Who made a stream and may remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOwner {
    /// A user: it is listed by the stream services.
    User,
    /// A delivery stream with direct put, named `delivery/NAME`.
    DeliveryStream,
    /// A query's in-application stream, named `query/QUERY/STREAM`.
    Query,
    /// A topic, whose events it holds; named `topic/NAME`.
    Topic,
    /// A hub outside the default namespace, named `NAMESPACE/HUB`. Those of the default namespace are users' streams.
    Hub,
    /// A table, whose changes it holds; named `changes/TABLE`.
    Table,
    /// The gateway: the access log of its metered requests, named `gateway/access`.
    Gateway,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDefinition {
    /// Its number in the stream: 0, 1, …; never reused.
    pub index: u32,
    /// Its records.
    pub log: LogIdValue,
    /// Which hashed partition keys land here.
    pub hash_keys: HashKeyRange,
}

impl ShardDefinition {
    /// The log of its records.
    #[must_use]
    pub fn log(&self) -> LogId {
        LogId(self.log)
    }
}

/// A log's number as stored.
pub type LogIdValue = u64;

/// A range of MD5 values read as 128-bit numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashKeyRange {
    /// First value.
    #[serde(with = "decimal")]
    pub start: u128,
    /// Last value.
    #[serde(with = "decimal")]
    pub end: u128,
}

impl Definition for StreamDefinition {
    const KIND: &'static str = "stream";

    fn key(&self) -> &str {
        &self.name
    }
}

/// 128-bit numbers as decimal text: JSON numbers would lose digits in other readers.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
