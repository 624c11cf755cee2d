//! What a step of a query leaves behind: its rows, its state and its positions become durable together.
//!
//! State may be many times what one transaction holds. Its new pieces are written ahead then, and the transaction lists them. All of
//! such a state is looked at for each commit, so rows wait for each other: for a time, or until they are as many as one transaction
//! holds ([`super::held`]). A query that gives more than that in the time writes its state as often as it must. Rows that come at once may
//! be more than one transaction holds, too: they are written ahead as well and come into their streams behind it ([`super::outbox`]).

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{OutputTarget, QueryOutput};
use millstream_insight::Step;
use millstream_storage::Transaction;
use millstream_stream::StagedPut;
use tokio::time::Instant;

use super::busy::busy;
use super::checkpoint::Checkpoint;
use super::encoded::{Encoded, OutputRows, Part, Results};
use super::error::QueryError;
use super::pieces::Change;
use super::task::{Task, Work};
use crate::executor::{Executor, Produced, RowError};

/// How often progress is kept when no window ends.
const KEEP: Duration = Duration::from_secs(1);

/// New pieces of state up to so many bytes stand in the transaction of the rows, which has room for 16 MiB.
const PIECES_BESIDE_ROWS: usize = 2 << 20;

/// As many times as long as a commit with state in pieces took, the next one waits.
const REST: u32 = 4;

impl Task {
    /// Makes rows, state and positions durable together, when there are rows or it is time to.
    pub(super) async fn commit(&self, work: &mut Work, produced: Produced, now: bool) -> Result<(), QueryError> {
        let due = work.moved && (now || work.kept.elapsed() >= KEEP.max(work.rest));
        if produced.rows.is_empty() && !due {
            return Ok(());
        }
        let (begun, query) = (Instant::now(), &self.definition.name);
        let (part, results, change) = self.encode(work, produced).await?;
        let mut transaction = Transaction::new();
        match change.new.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() {
            ..=PIECES_BESIDE_ROWS => self.checkpoints.put_pieces(query, &change.new, &mut transaction),
            _ => self.checkpoints.write_ahead(query, &change.new).await?,
        }
        let (mut staged, mut ahead) = (Vec::new(), None);
        if results.is_empty() {
            self.told(&part);
            staged = self.stage(part.encoded, &mut transaction)?;
        } else {
            let parts = self.write_ahead(work, part, results).await?;
            self.checkpoints.outbox.count_before(query, parts.end, &mut transaction);
            ahead = Some(parts);
        }
        self.running.progress(work.executor()?, change.bytes);
        let (advanced, given) = (work.executor()?.advanced(), work.executor()?.given());
        let Checkpoint { emitted, handed, positions, .. } = &mut work.checkpoint;
        *emitted = advanced.max(*emitted);
        handed.retain(|log, handed| positions.get(log).is_some_and(|position| position < handed));
        work.checkpoint.given = given;
        self.checkpoints.save(query, &work.checkpoint, &change, &mut transaction);
        let receipt = self.streams.commit(transaction).await?;
        staged.iter().for_each(|staged| self.emitted(staged, &receipt));
        let in_pieces = !change.pieces.is_empty();
        work.pieces = change.pieces;
        work.kept = Instant::now();
        work.rest = if in_pieces { begun.elapsed() * REST } else { Duration::ZERO };
        work.moved = false;
        match ahead {
            Some(parts) => self.hand_on(parts).await,
            None => Ok(()),
        }
    }

    /// The first part of rows as records and the rows that are left, and the state that belongs to all of them; done on a thread that
    /// may be busy.
    async fn encode(&self, work: &mut Work, produced: Produced) -> Result<(Part, Results, Change), QueryError> {
        let executor = work.executor.take().ok_or(QueryError::Stopping)?;
        let definition = Arc::clone(&self.definition);
        let pieces = work.pieces.clone();
        let (executor, part, results, change) = busy(move || {
            let mut results = Results::of(produced);
            let part = results.part(&OutputRows::of(executor.program()), &definition);
            let change = pieces.change(executor.snapshot());
            (executor, part, results, change)
        })
        .await?;
        work.executor = Some(executor);
        Ok((part?, results, change?))
    }

