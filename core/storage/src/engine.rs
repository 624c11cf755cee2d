//! The way of a transaction: ordered at `submit`, written and synced with its neighbours by the committer, published to
//! logs and the key-value store, acknowledged.
//!
//! The commit in flight is the batching window: what arrives meanwhile is the next group. Nothing here starts a thread;
//! `threads.rs` does, and tests drive the steps by hand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use millstream_types::{Clock, LogId, Millis, RecordBatch};
use tokio::sync::oneshot;

use crate::blocks::Blocks;
use crate::damage::SegmentDamage;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::frame::{Body, Place};
use crate::journal::Journal;
use crate::keys::{Change, KeyStore, own_key, prefix_range, user_key, user_prefix};
use crate::log::{Log, TailBytes};
use crate::options::{Durability, LogBounds, StorageOptions};
use crate::queue::{Pending, Queue, Submitted};
use crate::segment::Segment;
use crate::transaction::{Keyspace, Receipt, Ticket, Transaction};

/// Bytes of one commit at most: a larger one makes those who wait behind it wait longer, and writes no faster.
const COMMIT_BYTES_MAX: usize = 8 << 20;
/// Bytes of one transaction's frame at most.
const TRANSACTION_BYTES_MAX: usize = 16 << 20;
/// Bytes of a name of a keyspace at most.
const KEYSPACE_NAME_MAX: usize = 255;
/// Bytes of a key at most.
const KEY_BYTES_MAX: usize = 64 << 10;
/// Keys removed in one step when a keyspace is dropped.
const DROP_STEP: usize = 10_000;
/// Unwritten record bytes, in checkpoints' worth, at which commits wait for the checkpoint.
const CHECKPOINTS_BEHIND_MAX: u64 = 4;

/// The engine behind [`crate::Storage`].
pub(crate) struct Engine {
    pub(crate) options: StorageOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) queue: Mutex<Queue>,
    /// Wakes the committer.
    pub(crate) work: Condvar,
    pub(crate) logs: RwLock<HashMap<LogId, Arc<Log>>>,
    pub(crate) published: Mutex<Published>,
    pub(crate) tail_bytes: TailBytes,
    /// Journal bytes since the last checkpoint began.
    pub(crate) since_checkpoint: AtomicU64,
    /// Whether the disk has less room than it should.
    pub(crate) disk_full: AtomicBool,
    /// Others than the committer that want the journal.
    journal_wanted: AtomicUsize,
    /// One checkpoint at a time.
    pub(crate) checkpointing: Mutex<()>,
}

/// What an engine works with.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) options: StorageOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) keys: Arc<dyn KeyStore>,
}

/// How far the stores are. Its lock is held while a group is published, so that a checkpoint sees whole groups.
#[derive(Default)]
pub(crate) struct Published {
    pub(crate) lsn: u64,
    pub(crate) append_time: Millis,
    /// Logs that changed since the last checkpoint.
    pub(crate) changed: HashSet<LogId>,
    /// Logs dropped since the last checkpoint.
    pub(crate) dropped: HashSet<LogId>,
}

