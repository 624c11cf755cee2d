//! Mending segments: in the place of each damaged part stand its records, when the journal still has them, or what says that
//! they are lost. All other batches stay where they are, byte for byte.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_types::{LogId, Millis, RecordBatch};

use super::{keep_aside, write_file};
use crate::batch::{HEAD, lost_head};
use crate::checkpoint::LogRecord;
use crate::damage::{Damaged, SegmentDamage, lost};
use crate::disk::{Disk, failed};
use crate::error::StorageError;
use crate::journal_copy;
use crate::recovery::segments;
use crate::segment::{Place, Segment};
use crate::segment_writer::encode;

/// The segments of a folder that are damaged.
pub(crate) struct DamagedSegments(Vec<DamagedSegment>);

struct DamagedSegment {
    segment: Arc<Segment>,
    /// Whether it is the one that its log goes on in: how long that is stands elsewhere, too.
    is_last: bool,
    parts: Vec<Arc<Damaged>>,
}

impl DamagedSegments {
    /// Reads all segments.
    pub(crate) fn find(disk: &dyn Disk, records: &HashMap<LogId, LogRecord>) -> Result<Self, StorageError> {
        let mut found = Vec::new();
        for (&log, record) in records {
            for segment in segments(disk, log, record)?.0 {
                segment.verify(disk)?;
                let is_last = segment.base == record.segment_base;
                let whole = |part| if is_last { to_the_end(part, &segment, record.segment_bytes) } else { part };
                let damaged = segment.damaged().into_iter().map(whole);
                // The last one is as long as its log's record says; of another one only its own length is known.
                let may_grow = |part: &Damaged| !is_last && ends(part, &segment);
                let search = |part: Arc<Damaged>| searched(disk, log, may_grow(&part), part);
                let parts: Vec<Arc<Damaged>> = damaged.flat_map(search).collect();
                if !parts.is_empty() {
                    found.push(DamagedSegment { segment, is_last, parts });
                }
            }
        }
        found.sort_by(|one, other| one.segment.path.cmp(&other.segment.path));
        Ok(Self(found))
    }

    /// What is damaged, in the order of files and places.
    pub(crate) fn shown(&self) -> Vec<SegmentDamage> {
        let of =
            |found: &DamagedSegment| -> Vec<_> { found.parts.iter().map(|part| part.shown(&found.segment)).collect() };
        self.0.iter().flat_map(of).collect()
    }

    /// Mends them, each after a copy of it as it was is durable. A crash leaves a segment as it was or mended.
    pub(crate) fn mend(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        for found in &self.0 {
            let Segment { log, path, base, .. } = &*found.segment;
            let file = disk.open(path).map_err(failed("open", path))?;
            let length = file.length().map_err(failed("read", path))?;
            let mut whole = file.read_at(length as usize, 0).map_err(failed("read", path))?;
            keep_aside(disk, &format!("log-{}-{base:020}", log.0), "log", &whole)?;
            for part in &found.parts {
                found.mend(part, &mut whole)?;
            }
            let mended = format!("{path}.mended");
            write_file(disk, &mended, &whole)?;
            disk.rename(&mended, path).map_err(failed("rename", path))?;
            let folder = crate::segment::folder(*log);
            disk.sync_dir(&folder).map_err(failed("sync", &folder))?;
        }
        Ok(())
    }
}

/// A part that reaches as far as its segment should, when the file ends before that.
fn to_the_end(part: Arc<Damaged>, segment: &Segment, segment_bytes: u64) -> Arc<Damaged> {
    if part.to.position < segment.written() || part.to.position >= segment_bytes {
        return part;
    }
    let to = Place { position: segment_bytes, ..part.to };
    Arc::new(Damaged { from: part.from, to, stand_in: part.stand_in.clone() })
}

/// Whether nothing stands behind a part.
fn ends(part: &Damaged, segment: &Segment) -> bool {
    part.to.position >= segment.written()
}

/// A part with its records, as far as the journal has them, as a part for each run of those that it has and of those that are
/// lost: a running node looks for few and small parts only, but what a repair does not find is given up for good.
fn searched(disk: &dyn Disk, log: LogId, may_grow: bool, part: Arc<Damaged>) -> Vec<Arc<Damaged>> {
    if part.is_copied() {
        return vec![part];
    }
    let there = journal_copy::find_some(disk, log, part.from.offset..part.to.offset);
    let room = part.to.position.saturating_sub(part.from.position);
    let runs = if may_grow { Run::all(&part, there) } else { Run::fitting(&part, there, room) };
    if let [whole] = &runs[..] {
        return vec![Arc::new(Damaged { from: part.from, to: part.to, stand_in: whole.batches.clone() })];
    }
    // Room that is left over stands behind what says that records are lost.
    let mut left = room.saturating_sub(Run::bytes_of(&runs));
    let mut from = part.from;
    let placed = |run: Run| {
        let spare = if run.is_lost { std::mem::take(&mut left) } else { 0 };
        let (position, offset) = (from.position + run.bytes() + spare, run.next);
        let to = Place { position, offset, append_time: run.append_time };
        let placed = Damaged { from, to, stand_in: run.batches };
        from = to;
        Arc::new(placed)
    };
    runs.into_iter().map(placed).collect()
}

