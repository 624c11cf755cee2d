//! From a checkpoint to an executor that goes on, whether the plan and the shards are the checkpoint's or others.
//!
//! Another plan cannot take up the state. It reads again from where its first window begins that was not over, so that each
//! window is whole, and hands on only what was not handed on before: nothing is lost, nothing is there twice.
//! The same plan takes up the state though its shards are others: a stream that was removed and made again, or got more of
//! them, is read from the beginning of what is new, and what was read of the old one stays in its windows.

use std::collections::BTreeSet;

use millstream_catalog::{ShardDefinition, StartAt, StreamDefinition};
use millstream_types::{LogId, Millis};

use super::binding::Binding;
use super::busy::busy;
use super::checkpoint::Checkpoint;
use super::error::QueryError;
use super::fingerprint;
use super::task::Task;
use crate::executor::Executor;
use crate::plan::VALUE;

impl Task {
    /// An executor that goes on from a checkpoint: with its state when that is of this plan, else by reading again what the
    /// windows need that were not over. The checkpoint then is of this plan and has a position for each shard; its state is the
    /// executor's.
    pub(super) async fn take_up(&self, binding: &Binding, checkpoint: &mut Checkpoint) -> Result<Executor, QueryError> {
        let plan = fingerprint::of_plan(binding, &self.definition);
        let of_first_version = checkpoint.plan == fingerprint::of_text(&self.definition.sql);
        let same = checkpoint.plan == plan || of_first_version;
        let is_state_ours = checkpoint.plan == plan || (of_first_version && !binding.has_values());
        let known: BTreeSet<u64> = checkpoint.positions.keys().copied().collect();
        if !same && !binding.shards().any(|(_, _, _, shard)| known.contains(&shard.log)) {
            // Nothing of what it reads now was read before: it is as good as another query.
            *checkpoint = Checkpoint::default();
        }
        checkpoint.plan = plan;
        let all = self.streams.list();
        let there: BTreeSet<u64> = all.iter().flat_map(|stream| &stream.shards).map(|shard| shard.log).collect();
        // The state knows shards by their place.
        let moved = binding.shards().any(|(.., shard)| known.contains(&shard.log))
            && known.iter().any(|log| !there.contains(log));
        self.find_positions(binding, checkpoint, same).await?;
        checkpoint.positions.retain(|log, _| there.contains(log));
        checkpoint.begun.retain(|log, _| there.contains(log));
        checkpoint.handed.retain(|log, _| there.contains(log));
        let mut executor = binding.executor(&self.definition);
        if checkpoint.state.is_empty() {
            return Ok(executor);
        }
        let state = std::mem::take(&mut checkpoint.state);
        let restored;
        (executor, restored) = busy(move || {
            let restored = same && executor.restore(&state).is_ok();
            (executor, restored)
        })
        .await?;
        if (restored || (same && !is_state_ours)) && checkpoint.emitted == Millis::MIN {
            // The first version kept this in the state only, before what windows keep.
            checkpoint.emitted = executor.watermark();
        }
        if restored && is_state_ours {
            binding.leave_out(&mut executor);
            executor.resume(checkpoint.emitted, handed(binding, checkpoint), &checkpoint.given);
            for (source, index, ..) in binding.shards().filter(|(.., shard)| moved || !known.contains(&shard.log)) {
                executor.join(source, index);
            }
            return Ok(executor);
        }
        tracing::info!(query = %self.definition.name, "the plan is another one: its open windows are read again");
        if of_first_version {
            // Where it was to begin is not known: what open windows need of it is read as far as it is there.
            checkpoint.begun.values_mut().for_each(|begun| *begun = 0);
        }
        // A failed attempt may have left a part of the state.
        executor = binding.executor(&self.definition);
        for (log, position) in &checkpoint.positions {
            let handed = checkpoint.handed.entry(*log).or_default();
            *handed = (*handed).max(*position);
        }
        executor.resume(checkpoint.emitted, handed(binding, checkpoint), &checkpoint.given);
        let needed = executor.begin_windows();
        for (source, (stream, needed)) in binding.streams.iter().zip(needed).enumerate() {
            let Some(arrival) = needed else { continue };
            for shard in stream.shards.iter().filter(|shard| binding.has_shard(source, shard)) {
                self.go_back(shard.log(), arrival, checkpoint).await?;
            }
        }
        Ok(executor)
    }

