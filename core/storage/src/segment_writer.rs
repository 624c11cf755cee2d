//! Putting batches at the end of a segment's file.
//!
//! A large run goes past the system's cache in whole blocks: copying it there and having it found again by the sync took longer
//! than the write, and held up the journal beside it. Whoever reads so far behind that memory has forgotten the records
//! reads them from the disk. What is left of the last block goes through the cache and is written again, as it was, by the
//! next run, so that a file ends where its last batch does.

use std::sync::Arc;

use millstream_types::RecordBatch;

use crate::batch::{self, HEAD};
use crate::blocks::{BLOCK, Blocks};
use crate::disk::{Disk, DiskFile, Synced, failed};
use crate::error::StorageError;
use crate::segment::{IndexEntry, Reach, Segment};

/// Bytes encoded and written at once.
const WRITE_BYTES: usize = 4 << 20;
/// Bytes of records from which on a run goes past the cache; below it, one write by the sync costs less than two.
const DIRECT_BYTES: usize = 64 << 10;
/// Neighbouring batches of the same append time are written as one up to this many bytes.
const MERGE_BYTES: usize = 32 << 10;

/// Batches that were put into a segment's file and are not durable yet.
pub(crate) struct Written {
    pub(crate) segment: Arc<Segment>,
    /// How many of the batches it took.
    pub(crate) batches: usize,
    /// The offset behind them.
    pub(crate) next_offset: u64,
    /// What they take in the file.
    pub(crate) bytes: u64,
    file: Arc<dyn DiskFile>,
    entries: Vec<IndexEntry>,
    end: u64,
}

impl Written {
    /// Writes batches, at least one, until the segment holds `segment_bytes`.
    pub(crate) fn write(
        disk: &dyn Disk,
        segment: Arc<Segment>,
        batches: &[RecordBatch],
        segment_bytes: u64,
        blocks: &mut Blocks,
    ) -> Result<Self, StorageError> {
        let path = &segment.path;
        let large = batches.iter().map(|batch| batch.bytes.len()).sum::<usize>() >= DIRECT_BYTES;
        let opened = if large { disk.open_direct(path, Synced::BySync) } else { disk.open(path) };
        let file = opened.map_err(failed("open", path))?;
        let mut end = segment.written();
        let border = end - end % BLOCK as u64;
        let mut begun = file.read_at((end - border) as usize, border).map_err(failed("read", path))?;
        let (mut entries, mut taken) = (Vec::new(), 0);
        while taken < batches.len() && (taken == 0 || end < segment_bytes) {
            let room = usize::try_from(segment_bytes.saturating_sub(end)).unwrap_or(WRITE_BYTES);
            let run = Run::take(batches.get(taken..).unwrap_or_default(), WRITE_BYTES.min(room));
            blocks.begin(&begun, run.bytes);
            run.encode(end, blocks.end(), &mut entries);
            let first = end - begun.len() as u64;
            end += run.bytes as u64;
            taken += run.batches();
            let more = taken < batches.len() && end < segment_bytes;
            let content = blocks.content();
            let (now, later) =
                content.split_at(if more { content.len() - content.len() % BLOCK } else { content.len() });
            file.write_at(now, first).map_err(failed("write", path))?;
            begun.clear();
            begun.extend_from_slice(later);
        }
        let next_offset = taken.checked_sub(1).and_then(|last| batches.get(last)).map_or(0, RecordBatch::next_offset);
        let bytes = end - segment.written();
        Ok(Self { segment, batches: taken, next_offset, bytes, file, entries, end })
    }

    /// Makes it durable.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        // Even "disk full" is no answer to build on here: what reached the disk is unknown.
        self.file.sync().map_err(|error| StorageError::Io {
            action: "sync",
            file: self.segment.path.clone(),
            reason: error.to_string(),
        })
    }

    /// Lets it be read.
    pub(crate) fn publish(&self) {
        self.segment.publish(&self.entries, Reach { bytes: self.end, next: self.next_offset });
    }
}

