//! A segment: a run of a log's batches in one file, `logs/<log>/<base offset>.log`.
//!
//! Written by checkpoints only. Only the bytes within its [`Reach`] count: what is behind them was not synced when the
//! checkpoint was made, and comes again from the journal. How a batch stands there: `batch`; what becomes of one that is
//! damaged: `damage`.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_types::{LogId, Millis, RecordBatch};

use crate::batch::{HEAD, Head};
use crate::damage::{self, Damaged};
use crate::disk::{Disk, DiskFile, failed};
use crate::error::StorageError;

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

/// A place between two batches: its position in the file, and the offset of the record that comes next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) offset: u64,
    /// No batch behind it is older.
    pub(crate) append_time: Millis,
}

/// How far a segment reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Bytes that count.
    pub(crate) bytes: u64,
    /// The offset behind its last record.
    pub(crate) next: u64,
}

/// A segment file.
pub(crate) struct Segment {
    pub(crate) log: LogId,
    pub(crate) path: String,
    /// The offset of its first record.
    pub(crate) base: u64,
    reach: Mutex<Reach>,
    /// `None` until the first read of a file that an earlier process wrote.
    index: Mutex<Option<Vec<IndexEntry>>>,
    /// The damaged parts that were found, in the order of their finding.
    damaged: Mutex<Vec<Arc<Damaged>>>,
}

/// Batches, and where each of them lies.
type Placed = Vec<(u64, RecordBatch)>;

/// The folder of a log.
pub(crate) fn folder(log: LogId) -> String {
    format!("logs/{}", log.0)
}

