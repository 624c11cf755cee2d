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
    /// When its number of shards was set, within the last day.
    #[serde(default)]
    pub scaled: Vec<Millis>,
    /// Consumers that have shards pushed to them, in the order of their making.
    #[serde(default)]
    pub consumers: Vec<StreamConsumer>,
    /// What else was set.
    #[serde(default)]
    pub settings: StreamSettings,
}

impl StreamDefinition {
    /// How long records stay readable, in milliseconds.
    #[must_use]
    pub fn retention_ms(&self) -> Millis {
        Millis::from(self.retention_hours) * 3_600_000
    }

    /// Numbers that were given to shards so far: one more than the highest. Some may be of shards that are no more.
    #[must_use]
    pub fn numbers(&self) -> u32 {
        self.shards.last().map_or(0, |last| last.index + 1)
    }

    /// Shards that take records, in the order of their making.
    pub fn open_shards(&self) -> impl Iterator<Item = &ShardDefinition> {
        self.shards.iter().filter(|shard| shard.is_open())
    }

    /// Whether the shard of a number takes records.
    #[must_use]
    pub fn is_open(&self, index: u32) -> bool {
        self.open_shards().any(|shard| shard.index == index)
    }

    /// The shards that came of a shard when it was closed.
    pub fn children(&self, shard: u32) -> impl Iterator<Item = &ShardDefinition> {
        self.shards.iter().filter(move |child| child.parents().any(|parent| parent == shard))
    }

    /// The shards that a reader may read now: those of which it has read all parents to their end. `is_read` tells whether a
    /// closed shard was read to its end.
    pub fn readable(&self, is_read: impl Fn(&ShardDefinition) -> bool) -> Vec<&ShardDefinition> {
        // Shards lie in the order of their making, so parents come before their children. A parent that is no more held nothing.
        let mut unread = std::collections::BTreeSet::new();
        let mut readable = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            let waits = shard.parents().any(|parent| unread.contains(&parent));
            if !waits {
                readable.push(shard);
            }
            if waits || shard.is_open() || !is_read(shard) {
                unread.insert(shard.index);
            }
        }
        readable
    }
}

/// Who has shards pushed to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamConsumer {
    /// Unique in its stream.
    pub name: String,
    /// When it was made.
    pub created: Millis,
    /// Labels.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Who may do what with it, in the policy language.
    #[serde(default)]
    pub policy: Option<String>,
}

/// What may be set for a stream and is nothing by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSettings {
    /// The key that its maker wants records to be encrypted with. Recorded: the data folder's disk is who encrypts.
    pub encryption_key: Option<String>,
    /// Names of metrics that are wanted for each shard. Recorded.
    pub shard_metrics: std::collections::BTreeSet<String>,
    /// The largest record in KiB; `None`: the node's own limit.
    pub record_kib_max: Option<u32>,
    /// What its maker wants it to be ready to take at once, in MiB a second. Recorded: shards are not limited in what they take.
    pub warm_mibps: Option<u32>,
    /// Who may do what with it, in the policy language.
    pub policy: Option<String>,
    /// Bytes that each shard keeps: older records go when it has more. `None`: as many as come while records stay.
    pub retention_bytes: Option<u64>,
    /// What decides to which shard a record goes.
    pub distribution: RecordDistribution,
}

/// What decides to which shard a record goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordDistribution {
    /// Its partition key, or the hash key that stands for it.
    #[default]
    PartitionKey,
    /// The node, so that all open shards get as many: keys are kept and decide nothing.
    Even,
}

impl StreamSettings {
    /// What `retention_bytes` becomes when so many are asked for: 0 for as many as come, `None` for as it is.
    #[must_use]
    pub fn with_retention_bytes(&self, asked: Option<u64>) -> Option<u64> {
        asked.map_or(self.retention_bytes, |bytes| Some(bytes).filter(|bytes| *bytes > 0))
    }
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
    /// The shard whose keys it has since that was split or merged.
    #[serde(default)]
    pub parent: Option<u32>,
    /// The other one of two that were merged.
    #[serde(default)]
    pub adjacent_parent: Option<u32>,
    /// When it was opened; `None`: with its stream.
    #[serde(default)]
    pub opened: Option<Millis>,
    /// When it was split or merged: it takes no records any more.
    #[serde(default)]
    pub closed: Option<Millis>,
}

impl ShardDefinition {
    /// A shard without parents that is open.
    #[must_use]
    pub fn first(index: u32, log: LogId, hash_keys: HashKeyRange) -> Self {
        Self { index, log: log.0, hash_keys, parent: None, adjacent_parent: None, opened: None, closed: None }
    }

    /// Whether it takes records.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// The numbers of the shards that it came of.
    pub fn parents(&self) -> impl Iterator<Item = u32> {
        self.parent.into_iter().chain(self.adjacent_parent)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: u32, parents: &[u32], closed: bool) -> ShardDefinition {
        ShardDefinition {
            parent: parents.first().copied(),
            adjacent_parent: parents.get(1).copied(),
            closed: closed.then_some(1),
            ..ShardDefinition::first(index, LogId(u64::from(index)), HashKeyRange { start: 0, end: 0 })
        }
    }

    /// A reader that has read `read` to their end may read `expected`.
    fn check(shards: &[ShardDefinition], read: &[u32], expected: &[u32]) {
        let stream = serde_json::json!({
            "name": "s", "owner": "user", "created": 0, "retention_hours": 24, "shards": shards,
        });
        let stream: StreamDefinition = serde_json::from_value(stream).unwrap();
        let readable = stream.readable(|shard| read.contains(&shard.index));
        assert_eq!(readable.iter().map(|shard| shard.index).collect::<Vec<_>>(), expected, "after {read:?}");
    }

    #[test]
    fn children_wait_for_all_that_came_before_them() {
        // 0 was split into 2 and 3; 3 and 1 were merged into 4.
        let shards = [
            shard(0, &[], true),
            shard(1, &[], true),
            shard(2, &[0], false),
            shard(3, &[0], true),
            shard(4, &[3, 1], false),
        ];
        check(&shards, &[], &[0, 1]);
        check(&shards, &[0], &[0, 1, 2, 3]);
        check(&shards, &[1, 3], &[0, 1]);
        check(&shards, &[0, 3], &[0, 1, 2, 3]);
        check(&shards, &[0, 1, 3], &[0, 1, 2, 3, 4]);
        // What came before is no more.
        check(&shards[2..], &[], &[2, 3]);
        check(&shards[2..], &[3], &[2, 3, 4]);
    }
}