/// A lock whose holders keep it sound: a panic elsewhere does not make it unusable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// An engine at the state of a checkpoint.
    pub(crate) fn new(stores: Stores, journal: Journal, logs: HashMap<LogId, Arc<Log>>, published: Published) -> Self {
        let Stores { options, clock, disk, keys } = stores;
        Self {
            options,
            clock,
            disk,
            keys,
            journal: Mutex::new(journal),
            queue: Mutex::default(),
            work: Condvar::new(),
            logs: RwLock::new(logs),
            published: Mutex::new(published),
            tail_bytes: TailBytes::default(),
            since_checkpoint: AtomicU64::new(0),
            disk_full: AtomicBool::new(false),
            journal_wanted: AtomicUsize::new(0),
            checkpointing: Mutex::new(()),
        }
    }

    /// See [`crate::Storage::submit`].
    pub(crate) fn submit(&self, transaction: Transaction) -> Result<Ticket, StorageError> {
        let body = limited(transaction)?;
        let bytes = body.frame_bytes();
        let (sender, durable) = oneshot::channel();
        let now = self.clock.now();
        let mut queue = lock(&self.queue);
        if let Some(refusal) = queue.refusal() {
            return Err(refusal);
        }
        if self.disk_full.load(Ordering::Relaxed) {
            return Err(StorageError::DiskFull);
        }
        let limit_bytes = self.options.waiting_bytes_max;
        if queue.waiting_bytes > 0 && queue.waiting_bytes + bytes > limit_bytes {
            return Err(StorageError::Overloaded { waiting_bytes: queue.waiting_bytes, limit_bytes });
        }
        queue.waiting_bytes += bytes;
        queue.last_lsn += 1;
        queue.last_time = queue.last_time.max(now);
        let (lsn, append_time) = (queue.last_lsn, queue.last_time);
        let base_offsets = self.place(&mut queue, &body);
        queue.overlay_writes(&body, lsn);
        let receipt = Receipt { lsn, append_time, base_offsets };
        queue.pending.push_back(Pending { receipt: receipt.clone(), body, durable: sender });
        if std::mem::take(&mut queue.committer_sleeps) {
            self.work.notify_one();
        }
        Ok(Ticket { receipt, durable })
    }

    fn place(&self, queue: &mut Queue, body: &Body) -> Vec<u64> {
        let mut base_offsets = Vec::with_capacity(body.appends.len());
        for append in &body.appends {
            let next = queue
                .next_offsets
                .entry(append.log)
                .or_insert_with(|| self.log(append.log).map_or(0, |log| log.bounds().next));
            base_offsets.push(*next);
            *next += u64::from(append.count);
        }
        for log in &body.dropped_logs {
            queue.next_offsets.insert(*log, 0);
        }
        base_offsets
    }

    /// Writes, syncs and publishes one group; false when nothing waited.
    pub(crate) fn commit_once(&self, blocks: &mut Blocks) -> bool {
        let mut journal = lock(&self.journal);
        let Some(first_bytes) = lock(&self.queue).pending.front().map(|pending| pending.body.frame_bytes()) else {
            return false;
        };
        let result = journal.room(first_bytes).and_then(|(room, room_bytes)| {
            let group = self.take_group(COMMIT_BYTES_MAX.min(room_bytes));
            let mut place = Place {
                epoch: room.epoch,
                lsn: 0,
                synced_lsn: room.synced_lsn,
                append_time: 0,
                previous: room.previous,
            };
            journal.begin(blocks, group.iter().map(|pending| pending.body.frame_bytes()).sum());
            for Pending { receipt, body, .. } in &group {
                (place.lsn, place.append_time) = (receipt.lsn, receipt.append_time);
                place.previous = body.write(place, &receipt.base_offsets, blocks.end());
            }
            self.since_checkpoint.fetch_add(blocks.length() as u64, Ordering::Relaxed);
            let written =
                journal.write(blocks, place.lsn, place.previous).and_then(|()| match self.options.durability {
                    Durability::Fsync => journal.sync(),
                    // The key-value store must never be ahead of the journal, and brings keys to disk when it likes.
                    Durability::Interval(_) | Durability::Os if changes_keys(&group) => journal.sync(),
                    Durability::Interval(_) | Durability::Os => Ok(()),
                });
            match written {
                Ok(()) => Ok(group),
                Err(error) => {
                    refuse(group, &error);
                    Err(error)
                }
            }
        });
        drop(journal);
        match result {
            Ok(group) => self.finish(group),
            Err(error) => self.fail(&error),
        }
        true
    }

    /// The next transactions in order, as many as have room.
    fn take_group(&self, room_bytes: usize) -> Vec<Pending> {
        let mut queue = lock(&self.queue);
        let mut group = Vec::with_capacity(queue.pending.len().min(1024));
        let mut size = 0;
        while let Some(pending) = queue.pending.front() {
            size += pending.body.frame_bytes();
            if size > room_bytes && !group.is_empty() {
                break;
            }
            group.extend(queue.pending.pop_front());
        }
        queue.committing_since = group.first().map(|first: &Pending| first.receipt.append_time);
        group
    }

    /// Publishes a durable group and acknowledges it.
    fn finish(&self, group: Vec<Pending>) {
        let parts: Vec<_> = group.iter().map(|pending| (&pending.receipt, &pending.body)).collect();
        if let Err(error) = self.publish(&parts, true) {
            // It is durable but cannot be read: after a restart it will be. Until then nobody may build on it.
            refuse(group, &error);
            return self.poison(&error);
        }
        let mut queue = lock(&self.queue);
        queue.committing_since = None;
        for Pending { receipt, body, .. } in &group {
            queue.waiting_bytes = queue.waiting_bytes.saturating_sub(body.frame_bytes());
            queue.forget(body, receipt.lsn);
        }
        drop(queue);
        for pending in group {
            // A receiver that is gone does not want to know.
            let _ = pending.durable.send(Ok(()));
        }
    }

    /// Brings durable transactions into the key-value store (`keys_too`) and the logs.
    pub(crate) fn publish(&self, group: &[(&Receipt, &Body)], keys_too: bool) -> Result<(), StorageError> {
        let mut published = lock(&self.published);
        if keys_too {
            self.apply_keys(group)?;
        }
        let mut announced: Vec<Arc<Log>> = Vec::new();
        for (receipt, body) in group {
            for (append, &base_offset) in body.appends.iter().zip(&receipt.base_offsets) {
                let log = self.log_or_new(append.log);
                if append.count > 0 {
                    let bytes = append.bytes.clone();
                    let append_time = receipt.append_time;
                    log.push(RecordBatch { base_offset, count: append.count, append_time, bytes }, &self.tail_bytes);
                }
                published.changed.insert(append.log);
                if announced.last().is_none_or(|last| last.id != log.id) {
                    announced.push(log);
                }
            }
            for &(id, first) in &body.trims {
                if let Some(log) = self.log(id) {
                    log.trim(first);
                    published.changed.insert(id);
                }
            }
            for id in &body.dropped_logs {
                if let Some(log) = self.logs.write().unwrap_or_else(PoisonError::into_inner).remove(id) {
                    log.state().clear(&self.tail_bytes);
                }
                published.changed.remove(id);
                published.dropped.insert(*id);
            }
            (published.lsn, published.append_time) = (receipt.lsn, receipt.append_time);
        }
        announced.iter().for_each(|log| log.announce());
        Ok(())
    }

    /// One batch for the group, so that each transaction's keys change as one.
    fn apply_keys(&self, group: &[(&Receipt, &Body)]) -> Result<(), StorageError> {
        let mut changes: BTreeMap<Vec<u8>, Option<Bytes>> = BTreeMap::new();
        let mut last_lsn = None;
        for (receipt, body) in group {
            for write in &body.writes {
                changes.insert(user_key(&write.keyspace, &write.key), write.value.clone());
                last_lsn = Some(receipt.lsn);
            }
            for keyspace in &body.dropped_keyspaces {
                let prefix = user_prefix(keyspace);
                changes.retain(|key, _| !key.starts_with(&prefix));
                self.remove_all(prefix)?;
                last_lsn = Some(receipt.lsn);
            }
        }
        let Some(lsn) = last_lsn else { return Ok(()) };
        let mut changes: Vec<Change> = changes.into_iter().collect();
        changes.push((own_key(APPLIED_LSN), Some(Bytes::copy_from_slice(&lsn.to_le_bytes()))));
        self.keys.apply(changes)
    }

    /// Not one batch: a crash in the middle repeats it, since the applied lsn moves afterwards only.
    fn remove_all(&self, prefix: Vec<u8>) -> Result<(), StorageError> {
        let range = prefix_range(prefix);
        loop {
            let keys = self.keys.scan(range.clone(), false, DROP_STEP)?;
            if keys.is_empty() {
                return Ok(());
            }
            self.keys.apply(keys.into_iter().map(|(key, _)| (key.to_vec(), None)).collect())?;
        }
    }

    /// After a failed commit: no room is a passing state, anything else is the end.
    fn fail(&self, error: &StorageError) {
        if !matches!(error, StorageError::DiskFull) {
            return self.poison(error);
        }
        self.disk_full.store(true, Ordering::Relaxed);
        let published_lsn = lock(&self.published).lsn;
        let refused = lock(&self.queue).turn_back(published_lsn);
        refuse(refused, error);
    }

    /// Stops for good: what reached the disk is unknown from here on.
    pub(crate) fn poison(&self, error: &StorageError) {
        tracing::error!(%error, "the journal stops");
        let mut queue = lock(&self.queue);
        let reason = queue.poison.get_or_insert_with(|| error.to_string()).clone();
        let refused = std::mem::take(&mut queue.pending);
        drop(queue);
        refuse(refused, &StorageError::Poisoned { reason });
    }

    /// The journal, for others than the committer: it lets them pass between two commits.
    pub(crate) fn journal_in_turn(&self) -> MutexGuard<'_, Journal> {
        self.journal_wanted.fetch_add(1, Ordering::SeqCst);
        let journal = lock(&self.journal);
        self.journal_wanted.fetch_sub(1, Ordering::SeqCst);
        journal
    }

    /// Whether somebody else wants the journal.
    pub(crate) fn journal_is_wanted(&self) -> bool {
        self.journal_wanted.load(Ordering::SeqCst) > 0
    }

    /// Whether commits have to wait for a checkpoint.
    pub(crate) fn is_behind(&self) -> bool {
        let unwritten = self.tail_bytes.unwritten.load(Ordering::Relaxed) as u64;
        unwritten > self.options.checkpoint_bytes.saturating_mul(CHECKPOINTS_BEHIND_MAX)
    }

    /// A log that has a record or a follower.
    pub(crate) fn log(&self, id: LogId) -> Option<Arc<Log>> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(Arc::clone)
    }

    /// A log, made when missing.
    pub(crate) fn log_or_new(&self, id: LogId) -> Arc<Log> {
        if let Some(log) = self.log(id) {
            return log;
        }
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(logs.entry(id).or_insert_with(|| Arc::new(Log::new(id, LogBounds::default(), Vec::new()))))
    }

    /// See [`crate::Storage::segment_damage`].
    pub(crate) fn segment_damage(&self) -> Vec<SegmentDamage> {
        let logs: Vec<_> = self.logs.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let segments = logs.iter().flat_map(|log| log.state().segments.clone());
        let shown = |segment: Arc<Segment>| -> Vec<_> {
            segment.damaged().iter().map(|damaged| damaged.shown(&segment)).collect()
        };
        segments.flat_map(shown).collect()
    }

    /// See [`crate::Storage::get_submitted`].
    pub(crate) fn get_submitted(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let submitted = lock(&self.queue).submitted(keyspace, key);
        match submitted {
            Submitted::Value(value) => Ok(value),
            // Asked after the overlay: a change leaves the overlay when the store has it, never before.
            Submitted::Unchanged => self.keys.get(&user_key(keyspace, key)),
        }
    }

    /// See [`crate::Storage::frontier`].
    pub(crate) fn frontier(&self) -> Millis {
        let now = self.clock.now();
        let mut queue = lock(&self.queue);
        let waiting = queue.pending.front().map(|pending| pending.receipt.append_time);
        if let Some(oldest) = queue.committing_since.or(waiting) {
            return oldest;
        }
        queue.last_time = queue.last_time.max(now);
        queue.last_time
    }
}

