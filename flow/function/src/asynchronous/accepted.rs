//! Asynchronous invocations as kept from the moment they are acknowledged until they have ended.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::{Invocation, Millis};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// Invocations that wait at once: each holds a task of some kilobytes.
pub(crate) const WAITING_MAX: usize = 100_000;

/// Of four turns of the node, this many may be taken by invocations that nobody waits for: callers who wait find one.
const SHARE_OF_FOUR: usize = 3;

/// An invocation as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) function: String,
    source: String,
    client_context: Option<String>,
    payload: String,
    pub(crate) accepted: Millis,
    /// How often it ran and failed.
    pub(crate) failures: u32,
    /// Before this it is not tried again.
    #[serde(default)]
    pub(crate) due: Millis,
}

impl Kept {
    pub(crate) fn new(invocation: Invocation, now: Millis) -> Self {
        Self {
            function: invocation.function,
            source: invocation.source,
            client_context: invocation.client_context,
            payload: STANDARD.encode(&invocation.payload),
            accepted: now,
            failures: 0,
            due: now,
        }
    }

    pub(crate) fn payload(&self) -> Bytes {
        Bytes::from(STANDARD.decode(&self.payload).unwrap_or_default())
    }

    pub(crate) fn invocation(&self) -> Invocation {
        Invocation {
            function: self.function.clone(),
            payload: self.payload(),
            source: self.source.clone(),
            client_context: self.client_context.clone(),
            log_tail: false,
        }
    }
}

/// Where they are kept. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Accepted {
    storage: Storage,
    keyspace: Keyspace,
    waiting: Arc<AtomicUsize>,
    /// Turns of those that run: the others wait in line.
    pub(crate) turns: Arc<Semaphore>,
}

impl Accepted {
    pub(crate) fn new(storage: Storage, concurrency_max: usize) -> Self {
        let turns = (concurrency_max * SHARE_OF_FOUR / 4).max(1);
        Self {
            storage,
            keyspace: Keyspace::new("function/async"),
            waiting: Arc::default(),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// Counts one in, unless too many wait.
    pub(crate) fn enter(&self) -> Option<Waiting> {
        let waiting = Waiting(Arc::clone(&self.waiting));
        (waiting.0.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(waiting)
    }

    /// Counts one in that was accepted by an earlier run of the node.
    pub(crate) fn enter_again(&self) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(&self.waiting))
    }

    pub(crate) async fn put(&self, id: &str, kept: &Kept) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        // The type holds only texts and numbers: it always has a JSON form.
        transaction.put(&self.keyspace, id.as_bytes().to_vec(), serde_json::to_vec(kept).unwrap_or_default());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    pub(crate) async fn remove(&self, id: &str) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        transaction.delete(&self.keyspace, id.as_bytes().to_vec());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Option<Kept>, StorageError> {
        let (store, key) = (self.clone(), id.as_bytes().to_vec());
        let stored = tokio::task::spawn_blocking(move || store.storage.get(&store.keyspace, &key))
            .await
            .map_err(|_| StorageError::Closed)??;
        Ok(stored.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The ids of all that were accepted and have not ended. Reads the disk.
    pub(crate) fn ids(&self) -> Result<Vec<String>, StorageError> {
        let all = self.storage.scan(&self.keyspace, (Bound::Unbounded, Bound::Unbounded), false, usize::MAX)?;
        Ok(all.into_iter().map(|(key, _)| String::from_utf8_lossy(&key).into_owned()).collect())
    }
}

/// A place among those that wait; given back when dropped.
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
