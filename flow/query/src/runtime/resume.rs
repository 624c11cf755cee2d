//! From a checkpoint to an executor that goes on, whether the plan is the checkpoint's or another one.
//!
//! Another plan cannot take up the state. It reads again from where its first window begins that was not over, so that each
//! window is whole, and hands on only what was not handed on before: nothing is lost, nothing is there twice.

use millstream_catalog::ShardDefinition;
use millstream_types::{LogId, Millis};

use super::binding::Binding;
use super::checkpoint::Checkpoint;
use super::error::QueryError;
use super::fingerprint;
use super::task::Task;
use crate::executor::Executor;

impl Task {
    /// An executor that goes on from a checkpoint: with its state when that is of this plan, else by reading again what the
    /// windows need that were not over. The checkpoint then is of this plan.
    pub(super) async fn take_up(&self, binding: &Binding, checkpoint: &mut Checkpoint) -> Result<Executor, QueryError> {
        let plan = fingerprint::of_plan(binding, &self.definition);
        let known = [plan, fingerprint::of_text(&self.definition.sql)].contains(&checkpoint.plan);
        checkpoint.plan = plan;
        let mut executor = binding.executor(&self.definition);
        if checkpoint.state.is_empty() {
            return Ok(executor);
        }
        if known && executor.restore(&checkpoint.state).is_ok() {
            checkpoint.emitted = checkpoint.emitted.max(executor.watermark());
            executor.resume(checkpoint.emitted, handed(binding, checkpoint));
            return Ok(executor);
        }
        tracing::info!(query = %self.definition.name, "the plan is another one: its open windows are read again");
        // A failed attempt may have left a part of the state.
        executor = binding.executor(&self.definition);
        for (log, position) in &checkpoint.positions {
            let handed = checkpoint.handed.entry(*log).or_default();
            *handed = (*handed).max(*position);
        }
        executor.resume(checkpoint.emitted, handed(binding, checkpoint));
        let needed = executor.begin_windows();
        for (stream, needed) in binding.streams.iter().zip(needed) {
            let Some(arrival) = needed else { continue };
            for shard in &stream.shards {
                self.go_back(shard.log(), arrival, checkpoint).await?;
            }
        }
        Ok(executor)
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

/// By source and shard: up to where the rows of records are handed on.
fn handed(binding: &Binding, checkpoint: &Checkpoint) -> Vec<Vec<u64>> {
    let of_shard = |shard: &ShardDefinition| checkpoint.handed.get(&shard.log).copied().unwrap_or_default();
    binding.streams.iter().map(|stream| stream.shards.iter().map(of_shard).collect()).collect()
}