/// Records of a damaged part that follow each other, all of which are lost or none.
struct Run {
    batches: Vec<RecordBatch>,
    is_lost: bool,
    /// The offset behind the last one.
    next: u64,
    /// No record behind it is older.
    append_time: Millis,
}

impl Run {
    /// The runs of a part of which these records are there.
    fn all(part: &Damaged, there: Vec<RecordBatch>) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        let mut place = part.from;
        for batch in there {
            let (next, append_time) = (batch.next_offset(), batch.append_time);
            let begins = Place { position: 0, offset: batch.base_offset, append_time };
            runs.extend(Self::lost(place, begins));
            match runs.last_mut().filter(|run| !run.is_lost) {
                Some(run) => {
                    run.batches.push(batch);
                    (run.next, run.append_time) = (next, append_time);
                }
                None => runs.push(Self { batches: vec![batch], is_lost: false, next, append_time }),
            }
            place = Place { position: 0, offset: next, append_time };
        }
        runs.extend(Self::lost(place, part.to));
        runs
    }

    /// The same without the shortest of those that are there, where not all of them fit into the room beside what says that the
    /// others are lost.
    fn fitting(part: &Damaged, there: Vec<RecordBatch>, room: u64) -> Vec<Self> {
        let runs = Self::all(part, there);
        let (mut missing, last) = (Self::bytes_of(&runs).saturating_sub(room), runs.len().saturating_sub(1));
        let mut by_length: Vec<(u64, usize, Self)> = Vec::with_capacity(runs.len());
        by_length.extend(runs.into_iter().enumerate().map(|(place, run)| (run.bytes(), place, run)));
        by_length.retain(|(_, _, run)| !run.is_lost);
        by_length.sort_by_key(|(bytes, place, _)| (*bytes, *place));
        by_length.retain(|(bytes, place, _)| {
            let stays = missing == 0;
            // Lost ones on both sides of it become one.
            let head = if (1..last).contains(place) { HEAD as u64 } else { 0 };
            missing = missing.saturating_sub(bytes + head);
            stays
        });
        by_length.sort_by_key(|(_, place, _)| *place);
        Self::all(part, by_length.into_iter().flat_map(|(_, _, run)| run.batches).collect())
    }

    /// What is lost between two places; `None` when nothing lies there.
    fn lost(from: Place, to: Place) -> Option<Self> {
        let batches: Vec<RecordBatch> = lost(from, to).collect();
        let (next, append_time) = (to.offset, to.append_time);
        (!batches.is_empty()).then_some(Self { batches, is_lost: true, next, append_time })
    }

    /// Bytes that they take in a file.
    fn bytes_of(runs: &[Self]) -> u64 {
        runs.iter().map(Self::bytes).sum()
    }

    /// Bytes that it takes in a file.
    fn bytes(&self) -> u64 {
        let bytes = if self.is_lost { self.batches.len() * HEAD } else { encode(&self.batches, 0).len() };
        bytes as u64
    }
}

impl DamagedSegment {
    /// Mends a part in the content of the file.
    fn mend(&self, part: &Damaged, whole: &mut Vec<u8>) -> Result<(), StorageError> {
        let too_large = || StorageError::Damaged {
            file: self.segment.path.clone(),
            position: part.from.position,
            detail: "the damaged part is too large to be mended; restore the file from a backup".to_owned(),
        };
        let from = usize::try_from(part.from.position).map_err(|_| too_large())?;
        let to = usize::try_from(part.to.position).map_err(|_| too_large())?;
        let room = to.saturating_sub(from);
        let ends_the_file = ends(part, &self.segment) && !self.is_last;
        let copied = part.is_copied().then(|| encode(&part.stand_in, part.from.position));
        let (content, length) = match copied {
            Some(records) if ends_the_file || records.len() == room => (records, 0),
            // Less heads than there were: what is left holds nothing.
            Some(mut records) if records.len() + HEAD <= room => {
                let place = part.from.position + records.len() as u64;
                let rest = u32::try_from(room - records.len() - HEAD).map_err(|_| too_large())?;
                let nothing = RecordBatch::lost(part.to.offset, 0, part.to.append_time);
                records.extend(lost_head(&nothing, rest, place));
                (records, room)
            }
            _ => (lost_heads(part, room).ok_or_else(too_large)?, room),
        };
        let end = from + content.len().max(length);
        if ends_the_file || end > whole.len() {
            whole.resize(end, 0);
        }
        let place = whole.get_mut(from..from + content.len()).ok_or_else(too_large)?;
        place.copy_from_slice(&content);
        Ok(())
    }
}

/// What says that the records of a part are lost, in front of what is left of them in its `room`.
fn lost_heads(part: &Damaged, room: usize) -> Option<Vec<u8>> {
    let mut heads = Vec::new();
    for batch in lost(part.from, part.to) {
        let place = part.from.position + heads.len() as u64;
        let is_last = batch.next_offset() == part.to.offset;
        let rest = if is_last { room.saturating_sub(heads.len() + HEAD) } else { 0 };
        heads.extend(lost_head(&batch, u32::try_from(rest).ok()?, place));
    }
    Some(heads)
}
