//! From what a process left on disk to a running engine.
//!
//! First everything is checked, then anything is changed: a folder that is refused is left as it was found.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_types::LogId;

use crate::checkpoint::{CHECKPOINT, CheckpointRecord, LOG_PREFIX, LogRecord};
use crate::disk::{Disk, failed};
use crate::engine::{APPLIED_LSN, Engine, Published, Stores, lock};
use crate::error::StorageError;
use crate::frame::{Frame, u64_at};
use crate::journal::{self, Found, Journal};
use crate::keys::{KeyStore, own_key, prefix_range};
use crate::log::Log;
use crate::options::{Durability, RecoveryReport};
use crate::segment::{Reach, Segment, folder, path};
use crate::transaction::Receipt;

/// Opens the stores: checks them, cuts what a crash left unfinished, replays the journal.
pub(crate) fn recover(stores: Stores) -> Result<(Engine, RecoveryReport), StorageError> {
    let (disk, keys) = (Arc::clone(&stores.disk), Arc::clone(&stores.keys));
    disk.create_dir("journal").map_err(failed("create", "journal"))?;
    disk.sync_dir("").map_err(failed("sync", "the data folder"))?;
    let checkpoint = read_checkpoint(&*keys)?;
    let applied_lsn = read_applied_lsn(&*keys)?;
    let records = log_records(&*keys)?;
    let found = journal::recover(&*disk, checkpoint.covered(), |_| Ok(()))?;
    check_applied(applied_lsn, &found)?;
    found.sync(&*disk)?;
    let logs = restore_logs(&*disk, &records)?;
    // Without a sync after each group, the system's cache is what makes a write quick.
    let direct = stores.options.durability == Durability::Fsync;
    let journal = Journal::start(disk, &found, found.last_lsn, stores.options.journal_file_bytes, direct)?;
    let published = Published { lsn: checkpoint.lsn, append_time: checkpoint.append_time, ..Published::default() };
    let engine = Engine::new(stores, journal, logs, published);
    let replayed_transactions = replay(&engine, checkpoint, applied_lsn, found.last_lsn)?;
    {
        let published = lock(&engine.published);
        let mut queue = lock(&engine.queue);
        (queue.last_lsn, queue.last_time) = (published.lsn, published.append_time);
    }
    if replayed_transactions > 0 {
        engine.checkpoint(false)?;
    }
    Ok((engine, RecoveryReport { last_lsn: found.last_lsn, replayed_transactions, torn: found.torn }))
}

fn replay(engine: &Engine, checkpoint: CheckpointRecord, applied_lsn: u64, last_lsn: u64) -> Result<u64, StorageError> {
    if last_lsn == checkpoint.lsn {
        return Ok(0);
    }
    let mut replayed = 0;
    journal::recover(&*Arc::clone(&engine.disk), checkpoint.covered(), |frame| {
        let Frame { place, base_offsets, body, length, .. } = frame;
        let receipt = Receipt { lsn: place.lsn, append_time: place.append_time, base_offsets };
        check_offsets(engine, &receipt, &body.appends)?;
        engine.publish(&[(&receipt, &body)], place.lsn > applied_lsn)?;
        replayed += 1;
        // Files that a checkpoint made in the middle gives back were read already: only memory is at stake here.
        engine.since_checkpoint.fetch_add(length as u64, Ordering::Relaxed);
        Ok(())
    })?;
    Ok(replayed)
}

fn check_offsets(engine: &Engine, receipt: &Receipt, appends: &[crate::frame::Records]) -> Result<(), StorageError> {
    let mut expected: HashMap<LogId, u64> = HashMap::new();
    for (append, &base_offset) in appends.iter().zip(&receipt.base_offsets) {
        let next =
            expected.entry(append.log).or_insert_with(|| engine.log(append.log).map_or(0, |log| log.bounds().next));
        if *next != base_offset {
            return Err(StorageError::Damaged {
                file: folder(append.log),
                position: 0,
                detail: format!(
                    "transaction {} of the journal goes on at offset {base_offset}, but the log ends at {next}; restore \
                     the data folder from a backup",
                    receipt.lsn
                ),
            });
        }
        *next += u64::from(append.count);
    }
    Ok(())
}

/// The last checkpoint; all zero in a new folder.
pub(crate) fn read_checkpoint(keys: &dyn KeyStore) -> Result<CheckpointRecord, StorageError> {
    match keys.get(&own_key(CHECKPOINT))? {
        None => Ok(CheckpointRecord::default()),
        Some(bytes) => CheckpointRecord::decode(&bytes).ok_or_else(|| damaged_keys("the checkpoint's record")),
    }
}

pub(crate) fn read_applied_lsn(keys: &dyn KeyStore) -> Result<u64, StorageError> {
    match keys.get(&own_key(APPLIED_LSN))? {
        None => Ok(0),
        Some(bytes) if bytes.len() == 8 => Ok(u64_at(&bytes, 0)),
        Some(_) => Err(damaged_keys("the applied transaction's number")),
    }
}

