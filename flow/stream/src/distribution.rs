//! Which shard of a stream a record goes to: the one of its keys, or one after the other.

use millstream_catalog::{RecordDistribution, ShardDefinition, StreamDefinition};

use crate::engine::Entry;
use crate::hash_key;

/// Chooses shards for the records of one put.
pub(crate) struct Distribution<'s> {
    /// The open ones, in the order of their ranges, which cover all keys.
    shards: Vec<&'s ShardDefinition>,
    /// The place of the next shard where they are taken one after the other.
    turn: Option<usize>,
}

impl<'s> Distribution<'s> {
    /// Over a stream's open shards. `put` is another number for each put: where keys do not decide, puts of single records
    /// would all begin at the same shard without it.
    pub(crate) fn of(stream: &'s StreamDefinition, put: u64) -> Self {
        let mut shards: Vec<&ShardDefinition> = stream.open_shards().collect();
        shards.sort_by_key(|shard| shard.hash_keys.start);
        let turn = match stream.settings.distribution {
            RecordDistribution::PartitionKey => None,
            // Puts to several streams share the numbers. Scattered, those of each stream still come to all of its shards.
            RecordDistribution::Even => {
                Some((hash_key::of_partition_key(&put.to_be_bytes()) % shards.len().max(1) as u128) as usize)
            }
        };
        Self { shards, turn }
    }

    /// The shards, in the order of the places that are chosen.
    pub(crate) fn shards(&self) -> &[&'s ShardDefinition] {
        &self.shards
    }

    /// The place of the shard for the next record.
    pub(crate) fn place(&mut self, entry: &Entry) -> usize {
        let count = self.shards.len();
        if let Some(turn) = &mut self.turn {
            *turn = (*turn + 1) % count;
            return *turn;
        }
        match (count, entry.explicit_hash_key) {
            (1, _) => 0,
            (_, Some(hash)) => self.holding(hash),
            (_, None) => self.holding(hash_key::of_partition_key(&entry.partition_key)),
        }
    }

    /// The place of the shard whose range holds a hash key.
    fn holding(&self, hash: u128) -> usize {
        self.shards.partition_point(|shard| shard.hash_keys.end < hash).min(self.shards.len() - 1)
    }
}
