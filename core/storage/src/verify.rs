//! Reading a whole data folder without changing it: checksums of everything, and what the journal holds.

use std::path::Path;

use millstream_types::{LogId, Millis};

use crate::damage::SegmentDamage;
use crate::disk::{Disk, RealDisk, failed};
use crate::error::StorageError;
use crate::frame::Frame;
use crate::journal;
use crate::keys::FjallKeys;
use crate::recovery::{check_end, log_records, read_checkpoint, segments};
use crate::storage::take_folder;

/// Bytes of the key-value store's cache while it is only looked at.
const CACHE_BYTES: u64 = 1 << 20;

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The last transaction of the checkpoint.
    pub checkpoint_lsn: u64,
    /// The last transaction of the journal.
    pub last_lsn: u64,
    /// Transactions that only the journal has.
    pub journal_transactions: u64,
    /// Bytes of an interrupted write at the journal's end, which the next start cuts.
    pub torn_bytes: u64,
    /// Logs of the checkpoint.
    pub logs: u64,
    /// Records in segments that can be read.
    pub records: u64,
    /// Records in segments that a repair gave up.
    pub lost_records: u64,
    /// Damaged parts of segments: all else can be read.
    pub damaged: Vec<SegmentDamage>,
}

/// A transaction of the journal as [`dump`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedTransaction {
    /// Its number.
    pub lsn: u64,
    /// When it was ordered.
    pub append_time: Millis,
    /// Log, first offset, records and bytes of each append.
    pub appends: Vec<(LogId, u64, u32, usize)>,
    /// Keyspace and key of each write, and the value's length; `None` for a deletion.
    pub writes: Vec<(String, Vec<u8>, Option<usize>)>,
    /// Logs that begin later from here on.
    pub trims: Vec<(LogId, u64)>,
    /// Logs that end here.
    pub dropped_logs: Vec<LogId>,
    /// Keyspaces that end here.
    pub dropped_keyspaces: Vec<String>,
}

/// Reads the journal and every segment of a data folder that no process uses, and checks each checksum and number.
///
/// # Errors
/// [`StorageError::Damaged`] for what keeps a node from starting; [`StorageError::InUse`], [`StorageError::Io`].
pub fn verify(folder: &Path) -> Result<VerifyReport, StorageError> {
    let _lock_file = take_folder(folder)?;
    let disk = RealDisk::new(folder);
    let keys = FjallKeys::open(&folder.join("keys"), CACHE_BYTES)?;
    let checkpoint = read_checkpoint(&keys)?;
    let mut report = VerifyReport { checkpoint_lsn: checkpoint.lsn, ..VerifyReport::default() };
    let found = journal::recover(&disk, checkpoint.covered(), |_| {
        report.journal_transactions += 1;
        Ok(())
    })?;
    report.last_lsn = found.last_lsn;
    report.torn_bytes = found.torn.map_or(0, |torn| torn.bytes);
    for (id, record) in log_records(&keys)? {
        report.logs += 1;
        let (segments, _) = segments(&disk, id, &record)?;
        check_end(&segments, &record)?;
        for segment in segments {
            let (records, lost) = segment.verify(&disk)?;
            report.records += records;
            report.lost_records += lost;
            report.damaged.extend(segment.damaged().iter().map(|damaged| damaged.shown(&segment)));
        }
    }
    Ok(report)
}

/// Hands on every transaction that the journal files still hold, covered by a checkpoint or not, in order.
///
/// # Errors
/// As [`verify`]; journal files are read one by one, without asking whether they follow each other.
pub fn dump(folder: &Path, mut each: impl FnMut(DumpedTransaction)) -> Result<(), StorageError> {
    let _lock_file = take_folder(folder)?;
    let disk = RealDisk::new(folder);
    for (name, _) in disk.list("journal").map_err(failed("list", "journal"))? {
        let Some(number) = name.strip_suffix(".wal").and_then(|number| number.parse().ok()) else { continue };
        let bytes = journal::read_file(&disk, number)?;
        let first_lsn = journal::read_header(&bytes, number)?;
        journal::scan(&bytes, number, first_lsn, |frame| {
            each(dumped(frame));
            Ok(())
        })?;
    }
    Ok(())
}

fn dumped(frame: Frame) -> DumpedTransaction {
    let Frame { place, base_offsets, body, .. } = frame;
    let append = |(append, base): (&crate::frame::Records, &u64)| (append.log, *base, append.count, append.bytes.len());
    let write = |write: &crate::transaction::Write| {
        (write.keyspace.name().to_owned(), write.key.to_vec(), write.value.as_ref().map(|value| value.len()))
    };
    DumpedTransaction {
        lsn: place.lsn,
        append_time: place.append_time,
        appends: body.appends.iter().zip(&base_offsets).map(append).collect(),
        writes: body.writes.iter().map(write).collect(),
        trims: body.trims,
        dropped_logs: body.dropped_logs,
        dropped_keyspaces: body.dropped_keyspaces.iter().map(|keyspace| keyspace.name().to_owned()).collect(),
    }
}
