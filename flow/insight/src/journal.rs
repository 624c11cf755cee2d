//! How events and marks outlive the node: what was added since the last flush becomes one transaction, and what is beyond the
//! bound is removed with it. Nobody waits for it; a crash loses at most what came since the last flush.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes that one flush takes: a burst is kept in several.
const FLUSH_BYTES_MAX: usize = 4 << 20;

/// Bytes that may wait.
const PENDING_BYTES_MAX: usize = 32 << 20;

/// Entries that may wait for a flush; beyond, the oldest are only seen until the node ends.
const PENDING_MAX: usize = 50_000;

/// Numbered entries in a keyspace of their own, the last `kept_max` of them.
pub(crate) struct Journal<T> {
    keyspace: Keyspace,
    kept_max: usize,
    /// The numbers of the first entry on disk and behind the last.
    first: u64,
    next: u64,
    /// Entries with their sizes in memory, and the sum of these.
    pending: VecDeque<(T, usize)>,
    pending_bytes: usize,
    /// Entries at the front that a flush under way holds.
    in_flight: usize,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens a journal and gives its entries with their numbers, oldest first. Reads the disk.
    pub(crate) fn open(storage: &Storage, name: &str, kept_max: usize) -> Result<(Self, Vec<T>), StorageError> {
        let keyspace = Keyspace::new(name);
        let stored = storage.scan(&keyspace, (Bound::Unbounded, Bound::Unbounded), true, kept_max)?;
        let number = |key: &Bytes| key.as_ref().try_into().map(u64::from_be_bytes).unwrap_or_default();
        let next = stored.first().map_or(0, |(key, _)| number(key) + 1);
        let first = stored.last().map_or(next, |(key, _)| number(key));
        // An entry of a newer version is passed over: it is only a log line.
        let entries = stored.iter().rev().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect();
        Ok((
            Self { keyspace, kept_max, first, next, pending: VecDeque::new(), pending_bytes: 0, in_flight: 0 },
            entries,
        ))
    }

    /// Adds an entry of about so many bytes, to be kept by the next flush.
    pub(crate) fn push(&mut self, entry: T, bytes: usize) {
        self.pending_bytes += bytes;
        self.pending.push_back((entry, bytes));
        while self.pending.len() > PENDING_MAX || self.pending_bytes > PENDING_BYTES_MAX {
            let Some((_, bytes)) = self.pending.pop_front() else { break };
            self.pending_bytes -= bytes;
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    /// Adds what waits, as far as one flush may take it, to a transaction and gives how many entries that are: they are told
    /// to [`Journal::flushed`] once the transaction is durable.
    pub(crate) fn flush(&mut self, transaction: &mut Transaction) -> usize {
        let (mut bytes, mut count) = (0, 0);
        for (entry, _) in &self.pending {
            // Entries hold texts and numbers: they always have a JSON form.
            let value = serde_json::to_vec(entry).unwrap_or_default();
            bytes += value.len();
            if bytes > FLUSH_BYTES_MAX && count > 0 {
                break;
            }
            let number = self.next + count as u64;
            transaction.put(&self.keyspace, number.to_be_bytes().to_vec(), value);
            count += 1;
        }
        let first = (self.next + count as u64).saturating_sub(self.kept_max as u64);
        for gone in self.first..first.max(self.first) {
            transaction.delete(&self.keyspace, gone.to_be_bytes().to_vec());
        }
        self.in_flight = count;
        count
    }

    /// Notes that the `count` entries of the last flush are durable: those of them that still wait are let go.
    pub(crate) fn flushed(&mut self, count: usize) {
        let kept = self.pending.drain(..self.in_flight.min(self.pending.len()));
        self.pending_bytes -= kept.map(|(_, bytes)| bytes).sum::<usize>();
        self.in_flight = 0;
        self.next += count as u64;
        self.first = self.first.max(self.next.saturating_sub(self.kept_max as u64));
    }
}
