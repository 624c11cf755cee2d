//! Versions of reference data at work: which of them rows may still need, and newer ones while the query runs.
//!
//! A version counts for rows from its time on; what is earlier than the first has the first. What is read again after a restart
//! has the same versions, as long as their objects are there. A version that is put up in time is known before its first row;
//! one that comes later counts for the rows that are computed from then on, and again from its time when rows are read again.
//! Source: the Stream Analytics documentation, "Use reference data for lookups".

use millstream_catalog::{QueryDefinition, ReferenceInput};
use millstream_types::Millis;

use super::binding::Binding;
use super::busy::busy;
use super::checkpoint::Checkpoint;
use super::delivery::object_path::ObjectPath;
use super::error::QueryError;
use super::reference::{Loaded, References, versions_path};
use super::task::{Bound, Task, Work};
use crate::executor::Executor;
use crate::executor::lookup::{Tables, tables};

/// Reference data whose versions follow each other, as a query knows them.
pub(super) struct Followed {
    input: ReferenceInput,
    path: ObjectPath,
    /// From when on each version counts, and its bytes; ascending.
    versions: Vec<(Millis, u64)>,
    /// Whether there was none before the first of these.
    from_first: bool,
}

impl Followed {
    /// What is known of reference data that were read; `None`: they have no versions.
    pub(super) fn of(loaded: &Loaded) -> Result<Option<Self>, QueryError> {
        let followed = |path| {
            let versions = loaded.versions.iter().map(|version| (version.from, version.content.len() as u64)).collect();
            Self { input: loaded.input.clone(), path, versions, from_first: loaded.from_first }
        };
        Ok(versions_path(&loaded.input)?.map(followed))
    }

    fn newest(&self) -> Millis {
        self.versions.last().map_or(Millis::MIN, |(from, _)| *from)
    }
}

impl Binding {
    /// Whether rows from a time on find their versions.
    fn reaches_back_to(&self, time: Millis) -> bool {
        let reaches = |followed: &Followed| followed.versions.first().is_some_and(|(from, _)| *from <= time);
        self.followed.iter().all(|followed| followed.from_first || reaches(followed))
    }

    /// Forgets versions that no row needs from a time on.
    fn forget(&mut self, time: Millis) {
        for Followed { versions, from_first, .. } in &mut self.followed {
            let gone = versions.partition_point(|(from, _)| *from <= time).saturating_sub(1);
            versions.drain(..gone);
            *from_first &= gone == 0;
        }
    }

    /// The tables of versions that came since they were looked for last; `None`: there are none.
    async fn newer(
        &mut self,
        references: &References,
        definition: &QueryDefinition,
    ) -> Result<Option<Tables>, QueryError> {
        let mut rows = vec![Vec::new(); self.program.references.len()];
        let mut any = false;
        for followed in &mut self.followed {
            let Followed { input, path, versions, .. } = &*followed;
            let known = versions.iter().map(|(_, bytes)| bytes).sum();
            let newer = references.newer(&definition.name, input, path, followed.newest(), known).await?;
            let Some(place) = self.program.references.iter().position(|plan| plan.name == input.name) else { continue };
            any |= !newer.is_empty();
            followed.versions.extend(newer.iter().map(|version| (version.from, version.content.len() as u64)));
            let (input, plan, dialect) =
                (followed.input.clone(), self.program.references[place].clone(), definition.dialect);
            let decode = move || newer.iter().map(|version| version.rows(&input, &plan, dialect)).collect();
            rows[place] = busy::<Result<_, QueryError>>(decode).await??;
        }
        if !any {
            return Ok(None);
        }
        let program = self.program.clone();
        Ok(Some(busy(move || tables(&program, &rows)).await??))
    }
}

impl Task {
    /// Binds the query and goes on from its checkpoint, with all versions of reference data that rows may need.
    pub(super) async fn bound(&self) -> Result<Bound, QueryError> {
        let bind = |from| Binding::new(&self.streams, &self.references, &self.definition, from);
        let mut binding = bind(Millis::MAX).await?;
        let (loaded, pieces) = self.checkpoints.load(&self.definition.name).await?.unwrap_or_default();
        loop {
            let mut checkpoint = loaded.clone();
            let executor = self.take_up(&binding, &mut checkpoint).await?;
            if binding.followed.is_empty() {
                return Ok(Bound { binding, checkpoint, pieces, executor });
            }
            let needed = self.needed_from(&binding, &checkpoint, &executor).await?;
            if binding.reaches_back_to(needed) {
                return Ok(Bound { binding, checkpoint, pieces, executor });
            }
            binding = bind(needed).await?;
        }
    }

    /// The time from which on rows may come.
    async fn needed_from(
        &self,
        binding: &Binding,
        checkpoint: &Checkpoint,
        executor: &Executor,
    ) -> Result<Millis, QueryError> {
        let Checkpoint { positions, begun, emitted, .. } = checkpoint;
        let mut arrival = self.references.clock.now();
        for (.., shard) in binding.shards() {
            // As long as time has not come, what was read is all to come; then what windows and joins hold comes behind it.
            let position = if *emitted == Millis::MIN { begun.get(&shard.log) } else { positions.get(&shard.log) };
            let read = self.streams.read(shard.log(), position.copied().unwrap_or_default(), 1).await?;
            arrival = read.batches.first().map_or(arrival, |batch| batch.append_time.min(arrival));
        }
        let read_again = arrival.saturating_sub(self.definition.event_order.late_tolerance_ms);
        let held = if *emitted == Millis::MIN { Millis::MAX } else { *emitted };
        Ok(read_again.min(held).saturating_sub(executor.delay_max()))
    }

    /// Looks for newer versions when it is time to, and forgets those that no row needs any more.
    pub(super) async fn follow(&self, work: &mut Work) -> Result<(), QueryError> {
        if work.binding.followed.is_empty() || work.followed.elapsed() < self.references.scan {
            return Ok(());
        }
        work.followed = tokio::time::Instant::now();
        let needed = work.executor()?.looked_up_from();
        work.executor()?.forget_tables(needed);
        work.binding.forget(needed);
        if let Some(tables) = work.binding.newer(&self.references, &self.definition).await? {
            work.executor()?.add_tables(tables);
        }
        Ok(())
    }
}
