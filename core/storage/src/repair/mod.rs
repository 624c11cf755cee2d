//! Mending a data folder whose journal is damaged in its middle, or whose segments are, by giving up what cannot be read.
//!
//! Nothing is given up silently: [`repair`] first tells what is lost, changes the files only when asked to, and keeps the old
//! ones in the folder `damaged`. The key-value store is not repaired: it comes from a backup.
//! Read next: `salvage.rs` (what can still be read), `rebuild.rs` (the journal without the rest), `segments.rs`.

mod rebuild;
mod salvage;
pub(crate) mod segments;

use std::path::Path;

use bytes::Bytes;
use millstream_types::LogId;

use crate::damage::SegmentDamage;
use crate::disk::{Disk, RealDisk, failed};
use crate::error::StorageError;
use crate::journal;
use crate::keys::FjallKeys;
use crate::recovery::{log_records, read_applied_lsn, read_checkpoint};
use crate::storage::take_folder;
use rebuild::{Rebuilt, Stores};
use salvage::JournalFile;
use segments::DamagedSegments;

/// Bytes of the key-value store's cache while it is only looked at.
const CACHE_BYTES: u64 = 1 << 20;

/// Where files are kept that were replaced.
const ASIDE: &str = "damaged";

/// What is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Everything from the first damage on: what is left is as it was at one moment.
    Truncate,
    /// What cannot be read, and nothing else. Later transactions stay, though they may have been made knowing of lost ones.
    /// Lost records of logs become empty ones, so that all others keep their numbers.
    Skip,
}

/// What a repair gives up, and which files it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Where the journal cannot be read.
    pub damages: Vec<Damage>,
    /// Transactions that are lost; those that the stores have already are not.
    pub lost_transactions: u64,
    /// Log, first offset and number of records that are lost, as far as it is known.
    pub lost_records: Vec<(LogId, u64, u64)>,
    /// Keys that readable transactions set or deleted which are given up.
    pub lost_writes: u64,
    /// Transactions of which it is not known what keys they set or deleted, and which the key-value store does not have.
    pub unknown_writes: u64,
    /// The last transaction that the key-value store has, when it is a lost one: its keys are there, its records are not.
    pub keys_ahead: Option<u64>,
    /// Journal files that are written anew, and those that are removed. The old ones are kept in the folder `damaged`.
    pub rewritten: Vec<String>,
    /// Journal files that are removed.
    pub removed: Vec<String>,
    /// Damaged parts of segments. The segments are written anew; the old ones are kept in the folder `damaged`.
    pub segments: Vec<SegmentDamage>,
}

/// A part of the journal that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where it begins.
    pub position: u64,
    /// The first and the last transaction that should be there.
    pub transactions: (u64, u64),
}

/// Tells what a repair of a data folder gives up that no process uses and, with `write`, does it.
///
/// # Errors
/// [`StorageError::InUse`]; [`StorageError::Damaged`] for what this cannot repair; [`StorageError::Io`].
pub fn repair(folder: &Path, how: Repair, write: bool) -> Result<RepairReport, StorageError> {
    let _lock_file = take_folder(folder)?;
    let disk = RealDisk::new(folder);
    let keys = FjallKeys::open(&folder.join("keys"), CACHE_BYTES)?;
    let checkpoint = read_checkpoint(&keys)?;
    let records = log_records(&keys)?;
    let stores = Stores {
        covered_lsn: checkpoint.lsn,
        covered_time: checkpoint.append_time,
        applied_lsn: read_applied_lsn(&keys)?,
        logs: records.iter().map(|(log, record)| (*log, record.bounds.next)).collect(),
    };
    let files = read_files(&disk, checkpoint.covered().number)?;
    let Rebuilt { files: rebuilt, mut report } = rebuild::rebuild(&files, stores, how)?;
    let damaged = DamagedSegments::find(&disk, &records)?;
    report.segments = damaged.shown();
    if write && !report.segments.is_empty() {
        // Before the journal changes, which has copies.
        damaged.mend(&disk)?;
        if let Some(left) = DamagedSegments::find(&disk, &records)?.shown().into_iter().next() {
            let detail = "it could not be mended; restore the file from a backup".to_owned();
            return Err(StorageError::Damaged { file: left.file, position: left.position, detail });
        }
    }
    if write && !(report.rewritten.is_empty() && report.removed.is_empty()) {
        replace(&disk, &files, &rebuilt)?;
        // What was written has to be what a start takes.
        journal::recover(&disk, checkpoint.covered(), |_| Ok(()))?;
    }
    Ok(report)
}

/// The journal files behind the checkpoint.
fn read_files(disk: &dyn Disk, covered: u64) -> Result<Vec<JournalFile>, StorageError> {
    let numbers = journal::list(disk, &mut journal::Found::default())?;
    let needed = numbers.into_iter().filter(|number| *number > covered);
    needed.map(|number| Ok(JournalFile { number, bytes: journal::read_file(disk, number)? })).collect()
}

/// Puts rebuilt files in the place of the old ones, which are copied aside before. The last ones go first: a crash leaves a
/// journal whose damage is the one that it had.
fn replace(disk: &dyn Disk, old: &[JournalFile], new: &[(u64, Option<Bytes>)]) -> Result<(), StorageError> {
    for (number, _) in new {
        let Some(file) = old.iter().find(|file| file.number == *number) else { continue };
        keep_aside(disk, &format!("{number:020}"), "wal", &file.bytes)?;
    }
    for (number, bytes) in new.iter().rev() {
        let name = journal::file_name(*number);
        match bytes {
            None => disk.unlink(&name).map_err(failed("unlink", &name))?,
            Some(bytes) => {
                let written = format!("journal/repaired-{number:020}");
                write_file(disk, &written, bytes)?;
                disk.rename(&written, &name).map_err(failed("rename", &name))?;
            }
        }
        disk.sync_dir("journal").map_err(failed("sync", "journal"))?;
    }
    Ok(())
}

fn write_file(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    let file = disk.create(name).map_err(failed("create", name))?;
    file.write_at(bytes, 0).map_err(failed("write", name))?;
    file.sync().map_err(failed("sync", name))
}

/// Keeps the content of a file in the folder `damaged`, under a name that no earlier repair has taken.
fn keep_aside(disk: &dyn Disk, name: &str, ending: &str, content: &[u8]) -> Result<(), StorageError> {
    disk.create_dir(ASIDE).map_err(failed("create", ASIDE))?;
    let taken = disk.list(ASIDE).map_err(failed("list", ASIDE))?;
    let before = taken.iter().filter(|(taken, _)| taken.starts_with(name)).count();
    write_file(disk, &format!("{ASIDE}/{name}.{before}.{ending}"), content)?;
    disk.sync_dir(ASIDE).map_err(failed("sync", ASIDE))?;
    disk.sync_dir("").map_err(failed("sync", "the data folder"))
}
