//! The storage engine's behaviour without a disk: the model that the real engine is tested against.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_types::{Clock, LogId, Millis, RecordBatch};
use tokio::sync::{oneshot, watch};

use crate::engine::limited;
use crate::error::StorageError;
use crate::options::LogBounds;
use crate::transaction::{Keyspace, Receipt, Ticket, Transaction};

/// A store that lives in memory only.
pub(crate) struct Model {
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

/// Each method does what the one of [`crate::Storage`] with its name says.
impl Model {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn submit(&self, transaction: Transaction) -> Result<Ticket, StorageError> {
        // What a disk refuses is refused here, too.
        limited(transaction.clone())?;
        let mut state = self.state();
        state.lsn += 1;
        state.last_time = state.last_time.max(self.clock.now());
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
                log.first = log.first.max(first.min(*log.next.borrow()));
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

    pub(crate) fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.state().keyspaces.get(keyspace).and_then(|keys| keys.get(key).cloned()))
    }

    pub(crate) fn scan(
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

    pub(crate) fn read(&self, log: LogId, offset: u64, max_bytes: usize) -> Result<Vec<RecordBatch>, StorageError> {
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

    pub(crate) fn bounds(&self, log: LogId) -> LogBounds {
        let state = self.state();
        state.logs.get(&log).map_or_else(LogBounds::default, |log| LogBounds {
            first: log.first,
            next: *log.next.borrow(),
            last_append_time: log.batches.last().map_or(0, |batch| batch.append_time),
        })
    }

    pub(crate) fn offset_at_time(&self, log: LogId, time: Millis) -> Result<u64, StorageError> {
        let state = self.state();
        let Some(found) = state.logs.get(&log) else { return Ok(0) };
        let index = found.batches.partition_point(|batch| batch.append_time < time);
        Ok(found.batches.get(index).map_or(*found.next.borrow(), |batch| batch.base_offset.max(found.first)))
    }

    pub(crate) fn offset_within(&self, log: LogId, bytes: u64) -> u64 {
        let state = self.state();
        let Some(found) = state.logs.get(&log) else { return 0 };
        let mut kept = 0;
        let enough = found.batches.iter().rev().find(|batch| {
            kept += batch.bytes.len() as u64;
            kept >= bytes
        });
        enough.map_or(found.first, |batch| batch.base_offset.max(found.first))
    }

    pub(crate) fn watch(&self, log: LogId) -> watch::Receiver<u64> {
        self.state().logs.entry(log).or_default().next.subscribe()
    }

    pub(crate) fn frontier(&self) -> Millis {
        let mut state = self.state();
        state.last_time = state.last_time.max(self.clock.now());
        state.last_time
    }
}
