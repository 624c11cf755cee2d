//! The journal without what is given up: the same transactions under the same numbers, with empty ones in the place of those
//! that are lost. Pure.

use std::collections::HashMap;

use bytes::Bytes;
use millstream_types::{EncodedRecords, LogId, Millis};

use super::salvage::{JournalFile, Sound, sound_frames};
use super::{Damage, Repair, RepairReport};
use crate::blocks::BLOCK;
use crate::error::StorageError;
use crate::frame::{self, Body, Place, checksum, u32_at};
use crate::journal::{FILE_HEADER, file_header, file_name, read_header};
use crate::transaction::Transaction;

/// What the stores behind the journal have.
pub(super) struct Stores {
    /// Everything up to this transaction.
    pub(super) covered_lsn: u64,
    /// When that was ordered.
    pub(super) covered_time: Millis,
    /// Keys up to this transaction, at least.
    pub(super) applied_lsn: u64,
    /// Where the logs go on.
    pub(super) logs: HashMap<LogId, u64>,
}

/// A journal as it is to be.
pub(super) struct Rebuilt {
    /// Files that change, with their new content; `None`: they go.
    pub(super) files: Vec<(u64, Option<Bytes>)>,
    pub(super) report: RepairReport,
}

/// A file of the journal as it can be read.
struct Read<'f> {
    file: &'f JournalFile,
    first_lsn: u64,
    parts: Vec<Part>,
    /// Whether it is to be written anew.
    changed: bool,
    /// Where what is not read begins, by the first lost transaction.
    dropped: bool,
}

enum Part {
    Kept(Box<Sound>),
    Lost(Lost),
}

impl Part {
    /// When it was ordered, when that is known.
    fn time(&self) -> Option<Millis> {
        match self {
            Self::Kept(sound) => Some(sound.frame.place.append_time),
            Self::Lost(_) => None,
        }
    }
}

/// Transactions that are not there, first and last, and the records of theirs that are known to be missing.
struct Lost {
    from: u64,
    to: u64,
    gaps: Vec<(LogId, u64, u64)>,
}

/// Rebuilds a journal.
///
/// # Errors
/// [`StorageError::Damaged`] when what can be read does not fit together.
pub(super) fn rebuild(files: &[JournalFile], stores: Stores, how: Repair) -> Result<Rebuilt, StorageError> {
    let mut report = RepairReport::default();
    let mut reads = read(files, &stores, &mut report);
    let fits = find_gaps(&mut reads, &stores, &mut report);
    match how {
        Repair::Skip => fits?,
        // What does not fit stands behind the cut.
        Repair::Truncate => truncate(&mut reads, &stores, &mut report),
    }
    report.lost_records = in_runs(std::mem::take(&mut report.lost_records));
    let (mut changed, mut time) = (Vec::new(), stores.covered_time);
    for read in &reads {
        let begun = time;
        time = read.parts.iter().rev().find_map(Part::time).unwrap_or(time);
        if !(read.changed || read.dropped) {
            continue;
        }
        let name = file_name(read.file.number);
        if read.dropped {
            report.removed.push(name);
            changed.push((read.file.number, None));
        } else {
            report.rewritten.push(name);
            changed.push((read.file.number, Some(content(read, begun))));
        }
    }
    Ok(Rebuilt { files: changed, report })
}

/// Reads all files; notes what is damaged.
fn read<'f>(files: &'f [JournalFile], stores: &Stores, report: &mut RepairReport) -> Vec<Read<'f>> {
    let header = |file: &JournalFile| read_header(&file.bytes, file.number).ok();
    let (mut expected, mut reads) = (stores.covered_lsn + 1, Vec::with_capacity(files.len()));
    for (index, file) in files.iter().enumerate() {
        let found = header(file);
        // The first file may begin before the checkpoint.
        let first_lsn = if index == 0 { found.map_or(expected, |found| found.min(expected)) } else { expected };
        let durable = match files.get(index + 1) {
            Some(next) => header(next).map_or(0, |first| first.saturating_sub(1)),
            None => stores.applied_lsn,
        };
        let mut read = Read { file, first_lsn, parts: Vec::new(), changed: found != Some(first_lsn), dropped: false };
        let (mut next, mut end) = (first_lsn, FILE_HEADER);
        let mut lost = |read: &mut Read<'_>, from: u64, to: u64, position: usize| {
            let damage = Damage { file: file_name(file.number), position: position as u64, transactions: (from, to) };
            report.damages.push(damage);
            let behind = from.max(stores.covered_lsn + 1);
            report.lost_transactions += (to + 1).saturating_sub(behind);
            report.unknown_writes += (to + 1).saturating_sub(from.max(stores.applied_lsn + 1));
            read.parts.push(Part::Lost(Lost { from, to, gaps: Vec::new() }));
            read.changed = true;
        };
        for sound in sound_frames(file, first_lsn.max(found.unwrap_or(first_lsn)), durable) {
            let lsn = sound.frame.place.lsn;
            if lsn > next {
                lost(&mut read, next, lsn - 1, end);
            }
            (next, end) = (lsn + 1, sound.position + sound.frame.length);
            read.parts.push(Part::Kept(Box::new(sound)));
        }
        if durable >= next {
            lost(&mut read, next, durable, end);
            next = durable + 1;
        }
        expected = next;
        reads.push(read);
    }
    reads
}