    /// Gives each shard that the checkpoint does not know the position to begin at.
    async fn find_positions(
        &self,
        binding: &Binding,
        checkpoint: &mut Checkpoint,
        same: bool,
    ) -> Result<(), QueryError> {
        let known: BTreeSet<u64> = checkpoint.positions.keys().copied().collect();
        for (source, _, stream, shard) in binding.shards() {
            if known.contains(&shard.log) {
                continue;
            }
            // A shard that came to others which were read is what they grew to, or were split and merged into. Between the parts of an
            // input that is divided, one that was there before may only have moved.
            let moved = shard.opened.is_none() && !binding.inputs[source].divided.is_empty();
            let grown = !moved && stream.shards.iter().any(|other| known.contains(&other.log));
            // What came into being while the query ran is read whole, wherever the query was to begin.
            let made = shard.opened.unwrap_or(stream.created);
            let later = self.definition.started.is_some_and(|started| made > started);
            let first = match self.definition.start_at {
                _ if same || later || grown => self.streams.bounds(shard.log()).first,
                StartAt::Latest | StartAt::LastStopped => self.streams.bounds(shard.log()).next,
                StartAt::TrimHorizon => self.streams.bounds(shard.log()).first,
                StartAt::Time(time) => self.streams.offset_at_time(shard.log(), time).await?,
            };
            checkpoint.positions.insert(shard.log, first);
            checkpoint.begun.insert(shard.log, first);
        }
        Ok(())
    }

    /// Goes back in a shard to the records that arrived at a time, but not before the query's own begin.
    async fn go_back(&self, log: LogId, arrival: Millis, checkpoint: &mut Checkpoint) -> Result<(), QueryError> {
        let begun = checkpoint.begun.get(&log.0).copied().unwrap_or_default();
        let from = self.streams.offset_at_time(log, arrival).await?.max(begun);
        let first = self.streams.bounds(log).first;
        if begun < first && from == first {
            let query = &self.definition.name;
            tracing::warn!(%query, log = log.0, first, "records that open windows may need were let go by retention");
        }
        if let Some(position) = checkpoint.positions.get_mut(&log.0) {
            *position = (*position).min(from);
        }
        Ok(())
    }
}

impl Binding {
    /// Whether values without a fixed type are read. In the first version these were texts, and so they are in its state.
    fn has_values(&self) -> bool {
        let mut columns = self.program.sources.iter().flat_map(|source| &source.columns);
        columns.any(|column| column.data_type == VALUE)
    }

    /// All shards that are read: source, index in the source, stream and shard.
    pub(super) fn shards(&self) -> impl Iterator<Item = (usize, usize, &StreamDefinition, &ShardDefinition)> {
        self.streams.iter().enumerate().flat_map(move |(source, stream)| {
            let shards = stream.shards.iter().enumerate();
            let own = shards.filter(move |(_, shard)| self.has_shard(source, shard));
            own.map(move |(index, shard)| (source, index, &**stream, shard))
        })
    }
}

/// By source and shard: up to where the rows of records are handed on.
fn handed(binding: &Binding, checkpoint: &Checkpoint) -> Vec<Vec<u64>> {
    let of_shard = |shard: &ShardDefinition| checkpoint.handed.get(&shard.log).copied().unwrap_or_default();
    binding.streams.iter().map(|stream| stream.shards.iter().map(of_shard).collect()).collect()
}