fn damaged_keys(what: &str) -> StorageError {
    let detail = format!("{what} cannot be read; restore the data folder from a backup");
    StorageError::Damaged { file: "keys".to_owned(), position: 0, detail }
}

/// The key-value store may be behind the journal, never ahead of it.
fn check_applied(applied_lsn: u64, found: &Found) -> Result<(), StorageError> {
    if applied_lsn <= found.last_lsn {
        return Ok(());
    }
    let detail = format!(
        "the key-value store has transaction {applied_lsn}, but the journal ends with {}: the end of the journal is lost; \
         restore the data folder from a backup, or give it up: `millstream log repair`",
        found.last_lsn
    );
    Err(StorageError::Damaged { file: "journal".to_owned(), position: 0, detail })
}

/// What the checkpoint says about every log.
pub(crate) fn log_records(keys: &dyn KeyStore) -> Result<HashMap<LogId, LogRecord>, StorageError> {
    let prefix = own_key(LOG_PREFIX);
    let mut records = HashMap::new();
    for (key, value) in keys.scan(prefix_range(prefix.clone()), false, usize::MAX)? {
        let id = key.get(prefix.len()..).and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        let (Some(id), Some(record)) = (id, LogRecord::decode(&value)) else {
            return Err(damaged_keys("a log's record"));
        };
        records.insert(LogId(id), record);
    }
    Ok(records)
}

/// The logs as the checkpoint has them. What was written later is cut: the journal has it.
fn restore_logs(
    disk: &dyn Disk,
    records: &HashMap<LogId, LogRecord>,
) -> Result<HashMap<LogId, Arc<Log>>, StorageError> {
    let mut logs = HashMap::with_capacity(records.len());
    let mut later = Vec::new();
    for (&id, record) in records {
        let (segments, beyond) = segments(disk, id, record)?;
        check_end(&segments, record)?;
        later.extend(beyond);
        logs.insert(id, Arc::new(Log::new(id, record.bounds, segments)));
    }
    for name in later {
        disk.unlink(&name).map_err(failed("unlink", &name))?;
    }
    for (&id, record) in records.iter().filter(|(_, record)| record.segment_bytes > 0) {
        let name = path(id, record.segment_base);
        let file = disk.open(&name).map_err(failed("open", &name))?;
        if file.length().map_err(failed("read", &name))? > record.segment_bytes {
            file.set_length(record.segment_bytes).map_err(failed("truncate", &name))?;
        }
    }
    for (name, _) in disk.list("logs").map_err(failed("list", "logs"))? {
        if name.parse().is_ok_and(|id| !records.contains_key(&LogId(id))) {
            let folder = format!("logs/{name}");
            disk.remove_dir(&folder).map_err(failed("remove", &folder))?;
        }
    }
    Ok(logs)
}

/// The segments of a log that count, and the names of those that do not. The last one may lack its end: see [`check_end`].
pub(crate) fn segments(
    disk: &dyn Disk,
    id: LogId,
    record: &LogRecord,
) -> Result<(Vec<Arc<Segment>>, Vec<String>), StorageError> {
    let folder = folder(id);
    let (mut files, mut later) = (Vec::new(), Vec::new());
    for (name, length) in disk.list(&folder).map_err(failed("list", &folder))? {
        let Some(base) = name.strip_suffix(".log").and_then(|base| base.parse::<u64>().ok()) else { continue };
        if record.segment_bytes == 0 || base > record.segment_base {
            later.push(path(id, base));
        } else if base == record.segment_base {
            files.push((base, length.min(record.segment_bytes)));
        } else {
            files.push((base, length));
        }
    }
    let ends = files.iter().skip(1).map(|(base, _)| *base).chain([record.bounds.next]);
    let segment =
        |(&(base, bytes), next): (&(u64, u64), u64)| Arc::new(Segment::existing(id, base, Reach { bytes, next }));
    let segments: Vec<_> = files.iter().zip(ends).map(segment).collect();
    let bounds = record.bounds;
    let missing = record.segment_bytes > 0 && segments.last().is_none_or(|last| last.base != record.segment_base);
    let begins_late = bounds.first < bounds.next && segments.first().is_none_or(|first| first.base > bounds.first);
    if missing || begins_late {
        let detail = format!("records from offset {} on are missing; restore the folder from a backup", bounds.first);
        return Err(StorageError::Damaged { file: folder, position: 0, detail });
    }
    Ok((segments, later))
}

/// Refuses a log whose last segment lacks what the checkpoint wrote: records go on behind what is there.
pub(crate) fn check_end(segments: &[Arc<Segment>], record: &LogRecord) -> Result<(), StorageError> {
    let expected = record.segment_bytes;
    match segments.last() {
        Some(last) if last.written() < expected => {
            let found = last.written();
            let detail = format!(
                "expected at least {expected} bytes, which the last checkpoint wrote, found {found}; restore the file from a \
                 backup, or put back what the journal still has and see what is lost: `millstream log repair`"
            );
            Err(StorageError::Damaged { file: last.path.clone(), position: found, detail })
        }
        _ => Ok(()),
    }
}