/// Batches as they stand in a file from `position` on.
pub(crate) fn encode(batches: &[RecordBatch], position: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Run::take(batches, usize::MAX).encode(position, &mut bytes, &mut Vec::new());
    bytes
}

/// Batches that are written at once, those that become one beside each other.
struct Run<'b> {
    merged: Vec<&'b [RecordBatch]>,
    /// What they take in the file.
    bytes: usize,
}

impl<'b> Run<'b> {
    /// Takes batches until `max_bytes` are reached, at least one.
    fn take(mut batches: &'b [RecordBatch], max_bytes: usize) -> Self {
        let mut run = Self { merged: Vec::new(), bytes: 0 };
        while let Some(first) = batches.first().filter(|_| run.merged.is_empty() || run.bytes < max_bytes) {
            let mut size = first.bytes.len();
            let mut end = 1;
            while let Some(next) = batches.get(end) {
                let with_next = size + next.bytes.len();
                if next.append_time != first.append_time || with_next > MERGE_BYTES {
                    break;
                }
                (size, end) = (with_next, end + 1);
            }
            let (merged, rest) = batches.split_at(end);
            run.merged.push(merged);
            run.bytes += HEAD + size;
            batches = rest;
        }
        run
    }

    fn batches(&self) -> usize {
        self.merged.iter().map(|merged| merged.len()).sum()
    }

    /// Puts them at the end of `into`, as they stand in a file from `position` on; tells where each lies.
    fn encode(&self, mut position: u64, into: &mut Vec<u8>, entries: &mut Vec<IndexEntry>) {
        for merged in &self.merged {
            let Some(first) = merged.first() else { continue };
            entries.push(IndexEntry { offset: first.base_offset, append_time: first.append_time, position });
            let start = into.len();
            batch::encode(merged, position, into);
            position += (into.len() - start) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream_types::LogId;

    use super::*;
    use crate::disk::RealDisk;
    use crate::segment::folder;

    #[test]
    fn runs_of_all_sizes_follow_each_other_in_a_file() {
        let place = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(place.path());
        disk.create_dir(&folder(LogId(1))).unwrap();
        let segment = Arc::new(Segment::empty(LogId(1), 0));
        disk.create(&segment.path).unwrap();
        let (mut blocks, mut offset, mut all) = (Blocks::default(), 0, Vec::new());
        // Below and above what goes past the cache and what is written at once, ending at block borders and beside them.
        for sizes in [
            vec![10],
            vec![70_000],
            vec![1; 50],
            vec![128 << 10, 4064, 1],
            vec![3 << 20; 4],
            vec![7],
            vec![65_536 - 32],
        ] {
            let batches: Vec<_> = sizes.iter().map(|&size| batch(&mut offset, size)).collect();
            let written = Written::write(&disk, Arc::clone(&segment), &batches, u64::MAX, &mut blocks).unwrap();
            assert_eq!((written.batches, written.next_offset), (batches.len(), offset));
            written.sync().unwrap();
            written.publish();
            all.extend(batches.iter().flat_map(|batch| batch.bytes.to_vec()));
            let length = disk.open(&segment.path).unwrap().length().unwrap();
            assert_eq!(length, segment.written(), "a file ends where its last batch does");
            let reread = Segment::existing(LogId(1), 0, Reach { bytes: length, next: offset });
            assert_eq!((reread.verify(&disk).unwrap(), reread.damaged().len()), ((offset, 0), 0));
            let found = reread.read(&disk, 0, 1 << 30).unwrap();
            assert!(found.iter().flat_map(|batch| batch.bytes.to_vec()).eq(all.iter().copied()));
        }
    }

    /// A batch of one record, as far as segments look into it; each has another content and another time.
    fn batch(offset: &mut u64, size: usize) -> RecordBatch {
        let base_offset = *offset;
        *offset += 1;
        let bytes = Bytes::from(vec![base_offset as u8; size]);
        RecordBatch { base_offset, count: 1, append_time: base_offset as i64 / 3, bytes }
    }
}
