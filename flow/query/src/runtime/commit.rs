//! What a step of a query leaves behind: its rows, its state and its positions become durable together.
//!
//! State may be many times what one transaction holds. Its new pieces are written ahead then, and the transaction lists them. All of
//! such a state is looked at for each commit, so rows wait for each other: for a time, or until they are as many as one transaction
//! holds ([`super::held`]). A query that gives more than that in the time writes its state as often as it must.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_insight::Step;
use millstream_storage::Transaction;
use millstream_stream::StagedPut;
use tokio::time::Instant;

use super::busy::busy;
use super::checkpoint::Checkpoint;
use super::encoded::{self, Encoded};
use super::error::QueryError;
use super::pieces::Change;
use super::task::{Task, Work};
use crate::executor::{Produced, RowError};
use crate::plan::Program;

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
        let (encoded, change) = self.encode(work, produced).await?;
        let mut transaction = Transaction::new();
        match change.new.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() {
            ..=PIECES_BESIDE_ROWS => self.checkpoints.put_pieces(query, &change.new, &mut transaction),
            _ => self.checkpoints.write_ahead(query, &change.new).await?,
        }
        let mut staged = Vec::with_capacity(encoded.len());
        let mut appends = 0;
        for encoded in encoded {
            let put = self.streams.stage(&encoded.stream, &encoded.entries, &mut transaction, appends)?;
            appends += put.appends();
            staged.push(Staged { put, encoded });
        }
        self.running.progress(work.executor()?, change.bytes);
        let (advanced, given) = (work.executor()?.advanced(), work.executor()?.given());
        let Checkpoint { emitted, handed, positions, .. } = &mut work.checkpoint;
        *emitted = advanced.max(*emitted);
        handed.retain(|log, handed| positions.get(log).is_some_and(|position| position < handed));
        work.checkpoint.given = given;
        self.checkpoints.save(query, &work.checkpoint, &change, &mut transaction);
        let receipt = self.streams.commit(transaction).await?;
        for staged in &staged {
            self.emitted(&work.binding.program, staged, &receipt);
        }
        let in_pieces = !change.pieces.is_empty();
        work.pieces = change.pieces;
        work.kept = Instant::now();
        work.rest = if in_pieces { begun.elapsed() * REST } else { Duration::ZERO };
        work.moved = false;
        Ok(())
    }

    /// Rows as records, and the state that belongs to them; done on a thread that may be busy.
    async fn encode(&self, work: &mut Work, produced: Produced) -> Result<(Vec<Encoded>, Change), QueryError> {
        let executor = work.executor.take().ok_or(QueryError::Stopping)?;
        let outputs: Vec<String> = work.binding.program.outputs.iter().map(|output| output.name.clone()).collect();
        let definition = Arc::clone(&self.definition);
        let pieces = work.pieces.clone();
        let (executor, encoded, change) = busy(move || {
            let encoded = encoded::encode(&produced, &outputs, &definition);
            let change = pieces.change(executor.snapshot());
            (executor, encoded, change)
        })
        .await?;
        work.executor = Some(executor);
        Ok((encoded?, change?))
    }

    /// Tells the trail and the console of rows that are durable.
    fn emitted(&self, program: &Program, staged: &Staged, receipt: &millstream_storage::Receipt) {
        let Encoded { output, entries, labels, times, .. } = &staged.encoded;
        let output = &program.outputs[*output];
        let size = program.window_size(output.step);
        for (row, placement) in staged.put.placements(receipt).enumerate() {
            let end = times.get(row).copied().unwrap_or_default();
            self.insight.trail.mark(Step::Emitted {
                query: self.definition.name.clone(),
                output: output.name.clone(),
                window_start: end - size,
                window_end: end,
                key: labels.get(row).cloned().unwrap_or_default(),
                result_log: placement.sequence.log.0,
                result_offset: placement.sequence.offset,
            });
        }
        let data: Vec<&Bytes> = entries.iter().map(|entry| &entry.data).collect();
        self.running.emitted(&output.name, times, &data);
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
