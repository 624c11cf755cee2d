//! A segment: a run of a log's batches in one file, `logs/<log>/<base offset>.log`.
//!
//! A batch is `magic u32 | checksum u32 (of the rest) | base offset u64 | append time i64 | count u32 | bytes u32`, then the
//! records. Written by checkpoints only. Only the first `written` bytes of a file count: what is behind them was not
//! synced when the checkpoint was made, and comes again from the journal.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_types::{LogId, Millis, RecordBatch};

use crate::disk::{Disk, failed};
use crate::error::StorageError;
use crate::frame::{checksum, u32_at, u64_at};

/// Bytes before a batch's records.
pub(crate) const BATCH_HEAD: usize = 32;
pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"msb1");
/// Distance of index entries, in bytes.
const INDEX_BYTES: u64 = 64 << 10;
/// What a read fetches at most at once, in bytes, unless one batch is larger.
const CHUNK_BYTES: u64 = 1 << 20;

/// Where a batch lies; the index holds some of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexEntry {
    pub(crate) offset: u64,
    pub(crate) append_time: Millis,
    pub(crate) position: u64,
}

/// A segment file.
pub(crate) struct Segment {
    pub(crate) path: String,
    /// The offset of its first record.
    pub(crate) base: u64,
    written: AtomicU64,
    /// `None` until the first read of a file that an earlier process wrote.
    index: Mutex<Option<Vec<IndexEntry>>>,
}

/// The folder of a log.
pub(crate) fn folder(log: LogId) -> String {
    format!("logs/{}", log.0)
}

/// The path of a segment.
pub(crate) fn path(log: LogId, base: u64) -> String {
    format!("{}/{base:020}.log", folder(log))
}

impl Segment {
    /// A segment of which `written` bytes are there; indexed when first read.
    pub(crate) fn existing(log: LogId, base: u64, written: u64) -> Self {
        Self { path: path(log, base), base, written: AtomicU64::new(written), index: Mutex::new(None) }
    }

    /// A segment to be written.
    pub(crate) fn empty(log: LogId, base: u64) -> Self {
        Self { index: Mutex::new(Some(Vec::new())), ..Self::existing(log, base, 0) }
    }

    /// Bytes that count.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether anything can be read.
    pub(crate) fn has_records(&self) -> bool {
        self.written() > 0
    }

    fn index(&self) -> MutexGuard<'_, Option<Vec<IndexEntry>>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets what was written behind the bytes that count be read.
    pub(crate) fn publish(&self, entries: &[IndexEntry], end: u64) {
        if let Some(index) = self.index().as_mut() {
            entries.iter().for_each(|entry| add_entry(index, *entry));
        }
        self.written.store(end, Ordering::Release);
    }