/// The key under which the key-value store says which transactions it has.
pub(crate) const APPLIED_LSN: &str = "applied_lsn";

/// A transaction as it is written, if it is not too large for that.
pub(crate) fn limited(transaction: Transaction) -> Result<Body, StorageError> {
    check_limits(&transaction)?;
    let body = Body::new(transaction);
    let bytes = body.frame_bytes();
    if bytes > TRANSACTION_BYTES_MAX {
        return Err(StorageError::TransactionTooLarge { bytes, limit_bytes: TRANSACTION_BYTES_MAX });
    }
    Ok(body)
}

fn check_limits(transaction: &Transaction) -> Result<(), StorageError> {
    let names = transaction.writes.iter().map(|write| &write.keyspace).chain(&transaction.dropped_keyspaces);
    for name in names {
        let bytes = name.name().len();
        if bytes > KEYSPACE_NAME_MAX {
            return Err(StorageError::TransactionTooLarge { bytes, limit_bytes: KEYSPACE_NAME_MAX });
        }
    }
    match transaction.writes.iter().map(|write| write.key.len()).max() {
        Some(bytes) if bytes > KEY_BYTES_MAX => {
            Err(StorageError::TransactionTooLarge { bytes, limit_bytes: KEY_BYTES_MAX })
        }
        _ => Ok(()),
    }
}

fn changes_keys(group: &[Pending]) -> bool {
    group.iter().any(|pending| !pending.body.writes.is_empty() || !pending.body.dropped_keyspaces.is_empty())
}

fn refuse(group: impl IntoIterator<Item = Pending>, error: &StorageError) {
    let error = match error {
        StorageError::DiskFull | StorageError::Poisoned { .. } | StorageError::Closed => error.clone(),
        other => StorageError::Poisoned { reason: other.to_string() },
    };
    for pending in group {
        let _ = pending.durable.send(Err(error.clone()));
    }
}
