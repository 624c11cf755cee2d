//! How far the shards of mappings are done, as kept: one value for each lane of a shard.
//!
//! A lane is the share of a shard's partition keys that is worked off in order by itself; most mappings have one a shard.

use std::ops::Bound;

use millstream_storage::{Keyspace, Storage, StorageError, Ticket, Transaction};
use millstream_types::LogId;
use serde::{Deserialize, Serialize};

use crate::error::MappingError;
use crate::piece::Piece;
use crate::window::OpenWindow;

/// Which of a shard's lanes, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) lane: u32,
    pub(crate) lanes: u32,
}

/// How far a lane is done. The format has a version in its key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The lane's records before this offset are done.
    pub(crate) position: u64,
    /// What is left of a batch that failed, from `position` on.
    #[serde(default)]
    pub(crate) pieces: Vec<Piece>,
    /// The window that has begun and is not over.
    #[serde(default)]
    pub(crate) window: Option<OpenWindow>,
}

/// The places of one mapping.
#[derive(Clone)]
pub(crate) struct ProgressStore {
    storage: Storage,
    keyspace: Keyspace,
    prefix: String,
}

impl ProgressStore {
    pub(crate) fn new(storage: &Storage, mapping: &str) -> Self {
        Self { storage: storage.clone(), keyspace: Keyspace::new("mapping/progress"), prefix: format!("v1/{mapping}/") }
    }

    fn shard(&self, log: LogId) -> String {
        format!("{}{:020}/", self.prefix, log.0)
    }

    fn key(&self, log: LogId, share: Share) -> String {
        format!("{}{:02}of{:02}", self.shard(log), share.lane, share.lanes)
    }

    /// Orders a place to be kept; it is when the ticket resolves.
    pub(crate) fn submit(&self, log: LogId, share: Share, progress: &Progress) -> Result<Ticket, StorageError> {
        let mut transaction = Transaction::new();
        self.put(&mut transaction, log, share, progress);
        self.storage.submit(transaction)
    }

    /// Keeps where the shards of a new mapping begin.
    pub(crate) async fn begin(&self, positions: &[(LogId, u64)]) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        for (log, position) in positions {
            let progress = Progress { position: *position, ..Progress::default() };
            self.put(&mut transaction, *log, Share { lane: 0, lanes: 1 }, &progress);
        }
        if !transaction.is_empty() {
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }

    fn put(&self, transaction: &mut Transaction, log: LogId, share: Share, progress: &Progress) {
        // The type holds only numbers and texts: it always has a JSON form.
        let value = serde_json::to_vec(progress).unwrap_or_default();
        transaction.put(&self.keyspace, self.key(log, share).into_bytes(), value);
    }

    /// How far each of a shard's lanes is done. A shard without a place begins with its oldest record: it was made after
    /// the mapping. When there were more or fewer lanes before, all begin where the last of those was.
    pub(crate) async fn lanes(&self, log: LogId, lanes: u32) -> Result<Vec<Progress>, MappingError> {
        let stored = self.scan(self.shard(log)).await?;
        let shares: Vec<Share> = (0..lanes).map(|lane| Share { lane, lanes }).collect();
        let keys: Vec<String> = shares.iter().map(|share| self.key(log, *share)).collect();
        if stored.iter().map(|(key, _)| key).eq(&keys) {
            return Ok(stored.into_iter().map(|(_, progress)| progress).collect());
        }
        let position = stored.iter().map(|(_, progress)| progress.position).min().unwrap_or(0);
        let all = Progress { position, ..Progress::default() };
        let mut transaction = Transaction::new();
        for (key, _) in stored {
            transaction.delete(&self.keyspace, key.into_bytes());
        }
        shares.iter().for_each(|share| self.put(&mut transaction, log, *share, &all));
        self.storage.commit(transaction).await?;
        Ok(vec![all; shares.len()])
    }

    /// Adds the removal of all places to a transaction; of those of one shard when `log` is given.
    pub(crate) async fn remove(&self, transaction: &mut Transaction, log: Option<LogId>) -> Result<(), MappingError> {
        let prefix = log.map_or_else(|| self.prefix.clone(), |log| self.shard(log));
        for (key, _) in self.scan_raw(prefix).await? {
            transaction.delete(&self.keyspace, key);
        }
        Ok(())
    }

    async fn scan(&self, prefix: String) -> Result<Vec<(String, Progress)>, MappingError> {
        let read = |(key, value): (bytes::Bytes, bytes::Bytes)| {
            let key = String::from_utf8_lossy(&key).into_owned();
            match serde_json::from_slice(&value) {
                Ok(progress) => Ok((key, progress)),
                Err(_) => Err(MappingError::Unreadable { key }),
            }
        };
        self.scan_raw(prefix).await?.into_iter().map(read).collect()
    }

    async fn scan_raw(&self, prefix: String) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, MappingError> {
        let (storage, keyspace) = (self.storage.clone(), self.keyspace.clone());
        let scan = move || {
            // No key of a place holds a byte as high as this.
            let end = [prefix.as_bytes(), &[u8::MAX]].concat();
            let range = (Bound::Included(prefix.as_bytes()), Bound::Excluded(&end[..]));
            storage.scan(&keyspace, range, false, usize::MAX)
        };
        Ok(tokio::task::spawn_blocking(scan).await.map_err(|_| StorageError::Closed)??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::ManualClock;

    use super::*;

    #[tokio::test]
    async fn places_are_kept_and_taken_over_by_other_lanes() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let (store, other) = (ProgressStore::new(&storage, "a"), ProgressStore::new(&storage, "b"));
        store.begin(&[(LogId(7), 5), (LogId(70), 9)]).await.unwrap();
        other.begin(&[(LogId(7), 1)]).await.unwrap();
        assert_eq!(store.lanes(LogId(8), 1).await.unwrap(), [Progress::default()]);
        let mut lanes = store.lanes(LogId(7), 2).await.unwrap();
        assert_eq!(lanes.iter().map(|lane| lane.position).collect::<Vec<_>>(), [5, 5]);
        let window = Some(OpenWindow::of(0, 60));
        lanes[1] = Progress { position: 8, pieces: vec![Piece { to: 12, attempts: 3 }], window };
        let ticket = store.submit(LogId(7), Share { lane: 1, lanes: 2 }, &lanes[1]).unwrap();
        ticket.durable().await.unwrap();
        assert_eq!(store.lanes(LogId(7), 2).await.unwrap(), lanes);
        assert_eq!(store.lanes(LogId(7), 1).await.unwrap(), [Progress { position: 5, ..Progress::default() }]);
        let mut transaction = Transaction::new();
        store.remove(&mut transaction, None).await.unwrap();
        storage.commit(transaction).await.unwrap();
        assert!(store.scan("v1/a/".to_owned()).await.unwrap().is_empty());
        assert_eq!(other.lanes(LogId(7), 1).await.unwrap()[0].position, 1);
    }
}
