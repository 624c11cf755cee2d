//! What a split, a merge or another number of shards makes of a stream's shards. Pure: logs are given to new shards afterwards.
//!
//! A shard that is split or merged is closed, and others have its keys. Another number of shards is a run of splits and merges,
//! as a hand would do them: so each shard has at most two parents, and shards in between are closed as soon as they are there.

use millstream_catalog::{HashKeyRange, ShardDefinition};
use millstream_types::{LogId, Millis};

use crate::hash_key::even_ranges;

/// Stands for the log of a shard that has none yet; logs are numbered from 1 on.
const NO_LOG: LogId = LogId(0);

/// A stream's shards while they change.
pub(crate) struct Resharding {
    shards: Vec<ShardDefinition>,
    /// Shards that there were.
    before: usize,
    now: Millis,
}

impl Resharding {
    pub(crate) fn new(shards: Vec<ShardDefinition>, now: Millis) -> Self {
        Self { before: shards.len(), shards, now }
    }

    /// Splits a shard: the second one of the two begins at `start`, which is a key of the shard, but not its first.
    pub(crate) fn split(&mut self, shard: u32, start: u128) {
        let Some(range) = self.close(shard) else { return };
        self.open(HashKeyRange { start: range.start, end: start - 1 }, shard, None);
        self.open(HashKeyRange { start, end: range.end }, shard, None);
    }

    /// Merges two shards that lie side by side; gives the number of what comes of them.
    pub(crate) fn merge(&mut self, shard: u32, adjacent: u32) -> Option<u32> {
        let (one, other) = (self.close(shard)?, self.close(adjacent)?);
        let range = HashKeyRange { start: one.start.min(other.start), end: one.end.max(other.end) };
        Some(self.open(range, shard, Some(adjacent)))
    }

    /// Makes `count` open shards of one size.
    pub(crate) fn even_out(&mut self, count: u32) {
        let targets = even_ranges(count);
        for target in &targets {
            let cut = self
                .open_shards()
                .into_iter()
                .find(|(_, range)| range.start < target.start && target.start <= range.end);
            if let Some((shard, _)) = cut {
                self.split(shard, target.start);
            }
        }
        let mut pieces = self.open_shards().into_iter().peekable();
        let mut merges = Vec::new();
        for target in &targets {
            let of_target = std::iter::from_fn(|| pieces.next_if(|(_, range)| range.end <= target.end));
            merges.push(of_target.map(|(shard, _)| shard).collect::<Vec<_>>());
        }
        for of_target in merges {
            let mut of_target = of_target.into_iter();
            let Some(mut merged) = of_target.next() else { continue };
            for shard in of_target {
                merged = self.merge(merged, shard).unwrap_or(merged);
            }
        }
    }

    /// Shards that have no log yet.
    pub(crate) fn made(&self) -> usize {
        self.shards.len() - self.before
    }

    /// The shards as they are, new ones with the logs from `first_log` on.
    pub(crate) fn finish(mut self, first_log: u64) -> Vec<ShardDefinition> {
        for (shard, log) in self.shards[self.before..].iter_mut().zip(first_log..) {
            shard.log = log;
        }
        self.shards
    }

    /// Numbers and ranges of the open shards, in the order of their ranges.
    fn open_shards(&self) -> Vec<(u32, HashKeyRange)> {
        let open = self.shards.iter().filter(|shard| shard.is_open());
        let mut open: Vec<_> = open.map(|shard| (shard.index, shard.hash_keys)).collect();
        open.sort_unstable_by_key(|(_, range)| range.start);
        open
    }

    fn close(&mut self, shard: u32) -> Option<HashKeyRange> {
        let shard = self.shards.iter_mut().find(|found| found.index == shard && found.is_open())?;
        shard.closed = Some(self.now);
        Some(shard.hash_keys)
    }

    fn open(&mut self, hash_keys: HashKeyRange, parent: u32, adjacent_parent: Option<u32>) -> u32 {
        // The youngest shard is always there: what closes a shard makes younger ones.
        let index = self.shards.last().map_or(0, |last| last.index + 1);
        self.shards.push(ShardDefinition {
            parent: Some(parent),
            adjacent_parent,
            opened: Some(self.now),
            ..ShardDefinition::first(index, NO_LOG, hash_keys)
        });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(count: u32) -> Vec<ShardDefinition> {
        let shard = |(index, range)| ShardDefinition::first(index, LogId(u64::from(index) + 1), range);
        (0..).zip(even_ranges(count)).map(shard).collect()
    }

    fn ranges(shards: &[ShardDefinition]) -> Vec<HashKeyRange> {
        let mut ranges: Vec<_> = shards.iter().filter(|shard| shard.is_open()).map(|shard| shard.hash_keys).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges
    }

    #[test]
    fn any_number_of_shards_comes_of_any_other() {
        for from in 1..=12 {
            for to in 1..=12 {
                let mut resharding = Resharding::new(even(from), 7);
                resharding.even_out(to);
                let made = resharding.made();
                let shards = resharding.finish(100);
                assert_eq!(ranges(&shards), even_ranges(to), "{from} to {to}");
                assert_eq!(made == 0, from == to);
                for shard in &shards[from as usize..] {
                    let parents: Vec<_> = shard.parents().map(|parent| &shards[parent as usize]).collect();
                    assert!(!parents.is_empty() && parents.iter().all(|parent| parent.closed == Some(7)));
                    assert!(parents.iter().all(|parent| parent.index < shard.index && parent.log < shard.log));
                }
            }
        }
    }

    #[test]
    fn a_split_and_a_merge_keep_all_keys() {
        let mut resharding = Resharding::new(even(1), 7);
        resharding.split(0, 1_000);
        assert_eq!(resharding.merge(2, 1), Some(3));
        let shards = resharding.finish(100);
        assert_eq!(ranges(&shards), even_ranges(1));
        assert_eq!((shards[3].parent, shards[3].adjacent_parent, shards[3].log), (Some(2), Some(1), 102));
        assert_eq!((shards[1].hash_keys.end, shards[2].hash_keys.start), (999, 1_000));
    }
}