/// The path of a segment.
pub(crate) fn path(log: LogId, base: u64) -> String {
    format!("{}/{base:020}.log", folder(log))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Segment {
    /// A segment that an earlier process wrote; indexed when first read.
    pub(crate) fn existing(log: LogId, base: u64, reach: Reach) -> Self {
        let path = path(log, base);
        Self { log, path, base, reach: Mutex::new(reach), index: Mutex::default(), damaged: Mutex::default() }
    }

    /// A segment to be written.
    pub(crate) fn empty(log: LogId, base: u64) -> Self {
        Self { index: Mutex::new(Some(Vec::new())), ..Self::existing(log, base, Reach { bytes: 0, next: base }) }
    }

    /// How far it reaches.
    pub(crate) fn reach(&self) -> Reach {
        *lock(&self.reach)
    }

    /// Bytes that count.
    pub(crate) fn written(&self) -> u64 {
        self.reach().bytes
    }

    /// Whether anything can be read.
    pub(crate) fn has_records(&self) -> bool {
        self.written() > 0
    }

    /// Lets what was written behind the bytes that count be read.
    pub(crate) fn publish(&self, entries: &[IndexEntry], reach: Reach) {
        if let Some(index) = lock(&self.index).as_mut() {
            entries.iter().for_each(|entry| add_entry(index, *entry));
        }
        *lock(&self.reach) = reach;
    }

    /// The damaged parts that reads have found.
    pub(crate) fn damaged(&self) -> Vec<Arc<Damaged>> {
        lock(&self.damaged).clone()
    }

    /// Batches from the one that holds `offset` on, also those that stand for lost records.
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, StorageError> {
        let from = self.floor(disk, |entry| entry.offset <= offset)?;
        let (mut batches, mut size) = (Vec::new(), 0);
        let wanted = (max_bytes as u64).saturating_add(INDEX_BYTES);
        self.walk(disk, from, wanted, |found, _| {
            for (_, batch) in found.into_iter().filter(|(_, batch)| batch.next_offset() > offset) {
                if size >= max_bytes && !batches.is_empty() {
                    break;
                }
                size += batch.bytes.len();
                batches.push(batch);
            }
            if batches.is_empty() || size < max_bytes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(batches)
    }

    /// The append time of its first batch; `None` when that is lost and nobody knows it.
    pub(crate) fn first_time(&self, disk: &dyn Disk) -> Result<Option<Millis>, StorageError> {
        // What stands for a segment that is lost altogether has no time.
        let known = |time: Millis| (time > 0).then_some(time);
        if let Some(first) = lock(&self.index).as_ref().and_then(|index| index.first()) {
            return Ok(known(first.append_time));
        }
        let mut time = 0;
        self.walk(disk, self.begin(), INDEX_BYTES, |found, _| {
            time = found.first().map_or(0, |(_, batch)| batch.append_time);
            ControlFlow::Break(())
        })?;
        Ok(known(time))
    }

    /// The offset of the first batch with that append time or a later one.
    pub(crate) fn offset_at_time(&self, disk: &dyn Disk, time: Millis) -> Result<Option<u64>, StorageError> {
        let from = self.floor(disk, |entry| entry.append_time < time)?;
        let mut offset = None;
        self.walk(disk, from, INDEX_BYTES, |found, _| {
            offset = found.iter().find(|(_, batch)| batch.append_time >= time).map(|(_, batch)| batch.base_offset);
            if offset.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(offset)
    }

    /// The offset of a batch at a position or shortly before it.
    pub(crate) fn offset_at_position(&self, disk: &dyn Disk, position: u64) -> Result<u64, StorageError> {
        Ok(self.floor(disk, |entry| entry.position <= position)?.offset)
    }

    /// Reads all of it; gives the number of records that are there and of those that an earlier repair gave up. What is
    /// damaged: [`Segment::damaged`].
    pub(crate) fn verify(&self, disk: &dyn Disk) -> Result<(u64, u64), StorageError> {
        let (mut sound, mut lost) = (0, 0);
        self.walk(disk, self.begin(), CHUNK_BYTES, |found, damaged| {
            for (_, batch) in found.iter().filter(|_| !damaged) {
                *(if batch.is_lost() { &mut lost } else { &mut sound }) += u64::from(batch.count);
            }
            ControlFlow::Continue(())
        })?;
        Ok((sound, lost))
    }

    fn begin(&self) -> Place {
        Place { position: 0, offset: self.base, append_time: 0 }
    }

    /// The place of the last index entry of which `before` holds.
    fn floor(&self, disk: &dyn Disk, before: impl Fn(&IndexEntry) -> bool) -> Result<Place, StorageError> {
        let mut index = lock(&self.index);
        if index.is_none() {
            *index = Some(self.build_index(disk)?);
        }
        let entries = index.as_deref().unwrap_or_default();
        let at = entries.partition_point(before);
        Ok(at.checked_sub(1).and_then(|at| entries.get(at)).map_or(self.begin(), |entry| {
            let IndexEntry { offset, append_time, position } = *entry;
            Place { position, offset, append_time }
        }))
    }

    fn build_index(&self, disk: &dyn Disk) -> Result<Vec<IndexEntry>, StorageError> {
        let mut index = Vec::new();
        self.walk(disk, self.begin(), CHUNK_BYTES, |found, _| {
            for (position, batch) in found {
                let entry = IndexEntry { offset: batch.base_offset, append_time: batch.append_time, position };
                add_entry(&mut index, entry);
            }
            ControlFlow::Continue(())
        })?;
        Ok(index)
    }

    /// Hands on the batches from a place on in chunks of about `wanted` bytes, until the segment's end or as long as they are
    /// wanted; and whether they stand for a damaged part.
    fn walk(
        &self,
        disk: &dyn Disk,
        mut place: Place,
        wanted: u64,
        mut each: impl FnMut(Placed, bool) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let reach = self.reach();
        let file = disk.open(&self.path).map_err(failed("open", &self.path))?;
        while place.offset < reach.next {
            let chunk = self.read_chunk(&*file, place, reach, wanted)?;
            let damaged = chunk.is_none();
            let (found, to) = match chunk {
                Some(chunk) => chunk,
                None => self.over_damage(disk, &*file, place, reach)?,
            };
            place = to;
            if each(found, damaged).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The whole batches of about `wanted` bytes at a place, at least one, and the place behind them; `None` when no sound
    /// one is there.
    fn read_chunk(
        &self,
        file: &dyn DiskFile,
        from: Place,
        reach: Reach,
        wanted: u64,
    ) -> Result<Option<(Placed, Place)>, StorageError> {
        let rest = reach.bytes.saturating_sub(from.position);
        let mut length = wanted.clamp(HEAD as u64, CHUNK_BYTES).min(rest);
        loop {
            let chunk = file.read_at(length as usize, from.position).map_err(failed("read", &self.path))?;
            let chunk = Bytes::from(chunk);
            let (batches, to) = decode(&chunk, from, reach);
            if to.position > from.position {
                return Ok(Some((batches, to)));
            }
            let needed = Head::read(&chunk).map_or(0, |head| head.needed());
            if needed <= length || needed > rest {
                return Ok(None);
            }
            length = needed;
        }
    }

    /// What stands for the damaged part that begins at a place, and the place behind it.
    fn over_damage(
        &self,
        disk: &dyn Disk,
        file: &dyn DiskFile,
        from: Place,
        reach: Reach,
    ) -> Result<(Placed, Place), StorageError> {
        let known = lock(&self.damaged).iter().find(|known| known.is_at(from, reach)).cloned();
        let damaged = match known {
            Some(damaged) => damaged,
            None => {
                let damaged = Arc::new(damage::look(self, disk, file, from, reach)?);
                self.note(&damaged);
                damaged
            }
        };
        let stand_in = damaged.stand_in.iter().map(|batch| (from.position, batch.clone()));
        Ok((stand_in.collect(), damaged.to))
    }

    /// Remembers a damaged part, and tells of it when nobody did before.
    fn note(&self, damaged: &Arc<Damaged>) {
        let mut all = lock(&self.damaged);
        if all.iter().any(|known| known.from.position == damaged.from.position) {
            return;
        }
        all.push(Arc::clone(damaged));
        drop(all);
        damaged.tell(self);
    }
}

/// The sound batches that a chunk begins with, and the place behind them.
fn decode(chunk: &Bytes, from: Place, reach: Reach) -> (Placed, Place) {
    let (mut batches, mut place) = (Vec::new(), from);
    while let Ok(at) = usize::try_from(place.position - from.position)
        && at < chunk.len()
    {
        let rest = chunk.slice(at..);
        let head = Head::read(&rest).filter(|head| head.base_offset == place.offset);
        let Some((batch, to)) = head.and_then(|head| sound(&head, &rest, place.position, reach)) else { break };
        if batch.count > 0 {
            batches.push((place.position, batch));
        }
        place = to;
    }
    (batches, place)
}

/// The batch that `bytes` begin with, and the place behind it, when it is sound and within the segment.
pub(crate) fn sound(head: &Head, bytes: &Bytes, position: u64, reach: Reach) -> Option<(RecordBatch, Place)> {
    let offset = head.next_offset().filter(|next| *next <= reach.next)?;
    let end = position.checked_add(head.length()).filter(|end| *end <= reach.bytes)?;
    let batch = head.batch(bytes, position)?;
    Some((batch, Place { position: end, offset, append_time: head.append_time }))
}

fn add_entry(index: &mut Vec<IndexEntry>, entry: IndexEntry) {
    if index.last().is_none_or(|last| entry.position >= last.position + INDEX_BYTES) {
        index.push(entry);
    }
}
