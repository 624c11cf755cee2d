//! Shards of a stream are split, merged and brought to another number, one transaction each: parents closed and children
//! opened, or nothing.

use millstream_catalog::{CapacityMode, ShardDefinition, StreamDefinition, StreamOwner};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::{BoxFuture, LogId, Millis};

use super::Streams;
use super::definitions::SHARDS_MAX;
use crate::error::StreamError;
use crate::reshard::Resharding;

/// How often a day the number of a stream's shards may be set: the service's limit.
pub const SCALINGS_A_DAY_MAX: usize = 10;

const DAY_MS: Millis = 24 * 3_600_000;

/// How much longer than its records a closed shard stays: readers see what retention took of it before it goes.
const CLOSED_STAYS_MS: Millis = 10 * 60 * 1_000;

/// Shards that a stream's definition may hold, closed ones with them: it is written whole with each change.
const SHARDS_KEPT_MAX: u32 = 10_000;

/// What a new number of shards made of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled {
    /// Open shards before.
    pub before: u32,
    /// Open shards now.
    pub now: u32,
}

impl Streams {
    /// Splits a shard in two, of which the second one begins with the hash key `start`.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::ShardNotFound`], [`StreamError::ShardClosed`],
    /// [`StreamError::SplitPoint`], [`StreamError::OnDemand`], [`StreamError::NotReshardable`], [`StreamError::ShardCount`],
    /// [`StreamError::ShardsInAll`], [`StreamError::ShardsKept`], [`StreamError::Storage`].
    pub fn split_shard<'a>(&'a self, name: &'a str, shard: u32, start: u128) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.reshard(name, move |streams, definition, resharding| {
                let range = open_shard(definition, shard)?.hash_keys;
                // Both have two keys at least, as the service wants it.
                if start <= range.start.saturating_add(1) || start >= range.end {
                    let (stream, shard) = (definition.name.clone(), shard);
                    return Err(StreamError::SplitPoint {
                        stream,
                        shard,
                        start: range.start,
                        end: range.end,
                        found: start,
                    });
                }
                streams.check_more(definition, 1)?;
                resharding.split(shard, start);
                Ok(())
            })
            .await
        })
    }

    /// Merges two shards whose ranges of hash keys lie side by side.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::ShardNotFound`], [`StreamError::ShardClosed`],
    /// [`StreamError::NotAdjacent`], [`StreamError::OnDemand`], [`StreamError::NotReshardable`], [`StreamError::ShardsKept`],
    /// [`StreamError::Storage`].
    pub fn merge_shards<'a>(
        &'a self,
        name: &'a str,
        shard: u32,
        adjacent: u32,
    ) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.reshard(name, move |_, definition, resharding| {
                let one = open_shard(definition, shard)?.hash_keys;
                let other = open_shard(definition, adjacent)?.hash_keys;
                if one.end.checked_add(1) != Some(other.start) && other.end.checked_add(1) != Some(one.start) {
                    return Err(StreamError::NotAdjacent {
                        stream: definition.name.clone(),
                        shards: [shard, adjacent],
                    });
                }
                resharding.merge(shard, adjacent);
                Ok(())
            })
            .await
        })
    }

    /// Brings a stream to `count` open shards of one size.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::Scaling`] for more than twice or less than half as many as there are,
    /// [`StreamError::ScaledOften`], [`StreamError::OnDemand`], [`StreamError::NotReshardable`], [`StreamError::ShardCount`],
    /// [`StreamError::ShardsInAll`], [`StreamError::ShardsKept`], [`StreamError::Storage`].
    pub fn set_shard_count<'a>(&'a self, name: &'a str, count: u32) -> BoxFuture<'a, Result<Scaled, StreamError>> {
        Box::pin(async move {
            let mut scaled = Scaled { before: 0, now: count };
            let before = &mut scaled.before;
            self.reshard(name, |streams, definition, resharding| {
                *before = definition.open_shards().count() as u32;
                if count > before.saturating_mul(2) || count.saturating_mul(2) < *before {
                    return Err(StreamError::Scaling { found: count, there: *before });
                }
                let now = streams.clock.now();
                definition.scaled.retain(|at| now - at < DAY_MS);
                if definition.scaled.len() >= SCALINGS_A_DAY_MAX {
                    return Err(StreamError::ScaledOften { stream: definition.name.clone(), max: SCALINGS_A_DAY_MAX });
                }
                streams.check_more(definition, count.saturating_sub(*before))?;
                definition.scaled.push(now);
                resharding.even_out(count);
                Ok(())
            })
            .await?;
            Ok(scaled)
        })
    }

    /// Forgets closed shards that hold nothing any more. Part of what retention does.
    pub(crate) async fn forget_closed_shards(&self, stream: &StreamDefinition) -> Result<(), StreamError> {
        let turn = self.turn().await;
        let Ok(found) = self.get(&stream.name) else { return Ok(()) };
        let mut definition = (*found).clone();
        let oldest = self.clock.now() - definition.retention_ms() - CLOSED_STAYS_MS;
        let is_over = |shard: &ShardDefinition| shard.closed.is_some_and(|closed| closed < oldest);
        let gone: Vec<LogId> =
            definition.shards.iter().filter(|shard| is_over(shard)).map(|shard| shard.log()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        definition.shards.retain(|shard| !is_over(shard));
        let streams = self.clone();
        to_the_end(async move {
            let _turn = turn;
            let mut transaction = Transaction::new();
            gone.iter().for_each(|log| {
                transaction.drop_log(*log);
            });
            streams.catalog.streams.put_with(definition, transaction).await?;
            streams.gate.open(gone.into_iter());
            Ok(())
        })
        .await
    }

    /// Plans a change of a stream's shards, and makes it durable as one.
    async fn reshard(
        &self,
        name: &str,
        plan: impl FnOnce(&Self, &mut StreamDefinition, &mut Resharding) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        let turn = self.turn().await;
        let mut definition = (*self.get(name)?).clone();
        if definition.owner != StreamOwner::User {
            return Err(StreamError::NotReshardable { stream: definition.name });
        }
        if definition.capacity == CapacityMode::OnDemand {
            return Err(StreamError::OnDemand { stream: definition.name });
        }
        let mut resharding = Resharding::new(definition.shards.clone(), self.clock.now());
        plan(self, &mut definition, &mut resharding)?;
        let kept = (definition.shards.len() + resharding.made()) as u32;
        if kept > SHARDS_KEPT_MAX {
            return Err(StreamError::ShardsKept { found: kept, max: SHARDS_KEPT_MAX });
        }
        let streams = self.clone();
        to_the_end(async move {
            let _turn = turn;
            let first_log = match resharding.made() {
                0 => 0,
                made => streams.catalog.next_ids(made as u64).await?,
            };
            let was_open: Vec<LogId> = definition.open_shards().map(ShardDefinition::log).collect();
            definition.shards = resharding.finish(first_log);
            let still_open: Vec<LogId> = definition.open_shards().map(ShardDefinition::log).collect();
            let closing = || was_open.iter().copied().filter(|log| !still_open.contains(log));
            streams.gate.close(closing());
            if let Err(error) = streams.catalog.streams.put(definition).await {
                streams.gate.open(closing());
                return Err(error.into());
            }
            Ok(())
        })
        .await
    }

    /// Whether a stream may have so many more open shards.
    fn check_more(&self, definition: &StreamDefinition, more: u32) -> Result<(), StreamError> {
        let wanted = definition.open_shards().count() as u32 + more;
        if wanted > SHARDS_MAX {
            return Err(StreamError::ShardCount { found: wanted, max: SHARDS_MAX });
        }
        self.check_shards_in_all(more)
    }
}

fn open_shard(definition: &StreamDefinition, index: u32) -> Result<&ShardDefinition, StreamError> {
    let stream = || definition.name.clone();
    match definition.shards.iter().find(|shard| shard.index == index) {
        Some(shard) if shard.is_open() => Ok(shard),
        Some(_) => Err(StreamError::ShardClosed { stream: stream(), shard: index }),
        None => Err(StreamError::ShardNotFound { stream: stream(), shard: index.to_string() }),
    }
}
