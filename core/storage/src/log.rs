//! One log: its newest batches in memory, its older ones in segments.
//!
//! Batches enter at the tail when the journal made them durable, are written to segments by a checkpoint, and stay in
//! memory as long as there is room.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_types::{LogId, Millis, RecordBatch};
use tokio::sync::watch;

use crate::disk::Disk;
use crate::error::StorageError;
use crate::options::LogBounds;
use crate::segment::{Segment, folder};

/// Record bytes that one log keeps in memory after they were written to a segment.
const TAIL_BYTES_PER_LOG: usize = 1 << 20;
/// What a batch costs in memory besides its records, in bytes.
const BATCH_OVERHEAD: usize = 128;

/// A log.
pub(crate) struct Log {
    pub(crate) id: LogId,
    state: Mutex<LogState>,
    pub(crate) next: watch::Sender<u64>,
}

/// What a log is made of, under its lock.
#[derive(Default)]
pub(crate) struct LogState {
    pub(crate) first: u64,
    pub(crate) next: u64,
    pub(crate) last_append_time: Millis,
    /// In the order of offsets. The last one is written to.
    pub(crate) segments: Vec<Arc<Segment>>,
    tail: VecDeque<RecordBatch>,
    /// Batches at the front of `tail` that are in a segment too.
    written: usize,
    written_bytes: usize,
}

/// Bytes of records in memory, over all logs.
#[derive(Default)]
pub(crate) struct TailBytes {
    /// Not in a segment yet.
    pub(crate) unwritten: AtomicUsize,
    /// In a segment too.
    pub(crate) written: AtomicUsize,
}

fn cost(batch: &RecordBatch) -> usize {
    batch.bytes.len() + BATCH_OVERHEAD
}

impl Log {
    /// A log that has nothing in memory.
    pub(crate) fn new(id: LogId, bounds: LogBounds, segments: Vec<Arc<Segment>>) -> Self {
        let LogBounds { first, next, last_append_time } = bounds;
        let state = LogState { first, next, last_append_time, segments, ..LogState::default() };
        Self { id, state: Mutex::new(state), next: watch::Sender::new(next) }
    }

    /// Its state.
    pub(crate) fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it reaches.
    pub(crate) fn bounds(&self) -> LogBounds {
        let state = self.state();
        LogBounds { first: state.first, next: state.next, last_append_time: state.last_append_time }
    }

    /// Adds a batch that is durable. Readers are told by [`Log::announce`].
    pub(crate) fn push(&self, batch: RecordBatch, bytes: &TailBytes) {
        let mut state = self.state();
        state.next = batch.next_offset();
        state.last_append_time = batch.append_time;
        bytes.unwritten.fetch_add(cost(&batch), Ordering::Relaxed);
        state.tail.push_back(batch);
        while state.written > 0 && state.written_bytes > TAIL_BYTES_PER_LOG {
            state.forget_one(bytes);
        }
    }

    /// Tells followers how far it reaches.
    pub(crate) fn announce(&self) {
        let next = self.state().next;
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
    }

    /// Lets it begin at `first`.
    pub(crate) fn trim(&self, first: u64) {
        let mut state = self.state();
        state.first = state.first.max(first.min(state.next));
    }

    /// Durable batches from `offset` on, see [`crate::Storage::read`].
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        mut offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, StorageError> {
        let (mut batches, mut size) = (Vec::new(), 0);
        while size < max_bytes || batches.is_empty() {
            let found = match self.find(offset, max_bytes.saturating_sub(size))? {
                Source::Tail(found) => found,
                Source::Segment(segment) => match segment.read(disk, offset, max_bytes.saturating_sub(size)) {
                    // Retention may have taken the file between the look and the read.
                    Err(_) if offset < self.state().first => continue,
                    Ok(found) if found.is_empty() => return Err(self.missing(offset)),
                    found => found?,
                },
            };
            let Some(last) = found.last() else { break };
            offset = last.next_offset();
            size += found.iter().map(|batch| batch.bytes.len()).sum::<usize>();
            batches.extend(found);
        }
        Ok(batches)
    }

    fn find(&self, offset: u64, max_bytes: usize) -> Result<Source, StorageError> {
        let state = self.state();
        if offset < state.first {
            return Err(StorageError::OffsetGone { log: self.id, offset, first: state.first });
        }
        if offset >= state.next || state.tail.front().is_some_and(|front| front.base_offset <= offset) {
            let start = state.tail.partition_point(|batch| batch.next_offset() <= offset);
            let mut size = 0;
            let mut batches = Vec::new();
            for batch in state.tail.range(start..) {
                if size >= max_bytes && !batches.is_empty() {
                    break;
                }
                size += batch.bytes.len();
                batches.push(batch.clone());
            }
            return Ok(Source::Tail(batches));
        }
        let index = state.segments.partition_point(|segment| segment.base <= offset);
        match index.checked_sub(1).and_then(|index| state.segments.get(index)) {
            Some(segment) => Ok(Source::Segment(Arc::clone(segment))),
            None => Err(self.missing(offset)),
        }
    }

