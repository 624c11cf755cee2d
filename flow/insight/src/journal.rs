//! How events and marks outlive the node: what was added since the last flush becomes one transaction, and what is beyond the
//! bound is removed with it. Nobody waits for it; a crash loses at most what came since the last flush.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use serde::{Serialize, de::DeserializeOwned};

/// Entries that may wait for a flush; beyond, the oldest are only seen until the node ends.
const PENDING_MAX: usize = 50_000;

/// Numbered entries in a keyspace of their own, the last `kept_max` of them.
pub(crate) struct Journal<T> {
    keyspace: Keyspace,
    kept_max: usize,
    /// The numbers of the first entry on disk and behind the last.
    first: u64,
    next: u64,
    pending: VecDeque<T>,
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
        Ok((Self { keyspace, kept_max, first, next, pending: VecDeque::new() }, entries))
    }

    /// Adds an entry, to be kept by the next flush.
    pub(crate) fn push(&mut self, entry: T) {
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(entry);
    }

    /// Adds what waits to a transaction.
    pub(crate) fn flush(&mut self, transaction: &mut Transaction) {
        for entry in self.pending.drain(..) {
            // Entries hold texts and numbers: they always have a JSON form.
            let value = serde_json::to_vec(&entry).unwrap_or_default();
            transaction.put(&self.keyspace, self.next.to_be_bytes().to_vec(), value);
            self.next += 1;
        }
        while self.next - self.first > self.kept_max as u64 {
            transaction.delete(&self.keyspace, self.first.to_be_bytes().to_vec());
            self.first += 1;
        }
    }
}
