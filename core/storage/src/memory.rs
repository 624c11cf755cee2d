//! The storage engine's behaviour without a disk: the model that the real engine is tested against.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_types::{Clock, LogId, Millis, RecordBatch};
use tokio::sync::{oneshot, watch};

use crate::error::StorageError;
use crate::transaction::{Keyspace, Receipt, Ticket, Transaction};

/// The storage engine. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lsn: u64,
    last_time: Millis,
    logs: HashMap<LogId, Log>,
    keyspaces: HashMap<Keyspace, BTreeMap<Bytes, Bytes>>,
}

struct Log {
    first: u64,
    batches: Vec<RecordBatch>,
    next: watch::Sender<u64>,
}

impl Default for Log {
    fn default() -> Self {
        Self { first: 0, batches: Vec::new(), next: watch::Sender::new(0) }
    }
}

/// How far a log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogBounds {
    /// The first offset that can be read.
    pub first: u64,
    /// The offset that the next record will get, as far as records are durable.
    pub next: u64,
    /// The append time of the last durable record; 0 when there never was one.
    pub last_append_time: Millis,
}

impl Storage {
    /// A store that lives in memory only.
    #[must_use]
    pub fn in_memory(clock: Arc<dyn Clock>) -> Self {
        Self { inner: Arc::new(Inner { clock, state: Mutex::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders a transaction: gives records their offsets and append time and hands it to the committer. Never blocks on
    /// the disk. Two submits by one thread keep their order.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`] when too much waits for the disk, [`StorageError::TransactionTooLarge`],
    /// [`StorageError::Poisoned`], [`StorageError::DiskFull`], [`StorageError::Closed`]. Nothing was ordered then.
    pub fn submit(&self, transaction: Transaction) -> Result<Ticket, StorageError> {
        let mut state = self.state();
        state.lsn += 1;
        state.last_time = state.last_time.max(self.inner.clock.now());
        let append_time = state.last_time;
        let mut base_offsets = Vec::with_capacity(transaction.appends.len());
        for append in transaction.appends {
            let log = state.logs.entry(append.log).or_default();
            let base_offset = *log.next.borrow();
            let (bytes, count) = append.records.freeze();
            base_offsets.push(base_offset);
            if count > 0 {
                log.batches.push(RecordBatch { base_offset, count, append_time, bytes });
                log.next.send_replace(base_offset + u64::from(count));
            }
        }
        for write in transaction.writes {
            let keys = state.keyspaces.entry(write.keyspace).or_default();
            match write.value {
                Some(value) => keys.insert(write.key, value),
                None => keys.remove(&write.key),
            };
        }
        for (log, first) in transaction.trims {
            if let Some(log) = state.logs.get_mut(&log) {
                log.first = log.first.max(first);
            }
        }
        for log in &transaction.dropped_logs {
            state.logs.remove(log);
        }
        for keyspace in &transaction.dropped_keyspaces {
            state.keyspaces.remove(keyspace);
        }
        let (sender, durable) = oneshot::channel();
        let _ = sender.send(Ok(()));
        Ok(Ticket { receipt: Receipt { lsn: state.lsn, append_time, base_offsets }, durable })
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
        Ok(self.state().keyspaces.get(keyspace).and_then(|keys| keys.get(key).cloned()))
    }

    /// The value of a key with all submitted transactions applied, durable or not: what a condition is checked against
    /// before the transaction that depends on it is submitted. Never to be shown to a client. May read the disk.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub fn get_submitted(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.get(keyspace, key)
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
        let state = self.state();
        let Some(keys) = state.keyspaces.get(keyspace) else { return Ok(Vec::new()) };
        let below = |key: &[u8]| match range.1 {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        };
        let above = |key: &[u8]| match range.0 {
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        };
        let inside = |(key, _): &(&Bytes, &Bytes)| above(key) && below(key);
        let own = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        Ok(if reverse {
            keys.iter().rev().filter(inside).take(limit).map(own).collect()
        } else {
            keys.iter().filter(inside).take(limit).map(own).collect()
        })
    }

    /// Durable records from `offset` on: whole batches, of which the first may begin before `offset` (callers skip), until
    /// `max_bytes` are reached (at least one batch when there is one). Empty at the end of the log. May read the disk.
    ///
    /// # Errors
    /// [`StorageError::OffsetGone`] when retention removed `offset`; [`StorageError::Io`], [`StorageError::Damaged`].
    pub fn read(&self, log: LogId, offset: u64, max_bytes: usize) -> Result<Vec<RecordBatch>, StorageError> {
        let state = self.state();
        let Some(found) = state.logs.get(&log) else { return Ok(Vec::new()) };
        if offset < found.first {
            return Err(StorageError::OffsetGone { log, offset, first: found.first });
        }
        let start = found.batches.partition_point(|batch| batch.next_offset() <= offset);
        let mut size = 0;
        let mut batches = Vec::new();
        for batch in &found.batches[start..] {
            if size >= max_bytes {
                break;
            }
            size += batch.bytes.len();
            batches.push(batch.clone());
        }
        Ok(batches)
    }

    /// How far a log reaches; all zero for a log that never had a record.
    #[must_use]
    pub fn bounds(&self, log: LogId) -> LogBounds {
        let state = self.state();
        state.logs.get(&log).map_or_else(LogBounds::default, |log| LogBounds {
            first: log.first,
            next: *log.next.borrow(),
            last_append_time: log.batches.last().map_or(0, |batch| batch.append_time),
        })
    }

    /// The first offset whose append time is `time` or later; the next offset when there is none. May read the disk.
    ///
    /// # Errors
    /// [`StorageError::Io`] or [`StorageError::Damaged`].
    pub fn offset_at_time(&self, log: LogId, time: Millis) -> Result<u64, StorageError> {
        let state = self.state();
        let Some(found) = state.logs.get(&log) else { return Ok(0) };
        let index = found.batches.partition_point(|batch| batch.append_time < time);
        Ok(found.batches.get(index).map_or(*found.next.borrow(), |batch| batch.base_offset.max(found.first)))
    }

    /// Follows the end of a log: the value is [`LogBounds::next`], changed when records become durable.
    #[must_use]
    pub fn watch(&self, log: LogId) -> watch::Receiver<u64> {
        self.state().logs.entry(log).or_default().next.subscribe()
    }

    /// A time such that every record that is not readable yet will have this append time or a later one. Read it first,
    /// then read logs to their end: what was read is complete up to this time.
    #[must_use]
    pub fn frontier(&self) -> Millis {
        let mut state = self.state();
        state.last_time = state.last_time.max(self.inner.clock.now());
        state.last_time
    }

    /// Bytes that submitted transactions keep waiting for the disk.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        0
    }
}