/// Gives up everything from the first loss on that the stores do not have. Where the key-value store is ahead of that, it
/// holds how far logs are read: they go on as far, with empty records, so that no reader's place is behind its log's end,
/// as far as sound frames behind the loss tell.
fn truncate(reads: &mut [Read<'_>], stores: &Stores, report: &mut RepairReport) {
    let mut cut = None;
    let mut ends = Ends { kept: stores.logs.clone(), known_to_keys: HashMap::new() };
    // The loss that the journal ends with.
    let mut last: Option<(usize, usize)> = None;
    for (file, read) in reads.iter_mut().enumerate() {
        if cut.is_some() {
            read.dropped = true;
        }
        let parts = std::mem::take(&mut read.parts);
        for part in parts {
            match (cut, part) {
                (None, Part::Lost(lost)) if lost.to > stores.covered_lsn => {
                    let first = lost.from.max(stores.covered_lsn + 1);
                    cut = Some(first);
                    // The key-value store must not be ahead of the journal.
                    let to = (first - 1).max(stores.applied_lsn);
                    report.keys_ahead = (stores.applied_lsn >= first).then_some(stores.applied_lsn);
                    if to >= lost.from {
                        last = Some((file, read.parts.len()));
                        read.parts.push(Part::Lost(Lost { from: lost.from, to, gaps: Vec::new() }));
                    }
                }
                (None, part) => {
                    if let Part::Kept(sound) = &part
                        && sound.frame.place.lsn > stores.covered_lsn
                    {
                        advance(&mut ends.kept, sound);
                    }
                    read.parts.push(part);
                }
                (Some(_), Part::Lost(_)) => {}
                (Some(_), Part::Kept(sound)) => {
                    report.lost_transactions += 1;
                    if sound.frame.place.lsn > stores.applied_lsn {
                        report.lost_writes += sound.frame.body.writes.len() as u64;
                    } else {
                        advance(&mut ends.known_to_keys, &sound);
                    }
                    let appends = sound.frame.body.appends.iter().zip(&sound.frame.base_offsets);
                    let lost = appends.map(|(append, base)| (append.log, *base, u64::from(append.count)));
                    report.lost_records.extend(lost);
                }
            }
        }
    }
    if let Some((file, part)) = last
        && let Some(Part::Lost(lost)) = reads.get_mut(file).and_then(|read| read.parts.get_mut(part))
    {
        lost.gaps = ends.gaps();
    }
}

/// How far logs reach: in what is kept, and in what is not although the key-value store has it.
struct Ends {
    kept: HashMap<LogId, u64>,
    known_to_keys: HashMap<LogId, u64>,
}

impl Ends {
    /// The records between both, by their logs in order.
    fn gaps(&self) -> Vec<(LogId, u64, u64)> {
        let gap = |(log, end): (&LogId, &u64)| {
            let kept = self.kept.get(log).copied().unwrap_or(0);
            (*log, kept, end.saturating_sub(kept))
        };
        let mut gaps: Vec<_> = self.known_to_keys.iter().map(gap).filter(|(_, _, count)| *count > 0).collect();
        gaps.sort_unstable();
        gaps
    }
}

/// Moves the ends of logs behind a transaction.
fn advance(ends: &mut HashMap<LogId, u64>, sound: &Sound) {
    for (append, &base) in sound.frame.body.appends.iter().zip(&sound.frame.base_offsets) {
        ends.insert(append.log, base + u64::from(append.count));
    }
    ends.retain(|log, _| !sound.frame.body.dropped_logs.contains(log));
}

/// Records of a log that follow each other as one run.
fn in_runs(mut records: Vec<(LogId, u64, u64)>) -> Vec<(LogId, u64, u64)> {
    records.sort_unstable();
    let mut runs: Vec<(LogId, u64, u64)> = Vec::new();
    for (log, base, count) in records {
        match runs.last_mut() {
            Some((of, first, counted)) if *of == log && *first + *counted == base => *counted += count,
            _ => runs.push((log, base, count)),
        }
    }
    runs
}

/// Finds the records of lost transactions: what is missing before the next append to the same log.
fn find_gaps(reads: &mut [Read<'_>], stores: &Stores, report: &mut RepairReport) -> Result<(), StorageError> {
    let mut ends = stores.logs.clone();
    // The last loss: its file and part.
    let mut last: Option<(usize, usize)> = None;
    for file in 0..reads.len() {
        for part in 0..reads[file].parts.len() {
            let mut gaps = Vec::new();
            match &reads[file].parts[part] {
                Part::Lost(_) => last = Some((file, part)),
                Part::Kept(sound) if sound.frame.place.lsn > stores.covered_lsn => {
                    gaps = gaps_before(sound, &mut ends, reads[file].file.number)?;
                }
                Part::Kept(_) => {}
            }
            for (log, base, count) in gaps {
                let loss = last.and_then(|(file, part)| reads[file].parts.get_mut(part));
                let Some(Part::Lost(lost)) = loss else {
                    return Err(does_not_fit(reads[file].file.number, log, base));
                };
                lost.gaps.push((log, base, count));
                report.lost_records.push((log, base, count));
            }
        }
    }
    Ok(())
}

/// Records that should stand before those of a frame.
fn gaps_before(
    sound: &Sound,
    ends: &mut HashMap<LogId, u64>,
    number: u64,
) -> Result<Vec<(LogId, u64, u64)>, StorageError> {
    let mut gaps = Vec::new();
    for (append, &base) in sound.frame.body.appends.iter().zip(&sound.frame.base_offsets) {
        let end = ends.entry(append.log).or_insert(0);
        if base < *end {
            return Err(does_not_fit(number, append.log, base));
        }
        if base > *end {
            gaps.push((append.log, *end, base - *end));
        }
        *end = base + u64::from(append.count);
    }
    ends.retain(|log, _| !sound.frame.body.dropped_logs.contains(log));
    Ok(gaps)
}

fn does_not_fit(number: u64, log: LogId, offset: u64) -> StorageError {
    let detail = format!(
        "offset {offset} of log {} does not fit what is before it, and no damage explains it; restore the data folder \
         from a backup",
        log.0
    );
    StorageError::Damaged { file: file_name(number), position: 0, detail }
}

/// The bytes of a file: frames that are kept as they are, but for the checksum of the one before that each repeats. Empty
/// transactions have the `time` of the one before.
fn content(read: &Read<'_>, mut time: Millis) -> Bytes {
    let mut bytes = file_header(read.file.number, read.first_lsn);
    let mut previous = u32_at(&bytes, 4);
    for part in &read.parts {
        time = part.time().unwrap_or(time);
        match part {
            Part::Kept(sound) => {
                previous = copy(&read.file.bytes, sound, previous, &mut bytes);
            }
            Part::Lost(lost) => {
                for lsn in lost.from..=lost.to {
                    // In the last of them: the first may be one that the stores have, which the next start does not read.
                    let gaps = if lsn == lost.to { &lost.gaps[..] } else { &[] };
                    let place =
                        Place { epoch: read.file.number, lsn, synced_lsn: lsn - 1, append_time: time, previous };
                    let bases: Vec<u64> = gaps.iter().map(|(_, base, _)| *base).collect();
                    previous = Body::new(filler(gaps)).write(place, &bases, &mut bytes);
                }
            }
        }
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes.into()
}

/// A transaction in the place of a lost one: empty records for those that it appended.
fn filler(gaps: &[(LogId, u64, u64)]) -> Transaction {
    let mut transaction = Transaction::new();
    for (log, _, count) in gaps {
        let mut records = EncodedRecords::default();
        (0..*count).for_each(|_| records.push(b"", b"", b""));
        transaction.append(*log, records);
    }
    transaction
}

/// Copies a frame behind another one; gives the checksum of its head.
fn copy(from: &Bytes, sound: &Sound, previous: u32, to: &mut Vec<u8>) -> u32 {
    let start = to.len();
    to.extend_from_slice(&from[sound.position..sound.position + sound.frame.length]);
    to[start + 40..start + 44].copy_from_slice(&previous.to_le_bytes());
    let head = frame::HEAD + 8 * sound.frame.base_offsets.len();
    let head_checksum = checksum(&to[start + 8..start + head]);
    to[start + 4..start + 8].copy_from_slice(&head_checksum.to_le_bytes());
    head_checksum
}