    fn missing(&self, offset: u64) -> StorageError {
        let detail = format!("no segment holds offset {offset}; restore the log's folder from a backup");
        StorageError::Damaged { file: folder(self.id), position: 0, detail }
    }

    /// The first offset with that append time or a later one.
    pub(crate) fn offset_at_time(&self, disk: &dyn Disk, time: Millis) -> Result<u64, StorageError> {
        let (first, segments) = {
            let state = self.state();
            let in_tail = state.tail.partition_point(|batch| batch.append_time < time);
            let behind = state.tail.get(in_tail).map_or(state.next, |batch| batch.base_offset);
            let tail_base = state.tail.front().map_or(state.next, |batch| batch.base_offset);
            if in_tail > 0 || tail_base <= state.first {
                return Ok(behind.max(state.first));
            }
            (state.first, state.segments.clone())
        };
        for segment in segments.iter().rev().filter(|segment| segment.has_records()) {
            // Where all of a segment is lost nobody knows how old it was; the one before it tells.
            if segment.first_time(disk)?.is_some_and(|begins| begins < time) {
                if let Some(offset) = segment.offset_at_time(disk, time)? {
                    return Ok(offset.max(first));
                }
                let next_segment = segments.iter().find(|later| later.base > segment.base);
                return Ok(next_segment.map_or_else(|| self.tail_offset_at(time), |later| later.base).max(first));
            }
        }
        Ok(segments.first().map_or(first, |segment| segment.base.max(first)))
    }

    /// The offset from which on about `bytes` are kept, and no less.
    pub(crate) fn offset_within(&self, disk: &dyn Disk, bytes: u64) -> Result<u64, StorageError> {
        let mut left = bytes;
        let (first, segments) = {
            let state = self.state();
            let written = state.segments.last().map_or(0, |last| last.reach().next);
            for batch in state.tail.iter().rev().take_while(|batch| batch.base_offset >= written) {
                match left.checked_sub(batch.bytes.len() as u64) {
                    Some(0) | None => return Ok(batch.base_offset.max(state.first)),
                    Some(rest) => left = rest,
                }
            }
            (state.first, state.segments.clone())
        };
        for segment in segments.iter().rev() {
            let written = segment.written();
            match written.checked_sub(left) {
                Some(position) => return Ok(segment.offset_at_position(disk, position)?.max(first)),
                None => left -= written,
            }
        }
        Ok(first)
    }

    fn tail_offset_at(&self, time: Millis) -> u64 {
        let state = self.state();
        let index = state.tail.partition_point(|batch| batch.append_time < time);
        state.tail.get(index).map_or(state.next, |batch| batch.base_offset)
    }
}

enum Source {
    Tail(Vec<RecordBatch>),
    Segment(Arc<Segment>),
}

impl LogState {
    /// The batches that are in memory only.
    pub(crate) fn unwritten(&self) -> Vec<RecordBatch> {
        self.tail.range(self.written..).cloned().collect()
    }

    /// Notes that the next `count` unwritten batches are in a segment.
    pub(crate) fn mark_written(&mut self, count: usize, bytes: &TailBytes) {
        let size = self.tail.range(self.written..self.written + count).map(cost).sum::<usize>();
        self.written += count;
        self.written_bytes += size;
        bytes.unwritten.fetch_sub(size, Ordering::Relaxed);
        bytes.written.fetch_add(size, Ordering::Relaxed);
    }

    /// Forgets batches that are in a segment until this log keeps its share only, and the whole at most `total_max`.
    pub(crate) fn forget_written(&mut self, total_max: usize, bytes: &TailBytes) {
        while self.written > 0
            && (self.written_bytes > TAIL_BYTES_PER_LOG || bytes.written.load(Ordering::Relaxed) > total_max)
        {
            self.forget_one(bytes);
        }
    }

    fn forget_one(&mut self, bytes: &TailBytes) {
        if let Some(batch) = self.tail.pop_front() {
            self.written -= 1;
            self.written_bytes -= cost(&batch);
            bytes.written.fetch_sub(cost(&batch), Ordering::Relaxed);
        }
    }

    /// Forgets everything, for a log that was dropped.
    pub(crate) fn clear(&mut self, bytes: &TailBytes) {
        let unwritten = self.tail.range(self.written..).map(cost).sum::<usize>();
        bytes.unwritten.fetch_sub(unwritten, Ordering::Relaxed);
        bytes.written.fetch_sub(self.written_bytes, Ordering::Relaxed);
        *self = Self::default();
    }
}
