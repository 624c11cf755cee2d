//! Records that a checkpoint brought into a segment and that the journal still holds, for a segment that is damaged.

use std::collections::BTreeMap;
use std::ops::Range;

use millstream_types::{LogId, RecordBatch};

use crate::disk::Disk;
use crate::error::StorageError;
use crate::frame::{self, Frame};
use crate::journal::{self, FILE_HEADER, Found};

/// The records of a log at these offsets, if the journal has all of them and they are not more than `bytes_max`.
pub(crate) fn find(disk: &dyn Disk, log: LogId, offsets: Range<u64>, bytes_max: usize) -> Option<Vec<RecordBatch>> {
    let found = find_some(disk, log, offsets.clone());
    let follow = |next: u64, batch: &RecordBatch| (batch.base_offset == next).then(|| batch.next_offset());
    let end = found.iter().try_fold(offsets.start, follow)?;
    let bytes = found.iter().map(|batch| batch.bytes.len()).sum::<usize>();
    (end == offsets.end && bytes <= bytes_max).then_some(found)
}

/// The records of a log at these offsets that the journal has, in their order. A journal that cannot be read has none: what is
/// looked for is lost already.
pub(crate) fn find_some(disk: &dyn Disk, log: LogId, offsets: Range<u64>) -> Vec<RecordBatch> {
    let mut found = BTreeMap::new();
    if let Err(error) = collect(disk, log, &offsets, &mut found) {
        tracing::warn!(%error, "the journal cannot be searched for records of a damaged segment");
        return Vec::new();
    }
    found.into_values().filter(|batch| batch.next_offset() <= offsets.end).collect()
}

/// Collects them by their offsets, from the last file to the first.
fn collect(
    disk: &dyn Disk,
    log: LogId,
    offsets: &Range<u64>,
    found: &mut BTreeMap<u64, RecordBatch>,
) -> Result<(), StorageError> {
    // What stands in a file behind the begin of the next one was refused.
    let mut before = u64::MAX;
    for number in journal::list(disk, &mut Found::default())?.into_iter().rev() {
        // The oldest files are given back while they are looked for: all before this one are gone, too.
        let Ok(bytes) = journal::read_file(disk, number) else { break };
        let first_lsn = journal::read_header(&bytes, number)?;
        let mut position = FILE_HEADER;
        while position < bytes.len() {
            let frame = frame::read(&bytes, position)
                .filter(|frame| frame.place.epoch == number && (first_lsn..before).contains(&frame.place.lsn));
            position += frame.as_ref().map_or(8, |frame| frame.length);
            frame.iter().for_each(|frame| take(frame, log, offsets, found));
        }
        before = first_lsn;
    }
    Ok(())
}

fn take(frame: &Frame, log: LogId, offsets: &Range<u64>, found: &mut BTreeMap<u64, RecordBatch>) {
    let append_time = frame.place.append_time;
    for (append, &base_offset) in frame.body.appends.iter().zip(&frame.base_offsets) {
        if append.log == log && append.count > 0 && offsets.contains(&base_offset) {
            let (count, bytes) = (append.count, append.bytes.clone());
            found.entry(base_offset).or_insert(RecordBatch { base_offset, count, append_time, bytes });
        }
    }
}
