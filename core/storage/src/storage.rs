//! The storage engine as every other crate sees it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use millstream_types::{Clock, LogId, Millis, RecordBatch};
use tokio::sync::watch;

use crate::damage::SegmentDamage;
use crate::disk::RealDisk;
use crate::engine::{Engine, Stores, lock};
use crate::error::StorageError;
use crate::keys::{FjallKeys, KeyRange, prefix_range, user_key, user_prefix};
use crate::memory::Model;
use crate::options::{LogBounds, RecoveryReport, StorageOptions};
use crate::recovery;
use crate::threads::Threads;
use crate::transaction::{Keyspace, Receipt, Ticket, Transaction};

/// The storage engine. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Storage {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Memory(Arc<Model>),
    Disk(Arc<Running>),
}

/// An engine with its threads; ends them with the last clone of its [`Storage`].
struct Running {
    engine: Arc<Engine>,
    threads: Mutex<Option<Threads>>,
    /// Holds the folder until everything else is gone.
    _lock_file: File,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(threads) = lock(&self.threads).take() {
            threads.stop(&self.engine);
        }
    }
}

impl Storage {
    /// A store that lives in memory only.
    #[must_use]
    pub fn in_memory(clock: Arc<dyn Clock>) -> Self {
        Self { backend: Backend::Memory(Arc::new(Model::new(clock))) }
    }

    /// Opens a data folder, or makes it: cuts what a crash left unfinished, replays the journal, starts two threads.
    /// Reads the disk: not for an async worker.
    ///
    /// # Errors
    /// [`StorageError::InUse`]; [`StorageError::Damaged`] when durable data is missing or does not match its checksum;
    /// [`StorageError::Io`], [`StorageError::DiskFull`].
    pub fn open(options: StorageOptions, clock: Arc<dyn Clock>) -> Result<(Self, RecoveryReport), StorageError> {
        let lock_file = take_folder(&options.folder)?;
        let disk = Arc::new(RealDisk::new(&options.folder));
        let keys = Arc::new(FjallKeys::open(&options.folder.join("keys"), options.cache_bytes)?);
        let (engine, report) = recovery::recover(Stores { options, clock, disk, keys })?;
        let engine = Arc::new(engine);
        let threads = Mutex::new(Some(Threads::start(&engine)?));
        let running = Running { engine, threads, _lock_file: lock_file };
        Ok((Self { backend: Backend::Disk(Arc::new(running)) }, report))
    }

    /// Refuses new transactions, commits those that wait and makes a checkpoint. Reading goes on working; the folder is
    /// free when the last clone is gone. Blocks: not for an async worker. A second call does nothing.
    ///
    /// # Errors
    /// As the checkpoint: [`StorageError::Io`], [`StorageError::DiskFull`]. Nothing acknowledged is lost then: the next
    /// start replays the journal.
    pub fn close(&self) -> Result<(), StorageError> {
        let Backend::Disk(running) = &self.backend else { return Ok(()) };
        let Some(threads) = lock(&running.threads).take() else { return Ok(()) };
        threads.stop(&running.engine);
        let refusal = lock(&running.engine.queue).poison.clone();
        match refusal {
            Some(reason) => Err(StorageError::Poisoned { reason }),
            None => running.engine.checkpoint(true),
        }
    }

    /// Orders a transaction: gives records their offsets and append time and hands it to the committer. Never blocks on
    /// the disk. Two submits by one thread keep their order.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`] when too much waits for the disk, [`StorageError::TransactionTooLarge`],
    /// [`StorageError::Poisoned`], [`StorageError::DiskFull`], [`StorageError::Closed`]. Nothing was ordered then.
    pub fn submit(&self, transaction: Transaction) -> Result<Ticket, StorageError> {
        match &self.backend {
            Backend::Memory(model) => model.submit(transaction),
            Backend::Disk(running) => running.engine.submit(transaction),
        }
    }

    /// [`Storage::submit`], then waits until it is durable.
    ///
    /// # Errors
    /// As `submit` and [`Ticket::durable`].
    pub async fn commit(&self, transaction: Transaction) -> Result<Receipt, StorageError> {
        self.submit(transaction)?.durable().await
    }

