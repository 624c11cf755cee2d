//! Mending segments: in the place of each damaged part stand its records, when the journal still has them, or what says that
//! they are lost. All other batches stay where they are, byte for byte.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_types::{LogId, RecordBatch};

use super::{keep_aside, write_file};
use crate::batch::{HEAD, lost_head};
use crate::checkpoint::LogRecord;
use crate::damage::{Damaged, SegmentDamage, lost};
use crate::disk::{Disk, failed};
use crate::error::StorageError;
use crate::journal_copy;
use crate::recovery::segments;
use crate::segment::Segment;
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
                let parts: Vec<Arc<Damaged>> =
                    segment.damaged().into_iter().map(|part| searched(disk, log, part)).collect();
                let is_last = segment.base == record.segment_base;
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
            let mut whole = vec![0; file.length().map_err(failed("read", path))? as usize];
            file.read_at(&mut whole, 0).map_err(failed("read", path))?;
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

/// A part with its records, if the journal has them: a running node looks for few and small parts only, but what a repair does
/// not find is given up for good.
fn searched(disk: &dyn Disk, log: LogId, part: Arc<Damaged>) -> Arc<Damaged> {
    if part.is_copied() {
        return part;
    }
    match journal_copy::find(disk, log, part.from.offset..part.to.offset, usize::MAX) {
        Some(stand_in) => Arc::new(Damaged { from: part.from, to: part.to, stand_in }),
        None => part,
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
        let ends_the_file = part.to.position >= self.segment.written() && !self.is_last;
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
        if ends_the_file {
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
