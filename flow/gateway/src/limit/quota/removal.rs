//! Counters that go: their periods are over, or whose they are is gone.

use std::ops::Bound;

use millstream_storage::{StorageError, Transaction};
use millstream_types::Millis;

use super::{Counter, Quotas};

/// Counters that one step of the sweep looks at.
pub(super) const SWEEP_ROWS: usize = 1_000;

impl Quotas {
    /// Removes those of the `own` counters whose periods are over, from memory and from the disk.
    pub(crate) async fn sweep(&self, now: Millis, own: impl Fn(&[u8]) -> bool) -> Result<(), StorageError> {
        let mut after = Vec::new();
        loop {
            // Nobody reads a counter into memory meanwhile: what is not there is as it was submitted last.
            let _turn = self.reading.lock().await;
            let (over, last) = self.over(after, now).await?;
            let mut transaction = Transaction::new();
            {
                let mut counters = self.counters();
                for key in over.into_iter().filter(|key| own(key)) {
                    let name = String::from_utf8_lossy(&key).into_owned();
                    let counts = |counter: &Counter| counter.is_needed() || counter.end > now;
                    if !counters.get(&name).is_some_and(counts) {
                        counters.remove(&name);
                        transaction.delete(&self.keyspace, key);
                    }
                }
                // Ordered to the disk under the lock, as every state of a counter is.
                if !transaction.is_empty() {
                    self.storage.submit(transaction)?;
                }
            }
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }

    /// The counters behind `after` whose periods are over as they were submitted last, and how far was looked; `None`: to
    /// the end.
    async fn over(&self, after: Vec<u8>, now: Millis) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>), StorageError> {
        let (storage, keyspace) = (self.storage.clone(), self.keyspace.clone());
        let read = tokio::task::spawn_blocking(move || {
            let rows = storage.scan(&keyspace, (Bound::Excluded(&after[..]), Bound::Unbounded), false, SWEEP_ROWS)?;
            let mut over = Vec::new();
            for (key, _) in &rows {
                let state = storage.get_submitted(&keyspace, key)?;
                if state.and_then(|state| Counter::decoded(&state)).is_some_and(|counter| counter.end <= now) {
                    over.push(key.to_vec());
                }
            }
            let last = rows.last().filter(|_| rows.len() == SWEEP_ROWS).map(|(key, _)| key.to_vec());
            Ok((over, last))
        });
        read.await.map_err(|_| StorageError::Closed)?
    }

    /// Forgets what is counted under keys.
    pub(crate) async fn remove(&self, keys: &[String]) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        for key in keys {
            self.counters().remove(key);
            transaction.delete(&self.keyspace, key.as_bytes().to_vec());
        }
        if !transaction.is_empty() {
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }

    /// Forgets what is counted for callers that are gone: their ids are what counters' names end with.
    pub(crate) async fn forget(&self, callers: &[String]) -> Result<(), StorageError> {
        if callers.is_empty() {
            return Ok(());
        }
        let (storage, keyspace) = (self.storage.clone(), self.keyspace.clone());
        let all = (Bound::Unbounded, Bound::Unbounded);
        let read = tokio::task::spawn_blocking(move || storage.scan(&keyspace, all, false, usize::MAX));
        let of = |key: &[u8]| key.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().to_vec();
        let gone = |key: &[u8]| callers.iter().any(|id| of(key) == id.as_bytes());
        let mut transaction = Transaction::new();
        for (key, _) in read.await.map_err(|_| StorageError::Closed)?? {
            if gone(&key) {
                transaction.delete(&self.keyspace, key);
            }
        }
        self.counters().retain(|key, _| !gone(key.as_bytes()));
        if !transaction.is_empty() {
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }
}
