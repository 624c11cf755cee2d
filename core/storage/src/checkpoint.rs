//! Bringing what the journal holds into the stores' own files, so that the journal can be trimmed.
//!
//! The order makes it safe: segments are synced, then the key-value store learns how far they reach and is synced, then
//! journal files and trimmed segments go. A crash at any point finds either the old checkpoint or the new one, and every
//! file that it needs.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, Bytes};
use millstream_types::{LogId, Millis, RecordBatch};

use crate::blocks::Blocks;
use crate::disk::failed;
use crate::engine::{Engine, lock};
use crate::error::StorageError;
use crate::frame::u64_at;
use crate::journal::Covered;
use crate::keys::{Change, own_key};
use crate::log::Log;
use crate::options::{Durability, LogBounds};
use crate::segment::{Segment, folder};
use crate::segment_writer::Written;

/// Files that are written before they are synced at most; each is open meanwhile.
const FILES_AT_ONCE: usize = 64;
/// Bytes that are written before they are synced, about: commits that wait for the checkpoint go on with each such part.
const BYTES_AT_ONCE: u64 = 8 << 20;
/// The key of the checkpoint's own record.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// What the keys of logs' records begin with.
pub(crate) const LOG_PREFIX: &str = "log/";

/// What a checkpoint says about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CheckpointRecord {
    pub(crate) lsn: u64,
    pub(crate) append_time: Millis,
    /// Journal files up to this number are covered.
    pub(crate) journal_number: u64,
}

/// What a checkpoint says about a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogRecord {
    pub(crate) bounds: LogBounds,
    /// The base of the segment that was written to, and how many bytes of it count.
    pub(crate) segment_base: u64,
    pub(crate) segment_bytes: u64,
}

/// What one log has to write.
struct Work {
    log: Arc<Log>,
    batches: Vec<RecordBatch>,
    bounds: LogBounds,
}

impl Engine {
    /// Makes a checkpoint. With `closing`, no transaction follows and the journal's current file is covered too.
    pub(crate) fn checkpoint(&self, closing: bool) -> Result<(), StorageError> {
        self.checkpoint_while(closing, || {})
    }

    /// The same, while something happens behind the cut and before anything is written: tests say what.
    pub(crate) fn checkpoint_while(&self, closing: bool, meanwhile: impl FnOnce()) -> Result<(), StorageError> {
        let _one_at_a_time = lock(&self.checkpointing);
        self.since_checkpoint.store(0, Ordering::Relaxed);
        if self.options.durability != Durability::Fsync {
            self.journal_in_turn().sync()?;
        }
        let (mut record, work, dropped) = self.take_changes();
        meanwhile();
        let done = self.write_stores(&mut record, &work, &dropped, closing);
        if done.is_err() {
            let mut published = lock(&self.published);
            published.changed.extend(work.iter().map(|work| work.log.id));
            published.dropped.extend(&dropped);
        }
        done
    }

    /// What changed since the last checkpoint, cut between two transactions.
    fn take_changes(&self) -> (CheckpointRecord, Vec<Work>, HashSet<LogId>) {
        let mut published = lock(&self.published);
        let record = CheckpointRecord { lsn: published.lsn, append_time: published.append_time, journal_number: 0 };
        let dropped = std::mem::take(&mut published.dropped);
        let take = |id| {
            let log = self.log(id)?;
            let (batches, bounds) = {
                let state = log.state();
                let bounds =
                    LogBounds { first: state.first, next: state.next, last_append_time: state.last_append_time };
                (state.unwritten(), bounds)
            };
            Some(Work { log, batches, bounds })
        };
        let work = std::mem::take(&mut published.changed).into_iter().filter_map(take).collect();
        (record, work, dropped)
    }

    fn write_stores(
        &self,
        record: &mut CheckpointRecord,
        work: &[Work],
        dropped: &HashSet<LogId>,
        closing: bool,
    ) -> Result<(), StorageError> {
        let mut changes: Vec<Change> = dropped.iter().map(|log| (log_key(*log), None)).collect();
        if work.iter().any(|work| work.log.state().segments.is_empty()) {
            self.disk.create_dir("logs").map_err(failed("create", "logs"))?;
            for work in work.iter().filter(|work| work.log.state().segments.is_empty()) {
                let folder = folder(work.log.id);
                self.disk.create_dir(&folder).map_err(failed("create", &folder))?;
            }
            self.disk.sync_dir("logs").map_err(failed("sync", "logs"))?;
        }
        self.write_logs(work)?;
        for Work { log, bounds, .. } in work {
            let state = log.state();
            if state.next < bounds.next {
                // Dropped meanwhile: it has no segments to speak of. The next checkpoint removes what is known of it.
                continue;
            }
            let (segment_base, segment_bytes) =
                state.segments.last().map_or((0, 0), |last| (last.base, last.written()));
            let log_record = LogRecord { bounds: *bounds, segment_base, segment_bytes };
            changes.push((log_key(log.id), Some(log_record.encode())));
        }
        record.journal_number = {
            let journal = self.journal_in_turn();
            if closing { journal.number() } else { journal.covered_number(record.lsn).unwrap_or(0) }
        };
        let previous = self.keys.get(&own_key(CHECKPOINT))?.and_then(|bytes| CheckpointRecord::decode(&bytes));
        record.journal_number = record.journal_number.max(previous.unwrap_or_default().journal_number);
        changes.push((own_key(CHECKPOINT), Some(record.encode())));
        self.keys.apply(changes)?;
        self.keys.persist()?;
        self.give_back(record, work, dropped, closing)
    }