    /// Batches from the one that holds `offset` on.
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, StorageError> {
        let mut position = self.floor(disk, |entry| entry.offset <= offset)?;
        let mut batches = Vec::new();
        let mut size = 0;
        while position < self.written() && (batches.is_empty() || size < max_bytes) {
            let (found, end) = self.read_chunk(disk, position, max_bytes as u64 + INDEX_BYTES)?;
            position = end;
            for batch in found.into_iter().filter(|batch| batch.next_offset() > offset) {
                if size >= max_bytes && !batches.is_empty() {
                    break;
                }
                size += batch.bytes.len();
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    /// The append time of its first batch.
    pub(crate) fn first_time(&self, disk: &dyn Disk) -> Result<Millis, StorageError> {
        if let Some(first) = self.index().as_ref().and_then(|index| index.first()) {
            return Ok(first.append_time);
        }
        let (batches, _) = self.read_chunk(disk, 0, INDEX_BYTES)?;
        Ok(batches.first().map_or(0, |batch| batch.append_time))
    }

    /// The offset of the first batch with that append time or a later one.
    pub(crate) fn offset_at_time(&self, disk: &dyn Disk, time: Millis) -> Result<Option<u64>, StorageError> {
        let mut position = self.floor(disk, |entry| entry.append_time < time)?;
        while position < self.written() {
            let (batches, end) = self.read_chunk(disk, position, INDEX_BYTES)?;
            if let Some(batch) = batches.iter().find(|batch| batch.append_time >= time) {
                return Ok(Some(batch.base_offset));
            }
            position = end;
        }
        Ok(None)
    }

    /// Reads all of it and checks it; gives the offset behind its last record and the records' number.
    pub(crate) fn verify(&self, disk: &dyn Disk) -> Result<(u64, u64), StorageError> {
        let (mut position, mut next, mut records) = (0, self.base, 0);
        while position < self.written() {
            let (batches, end) = self.read_chunk(disk, position, CHUNK_BYTES)?;
            for batch in &batches {
                if batch.base_offset != next {
                    return Err(self.damaged(position, format!("expected offset {next}, found {}", batch.base_offset)));
                }
                next = batch.next_offset();
                records += u64::from(batch.count);
            }
            position = end;
        }
        Ok((next, records))
    }

    /// The position of the last index entry of which `before` holds.
    fn floor(&self, disk: &dyn Disk, before: impl Fn(&IndexEntry) -> bool) -> Result<u64, StorageError> {
        let mut index = self.index();
        if index.is_none() {
            *index = Some(self.build_index(disk)?);
        }
        let entries = index.as_deref().unwrap_or_default();
        let at = entries.partition_point(before);
        Ok(at.checked_sub(1).and_then(|at| entries.get(at)).map_or(0, |entry| entry.position))
    }

    fn build_index(&self, disk: &dyn Disk) -> Result<Vec<IndexEntry>, StorageError> {
        let mut index = Vec::new();
        let mut position = 0;
        while position < self.written() {
            let (batches, end) = self.read_chunk(disk, position, CHUNK_BYTES)?;
            for batch in batches {
                add_entry(
                    &mut index,
                    IndexEntry { offset: batch.base_offset, append_time: batch.append_time, position },
                );
                position += (BATCH_HEAD + batch.bytes.len()) as u64;
            }
            position = end;
        }
        Ok(index)
    }

    /// The whole batches of about `wanted` bytes at `position`, at least one, and the position behind them.
    fn read_chunk(&self, disk: &dyn Disk, position: u64, wanted: u64) -> Result<(Vec<RecordBatch>, u64), StorageError> {
        let file = disk.open(&self.path).map_err(failed("open", &self.path))?;
        let rest = self.written() - position;
        let mut length = wanted.clamp(BATCH_HEAD as u64, CHUNK_BYTES).min(rest);
        loop {
            let mut chunk = vec![0; length as usize];
            file.read_at(&mut chunk, position).map_err(failed("read", &self.path))?;
            let chunk = Bytes::from(chunk);
            let (batches, used) = self.decode(&chunk, position)?;
            if !batches.is_empty() {
                return Ok((batches, position + used as u64));
            }
            let needed = chunk.get(..BATCH_HEAD).map_or(0, |head| BATCH_HEAD as u64 + u64::from(u32_at(head, 28)));
            if needed <= length || needed > rest {
                return Err(self.damaged(position, "the batch does not end within the segment".to_owned()));
            }
            length = needed;
        }
    }

    fn decode(&self, chunk: &Bytes, position: u64) -> Result<(Vec<RecordBatch>, usize), StorageError> {
        let (mut batches, mut at) = (Vec::new(), 0);
        while let Some(head) = chunk.get(at..at + BATCH_HEAD) {
            if u32_at(head, 0) != MAGIC {
                return Err(self.damaged(position + at as u64, "no batch begins here".to_owned()));
            }
            let end = at + BATCH_HEAD + u32_at(head, 28) as usize;
            let Some(covered) = chunk.get(at + 8..end) else { break };
            if checksum(covered) != u32_at(head, 4) {
                return Err(self.damaged(position + at as u64, "the batch does not match its checksum".to_owned()));
            }
            batches.push(RecordBatch {
                base_offset: u64_at(head, 8),
                append_time: u64_at(head, 16) as Millis,
                count: u32_at(head, 24),
                bytes: chunk.slice(at + BATCH_HEAD..end),
            });
            at = end;
        }
        Ok((batches, at))
    }

    fn damaged(&self, position: u64, what: String) -> StorageError {
        let detail = format!("{what}; restore the file from a backup, or trim the log beyond it");
        StorageError::Damaged { file: self.path.clone(), position, detail }
    }
}

fn add_entry(index: &mut Vec<IndexEntry>, entry: IndexEntry) {
    if index.last().is_none_or(|last| entry.position >= last.position + INDEX_BYTES) {
        index.push(entry);
    }
}
