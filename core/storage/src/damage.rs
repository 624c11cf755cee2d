//! What is damaged in a segment, and where the sound batches go on behind it.
//!
//! A batch that does not match its checksum is never handed on, and neither its length nor its count is believed. The next
//! one is looked for byte by byte: it begins with its magic, its offsets lie between those of the last sound batch and the
//! end of the segment, and its checksum covers its place, so that nothing that a record carries can pass for it. What lies
//! between is one damaged part. Its records are taken from the journal while that still holds all of them, else they are
//! lost: they have offsets and nothing more.

use bytes::Bytes;
use millstream_types::{LogId, RecordBatch};

use crate::batch::{HEAD, Head};
use crate::disk::{Disk, DiskFile, failed};
use crate::error::StorageError;
use crate::journal_copy;
use crate::segment::{Place, Reach, Segment, sound};

/// Bytes of a head.
const HEAD_BYTES: u64 = HEAD as u64;
/// Bytes that are looked through at once.
const WINDOW_BYTES: u64 = 1 << 20;
/// Damaged parts of a segment whose records are looked for in the journal while a node runs; each costs a look through it.
const COPIES_MAX: usize = 8;
/// Bytes of what may be a batch that the search for the next one checks; what is behind is given up then. Anybody's records may hold
/// what looks like batches.
const SEARCHED_BYTES_MAX: u64 = 4 << 30;
/// Bytes of such records that one part may keep in memory.
const COPY_BYTES_MAX: usize = 2 << 20;

/// A damaged part of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentDamage {
    /// The file, within the data folder.
    pub file: String,
    /// Where in it the part begins.
    pub position: u64,
    /// Its length; 0 when the file lacks what should stand at its end.
    pub bytes: u64,
    /// The log.
    pub log: LogId,
    /// The offset of the first record that stood there.
    pub first_offset: u64,
    /// How many records stood there.
    pub records: u64,
    /// Whether the journal still has all of them.
    pub copied: bool,
}

/// The same as readers need it.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) from: Place,
    pub(crate) to: Place,
    /// The records from the journal, or what stands for lost ones.
    pub(crate) stand_in: Vec<RecordBatch>,
}

impl Damaged {
    /// Whether it is the part that begins there. The part at the end of a segment that has grown since is looked at again.
    pub(crate) fn is_at(&self, from: Place, reach: Reach) -> bool {
        self.from.position == from.position && self.to.offset <= reach.next
    }

    /// Whether the journal has its records.
    pub(crate) fn is_copied(&self) -> bool {
        !self.stand_in.iter().any(RecordBatch::is_lost)
    }

    /// Its records.
    pub(crate) fn records(&self) -> u64 {
        self.to.offset - self.from.offset
    }

    /// As it is shown.
    pub(crate) fn shown(&self, segment: &Segment) -> SegmentDamage {
        SegmentDamage {
            file: segment.path.clone(),
            position: self.from.position,
            bytes: self.to.position - self.from.position,
            log: segment.log,
            first_offset: self.from.offset,
            records: self.records(),
            copied: self.is_copied(),
        }
    }

    /// Writes it into the node's log.
    pub(crate) fn tell(&self, segment: &Segment) {
        let SegmentDamage { file, position, bytes, log, first_offset, records, copied } = self.shown(segment);
        let what = if copied { "are read from the journal" } else { "are lost; readers skip them" };
        tracing::error!(
            file,
            position,
            bytes,
            log = log.0,
            first_offset,
            records,
            "a part of a segment is damaged: its records {what}; stop the node and mend it by `millstream log repair`, or \
             restore the file from a backup"
        );
    }
}

/// Looks at the damaged part that begins at a place of a segment.
pub(crate) fn look(
    segment: &Segment,
    disk: &dyn Disk,
    file: &dyn DiskFile,
    from: Place,
    reach: Reach,
) -> Result<Damaged, StorageError> {
    let next = next_sound(segment, file, from, reach)?;
    let end = Place { position: reach.bytes.max(from.position), offset: reach.next, append_time: from.append_time };
    let to = next.unwrap_or(end);
    let copies = match segment.damaged().len() {
        ..COPIES_MAX => journal_copy::find(disk, segment.log, from.offset..to.offset, COPY_BYTES_MAX),
        _ => None,
    };
    let stand_in = copies.unwrap_or_else(|| lost(from, to).collect());
    Ok(Damaged { from, to, stand_in })
}

/// What stands for the records between two places.
pub(crate) fn lost(from: Place, to: Place) -> impl Iterator<Item = RecordBatch> {
    let mut offset = from.offset;
    std::iter::from_fn(move || {
        let count = u32::try_from(to.offset - offset).unwrap_or(u32::MAX);
        let batch = RecordBatch::lost(offset, count, to.append_time);
        offset = batch.next_offset();
        (count > 0).then_some(batch)
    })
}

/// The place of the first sound batch behind a place where none is.
fn next_sound(
    segment: &Segment,
    file: &dyn DiskFile,
    from: Place,
    reach: Reach,
) -> Result<Option<Place>, StorageError> {
    let read = |position: u64, length: u64| {
        file.read_at(length as usize, position).map(Bytes::from).map_err(failed("read", &segment.path))
    };
    // Batches of earlier versions stand in front of others only. What a record carries could pass for one of them, so they are
    // taken only where the segment is known to begin with one.
    let unplaced = match reach.bytes {
        ..HEAD_BYTES => false,
        _ => Head::read(&read(0, HEAD_BYTES)?).is_some_and(|first| !first.is_placed()),
    };
    let may_be = |head: &Head, place: u64| {
        head.base_offset >= from.offset
            && head.next_offset().is_some_and(|next| next <= reach.next)
            && place + head.length() <= reach.bytes
            && (unplaced || head.is_placed())
    };
    let mut left = SEARCHED_BYTES_MAX;
    let mut position = from.position.saturating_add(1);
    while position.saturating_add(HEAD_BYTES) <= reach.bytes {
        let window = read(position, WINDOW_BYTES.min(reach.bytes - position))?;
        let mut at = 0;
        while let Some(found) = Head::find(window.get(at..).unwrap_or_default()) {
            at += found;
            let place = position + at as u64;
            let head = window.get(at..).and_then(Head::read).filter(|head| may_be(head, place));
            if let Some(head) = head.filter(|head| head.needed() <= left) {
                left -= head.needed();
                if sound(&head, &read(place, head.needed())?, place, reach).is_some() {
                    let (offset, append_time) = (head.base_offset, head.append_time);
                    return Ok(Some(Place { position: place, offset, append_time }));
                }
            }
            at += 1;
        }
        // A head may lie across the border of two windows.
        position += (window.len() as u64).saturating_sub(HEAD_BYTES - 1).max(1);
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