    /// Brings batches into segments. Many files are written before the first of them is synced: what the file system has to
    /// note down for one sync it notes down for all of them.
    fn write_logs(&self, work: &[Work]) -> Result<(), StorageError> {
        let mut blocks = Blocks::default();
        let mut written: Vec<(&Log, Written)> = Vec::new();
        for Work { log, batches, .. } in work {
            self.write_log(log, batches, &mut blocks, &mut written)?;
        }
        self.publish_segments(&mut written)
    }

    /// Writes the batches of one log, to the segment that is open and to new ones.
    fn write_log<'w>(
        &self,
        log: &'w Log,
        mut batches: &[RecordBatch],
        blocks: &mut Blocks,
        written: &mut Vec<(&'w Log, Written)>,
    ) -> Result<(), StorageError> {
        let last = log.state().segments.last().cloned();
        let mut open = last.filter(|segment| segment.written() < self.options.segment_bytes);
        while let Some(first) = batches.first() {
            let segment = match open.take() {
                Some(segment) => segment,
                None => {
                    let segment = Arc::new(Segment::empty(log.id, first.base_offset));
                    self.disk.create(&segment.path).map_err(failed("create", &segment.path))?;
                    self.disk.sync_dir(&folder(log.id)).map_err(failed("sync", &segment.path))?;
                    segment
                }
            };
            let until = self.options.segment_bytes.min(segment.written() + BYTES_AT_ONCE);
            let part = Written::write(&*self.disk, Arc::clone(&segment), batches, until, blocks)?;
            batches = batches.get(part.batches..).unwrap_or_default();
            written.push((log, part));
            if written.len() >= FILES_AT_ONCE
                || written.iter().map(|(_, part)| part.bytes).sum::<u64>() >= BYTES_AT_ONCE
            {
                self.publish_segments(written)?;
                open = Some(segment).filter(|segment| segment.written() < self.options.segment_bytes);
            }
        }
        Ok(())
    }

    /// Syncs what was written and lets it be read.
    fn publish_segments(&self, written: &mut Vec<(&Log, Written)>) -> Result<(), StorageError> {
        for (_, part) in written.iter() {
            part.sync()?;
        }
        for (log, part) in written.drain(..) {
            part.publish();
            let mut state = log.state();
            if state.next < part.next_offset {
                // Dropped meanwhile: the log forgot everything, and its folder goes with the next checkpoint.
                continue;
            }
            if state.segments.last().is_none_or(|last| last.base != part.segment.base) {
                state.segments.push(part.segment);
            }
            state.mark_written(part.batches, &self.tail_bytes);
            state.forget_written(self.options.tail_bytes_max, &self.tail_bytes);
        }
        Ok(())
    }

    /// Gives back what the new checkpoint makes unnecessary.
    fn give_back(
        &self,
        record: &CheckpointRecord,
        work: &[Work],
        dropped: &HashSet<LogId>,
        closing: bool,
    ) -> Result<(), StorageError> {
        for Work { log, bounds, .. } in work {
            let gone: Vec<_> = {
                let mut state = log.state();
                let keep_from = state.segments.iter().skip(1).take_while(|next| next.base <= bounds.first).count();
                state.segments.drain(..keep_from).collect()
            };
            for segment in gone {
                self.disk.unlink(&segment.path).map_err(failed("unlink", &segment.path))?;
            }
        }
        for &log in dropped {
            let folder = folder(log);
            self.disk.remove_dir(&folder).map_err(failed("remove", &folder))?;
        }
        if closing { Ok(()) } else { self.journal_in_turn().trim(record.journal_number) }
    }
}

/// The key of a log's record.
pub(crate) fn log_key(log: LogId) -> Vec<u8> {
    own_key(&format!("{LOG_PREFIX}{}", log.0))
}

impl CheckpointRecord {
    fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(24);
        bytes.put_u64_le(self.lsn);
        bytes.put_i64_le(self.append_time);
        bytes.put_u64_le(self.journal_number);
        bytes.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 24).then(|| Self {
            lsn: u64_at(bytes, 0),
            append_time: u64_at(bytes, 8) as Millis,
            journal_number: u64_at(bytes, 16),
        })
    }

    /// What the journal has to begin with.
    pub(crate) fn covered(&self) -> Covered {
        Covered { lsn: self.lsn, number: self.journal_number }
    }
}

impl LogRecord {
    fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(40);
        bytes.put_u64_le(self.bounds.first);
        bytes.put_u64_le(self.bounds.next);
        bytes.put_i64_le(self.bounds.last_append_time);
        bytes.put_u64_le(self.segment_base);
        bytes.put_u64_le(self.segment_bytes);
        bytes.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 40).then(|| Self {
            bounds: LogBounds {
                first: u64_at(bytes, 0),
                next: u64_at(bytes, 8),
                last_append_time: u64_at(bytes, 16) as Millis,
            },
            segment_base: u64_at(bytes, 24),
            segment_bytes: u64_at(bytes, 32),
        })
    }
}