    /// Adds records to a transaction.
    fn stage(&self, part: Vec<Encoded>, transaction: &mut Transaction) -> Result<Vec<Staged>, QueryError> {
        let (mut staged, mut appends) = (Vec::with_capacity(part.len()), 0);
        for encoded in part {
            let put = self.streams.stage(&encoded.stream, &encoded.entries, transaction, appends)?;
            appends += put.appends();
            staged.push(Staged { put, encoded });
        }
        Ok(staged)
    }

    /// Writes rows that are more than one transaction holds, in parts, which are to count with the next transaction.
    async fn write_ahead(&self, work: &mut Work, first: Part, results: Results) -> Result<Range<u64>, QueryError> {
        let (query, from) = (&self.definition.name, work.next_part);
        let (mut part, mut results) = (first, results);
        loop {
            self.told(&part);
            self.checkpoints.outbox.write_ahead(query, work.next_part, &part.encoded).await?;
            work.next_part += 1;
            if results.is_empty() {
                return Ok(from..work.next_part);
            }
            let outputs = OutputRows::of(work.executor.as_ref().map(Executor::program).ok_or(QueryError::Stopping)?);
            let definition = Arc::clone(&self.definition);
            let made;
            (results, made) = busy(move || {
                let made = results.part(&outputs, &definition);
                (results, made)
            })
            .await?;
            part = made?;
        }
    }

    /// Lets parts of results that count come into their streams, each in one transaction.
    pub(super) async fn hand_on(&self, parts: Range<u64>) -> Result<(), QueryError> {
        let (query, outbox) = (&self.definition.name, &self.checkpoints.outbox);
        for number in parts {
            let Some(mut part) = outbox.part(query, number).await? else { continue };
            part.retain(|encoded| self.is_written(encoded));
            let mut transaction = Transaction::new();
            let staged = self.stage(part, &mut transaction)?;
            outbox.done(query, number, &mut transaction);
            let receipt = self.streams.commit(transaction).await?;
            staged.iter().for_each(|staged| self.emitted(staged, &receipt));
        }
        Ok(())
    }

    /// Whether records have a stream to go to. One that is no output of the query any more, and gone, took its records along; the
    /// query's own are made before it runs.
    fn is_written(&self, encoded: &Encoded) -> bool {
        let named =
            |output: &QueryOutput| matches!(&output.target, OutputTarget::Stream { name } if *name == encoded.stream);
        let written = self.streams.get(&encoded.stream).is_ok() || self.definition.outputs.iter().any(named);
        if !written {
            let (count, stream) = (encoded.entries.len(), &encoded.stream);
            self.running.seen("failed", &format!("{count} rows for the stream `{stream}` are left out: it is gone"));
        }
        written
    }

    fn told(&self, part: &Part) {
        part.left_out.iter().for_each(|detail| self.running.seen("failed", detail));
    }

    /// Tells the trail and the console of rows that are durable.
    fn emitted(&self, staged: &Staged, receipt: &millstream_storage::Receipt) {
        let Encoded { output, window_ms, entries, labels, times, .. } = &staged.encoded;
        for (row, placement) in staged.put.placements(receipt).enumerate() {
            let end = times.get(row).copied().unwrap_or_default();
            self.insight.trail.mark(Step::Emitted {
                query: self.definition.name.clone(),
                output: output.clone(),
                window_start: end - window_ms,
                window_end: end,
                key: labels.get(row).cloned().unwrap_or_default(),
                result_log: placement.sequence.log.0,
                result_offset: placement.sequence.offset,
            });
        }
        let data: Vec<&Bytes> = entries.iter().map(|entry| &entry.data).collect();
        self.running.emitted(output, times, &data);
    }

    /// Tells what went wrong.
    pub(super) fn note_errors(&self, work: &Work, errors: Vec<RowError>) {
        for error in errors {
            self.running.seen(error.kind, &error.detail);
            let Some((source, shard, offset)) = error.record else { continue };
            let log = work.binding.streams[source].shards.get(shard).map_or(0, |shard| shard.log);
            self.insight.trail.mark(Step::Dropped {
                query: self.definition.name.clone(),
                log,
                offset,
                reason: error.kind.to_owned(),
                detail: error.detail,
            });
        }
    }
}

/// Rows of one output in a transaction.
struct Staged {
    put: StagedPut,
    encoded: Encoded,
}