    /// The durable value of a key. May read the disk: not for an async worker.
    ///
    /// # Errors
    /// [`StorageError::Io`] or [`StorageError::Damaged`].
    pub fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        match &self.backend {
            Backend::Memory(model) => model.get(keyspace, key),
            Backend::Disk(running) => running.engine.keys.get(&user_key(keyspace, key)),
        }
    }

    /// The value of a key with all submitted transactions applied, durable or not: what a condition is checked against
    /// before the transaction that depends on it is submitted. Never to be shown to a client. May read the disk.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub fn get_submitted(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        match &self.backend {
            Backend::Memory(model) => model.get(keyspace, key),
            Backend::Disk(running) => running.engine.get_submitted(keyspace, key),
        }
    }

    /// Durable keys and values of a range in key order (falling when `reverse`), at most `limit`. May read the disk.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub fn scan(
        &self,
        keyspace: &Keyspace,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        match &self.backend {
            Backend::Memory(model) => model.scan(keyspace, range, reverse, limit),
            Backend::Disk(running) => {
                let prefix_bytes = user_prefix(keyspace).len();
                let Some(range) = physical_range(keyspace, range) else { return Ok(Vec::new()) };
                let mut found = running.engine.keys.scan(range, reverse, limit)?;
                found.iter_mut().for_each(|(key, _)| *key = key.slice(prefix_bytes..));
                Ok(found)
            }
        }
    }

    /// Durable records from `offset` on: whole batches, of which the first may begin before `offset` (callers skip), until
    /// `max_bytes` are reached (at least one batch when there is one). Empty at the end of the log. Where a segment is damaged,
    /// batches stand for the records that are lost, see [`RecordBatch::is_lost`]. May read the disk.
    ///
    /// # Errors
    /// [`StorageError::OffsetGone`] when retention removed `offset`; [`StorageError::Io`]; [`StorageError::Damaged`] when a
    /// segment is not there.
    pub fn read(&self, log: LogId, offset: u64, max_bytes: usize) -> Result<Vec<RecordBatch>, StorageError> {
        match &self.backend {
            Backend::Memory(model) => model.read(log, offset, max_bytes),
            Backend::Disk(running) => match running.engine.log(log) {
                Some(log) => log.read(&*running.engine.disk, offset, max_bytes),
                None => Ok(Vec::new()),
            },
        }
    }

    /// How far a log reaches; all zero for a log that never had a record.
    #[must_use]
    pub fn bounds(&self, log: LogId) -> LogBounds {
        match &self.backend {
            Backend::Memory(model) => model.bounds(log),
            Backend::Disk(running) => running.engine.log(log).map_or_else(LogBounds::default, |log| log.bounds()),
        }
    }

    /// The first offset whose append time is `time` or later; the next offset when there is none. May read the disk.
    ///
    /// # Errors
    /// [`StorageError::Io`] or [`StorageError::Damaged`].
    pub fn offset_at_time(&self, log: LogId, time: Millis) -> Result<u64, StorageError> {
        match &self.backend {
            Backend::Memory(model) => model.offset_at_time(log, time),
            Backend::Disk(running) => match running.engine.log(log) {
                Some(log) => log.offset_at_time(&*running.engine.disk, time),
                None => Ok(0),
            },
        }
    }

    /// The offset from which on a log keeps about `bytes`, and no less: the first one when it has less than that. May read the
    /// disk.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn offset_within(&self, log: LogId, bytes: u64) -> Result<u64, StorageError> {
        match &self.backend {
            Backend::Memory(model) => Ok(model.offset_within(log, bytes)),
            Backend::Disk(running) => match running.engine.log(log) {
                Some(log) => log.offset_within(&*running.engine.disk, bytes),
                None => Ok(0),
            },
        }
    }

    /// Follows the end of a log: the value is [`LogBounds::next`], changed when records become durable.
    #[must_use]
    pub fn watch(&self, log: LogId) -> watch::Receiver<u64> {
        match &self.backend {
            Backend::Memory(model) => model.watch(log),
            Backend::Disk(running) => running.engine.log_or_new(log).next.subscribe(),
        }
    }

    /// A time such that every record that is not readable yet will have this append time or a later one. Read it first,
    /// then read logs to their end: what was read is complete up to this time.
    #[must_use]
    pub fn frontier(&self) -> Millis {
        match &self.backend {
            Backend::Memory(model) => model.frontier(),
            Backend::Disk(running) => running.engine.frontier(),
        }
    }

    /// The damaged parts of segments that reads have found since the start: their records are lost, unless they are copied.
    #[must_use]
    pub fn segment_damage(&self) -> Vec<SegmentDamage> {
        match &self.backend {
            Backend::Memory(_) => Vec::new(),
            Backend::Disk(running) => running.engine.segment_damage(),
        }
    }

    /// Bytes that submitted transactions keep waiting for the disk.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        match &self.backend {
            Backend::Memory(_) => 0,
            Backend::Disk(running) => lock(&running.engine.queue).waiting_bytes,
        }
    }
}

/// Makes the folder when missing and locks it against other processes.
pub(crate) fn take_folder(folder: &Path) -> Result<File, StorageError> {
    let name = folder.display().to_string();
    let failed =
        |error: std::io::Error| StorageError::Io { action: "open", file: name.clone(), reason: error.to_string() };
    fs::create_dir_all(folder).map_err(failed)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse { folder: name.clone() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// `None` for a range that holds nothing.
fn physical_range(keyspace: &Keyspace, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Option<KeyRange> {
    let (all_from, all_to) = prefix_range(user_prefix(keyspace));
    if let (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) = range {
        let both = matches!(range, (Bound::Included(_), Bound::Included(_)));
        if from > to || (from == to && !both) {
            return None;
        }
    }
    let own = |key: &[u8]| user_key(keyspace, key);
    let from = match range.0 {
        Bound::Unbounded => all_from,
        bound => bound.map(own),
    };
    let to = match range.1 {
        Bound::Unbounded => all_to,
        bound => bound.map(own),
    };
    Some((from, to))
}
