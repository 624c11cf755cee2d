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

/// Invocations that wait at once: each holds a task of some kilobytes.
pub(crate) const WAITING_MAX: usize = 100_000;

/// Invocations of one page of those that an earlier run of the node left: each may be as large as an event and a half.
const PAGE: usize = 32;

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

    /// The event; `None` when what is kept is damaged.
    pub(crate) fn payload(&self) -> Option<Bytes> {
        STANDARD.decode(&self.payload).ok().map(Bytes::from)
    }

    /// The invocation with its event.
    pub(crate) fn invocation(&self, payload: Bytes) -> Invocation {
        Invocation {
            function: self.function.clone(),
            payload,
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
    /// What cannot be read, byte by byte as it was kept.
    unreadable: Keyspace,
    waiting: Arc<AtomicUsize>,
}

impl Accepted {
    pub(crate) fn new(storage: Storage) -> Self {
        Self {
            storage,
            keyspace: Keyspace::new("function/async"),
            unreadable: Keyspace::new("function/async-unreadable"),
            waiting: Arc::default(),
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

    pub(crate) async fn get(&self, id: &str) -> Result<Found, StorageError> {
        let (store, key) = (self.clone(), id.as_bytes().to_vec());
        let stored = tokio::task::spawn_blocking(move || store.storage.get(&store.keyspace, &key))
            .await
            .map_err(|_| StorageError::Closed)??;
        Ok(stored.map_or(Found::Nothing, Found::read))
    }

    /// Puts what cannot be read aside: it is tried no more and stays in the data folder.
    pub(crate) async fn put_aside(&self, id: &str, stored: Bytes) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        transaction.delete(&self.keyspace, id.as_bytes().to_vec());
        transaction.put(&self.unreadable, id.as_bytes().to_vec(), stored);
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// All that were accepted and have not ended, without their events; each is read once. Works on the disk, page by page:
    /// what is kept may be more than memory holds.
    pub(crate) fn outlines(&self) -> Result<Vec<Outline>, StorageError> {
        self.read_all(&self.keyspace)
    }

    /// What cannot be read and was put aside. Works on the disk.
    pub(crate) fn unreadable(&self) -> Result<Vec<Outline>, StorageError> {
        self.read_all(&self.unreadable)
    }

    fn read_all(&self, keyspace: &Keyspace) -> Result<Vec<Outline>, StorageError> {
        let (mut all, mut after) = (Vec::new(), None::<Bytes>);
        loop {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = self.storage.scan(keyspace, (from, Bound::Unbounded), false, PAGE)?;
            all.extend(page.iter().map(|(key, stored)| Outline::read(key, stored)));
            match page.last() {
                // Its own bytes: the key may lie in those of the whole page.
                Some((last, _)) => after = Some(Bytes::copy_from_slice(last)),
                None => return Ok(all),
            }
        }
    }
}

/// What is held in memory of an invocation that waits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Outline {
    #[serde(skip)]
    pub(crate) id: String,
    /// As its invoker referred to it; empty for what cannot be read.
    pub(crate) function: String,
    pub(crate) accepted: Millis,
    pub(crate) failures: u32,
    pub(crate) due: Millis,
}

impl Outline {
    pub(crate) fn of(id: &str, kept: &Kept) -> Self {
        let Kept { function, accepted, failures, due, .. } = kept;
        Self { id: id.to_owned(), function: function.clone(), accepted: *accepted, failures: *failures, due: *due }
    }

    /// Of what cannot be read, what can be is taken.
    fn read(id: &[u8], stored: &[u8]) -> Self {
        let read: Self = serde_json::from_slice(stored).unwrap_or_default();
        Self { id: String::from_utf8_lossy(id).into_owned(), ..read }
    }
}

/// What is kept under an id.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// An invocation with its event.
    Invocation(Kept, Bytes),
    /// A later version wrote it, or it is damaged: as it is kept, and its function if that can be read.
    Unreadable {
        stored: Bytes,
        function: Option<String>,
    },
}

impl Found {
    fn read(stored: Bytes) -> Self {
        let kept: Option<Kept> = serde_json::from_slice(&stored).ok();
        match kept.and_then(|kept| Some((kept.payload()?, kept))) {
            Some((payload, kept)) => Self::Invocation(kept, payload),
            None => {
                let document: Option<serde_json::Value> = serde_json::from_slice(&stored).ok();
                let function = document.and_then(|document| document["function"].as_str().map(str::to_owned));
                Self::Unreadable { stored, function }
            }
        }
    }
}

/// A place among those that wait; given back when dropped.
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::ManualClock;

    use super::*;

    fn kept(payload: &[u8]) -> Kept {
        let invocation = Invocation {
            function: "f".into(),
            payload: Bytes::copy_from_slice(payload),
            source: String::new(),
            client_context: None,
            log_tail: false,
        };
        Kept::new(invocation, 0)
    }

    #[tokio::test]
    async fn all_pages_are_read() {
        let accepted = Accepted::new(Storage::in_memory(Arc::new(ManualClock::at(0))));
        let ids: Vec<String> = (0..2 * PAGE + 1).map(|number| format!("{number:03}")).collect();
        for id in &ids {
            accepted.put(id, &kept(b"{}")).await.unwrap();
        }
        let outlines = accepted.outlines().unwrap();
        assert_eq!(outlines.iter().map(|outline| outline.id.as_str()).collect::<Vec<_>>(), ids);
        assert!(outlines.iter().all(|outline| outline.function == "f"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_put_aside_as_it_is() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let accepted = Accepted::new(storage.clone());
        let damaged = serde_json::to_vec(&Kept { payload: "no base64".into(), ..kept(b"{}") }).unwrap();
        for (stored, expected) in
            [(damaged, Some("f")), (br#"{"function":"g"}"#.to_vec(), Some("g")), (vec![0xff], None)]
        {
            let mut transaction = Transaction::new();
            transaction.put(&accepted.keyspace, "a", stored.clone());
            storage.commit(transaction).await.unwrap();
            let Found::Unreadable { stored: found, function } = accepted.get("a").await.unwrap() else {
                panic!("it cannot be read")
            };
            assert_eq!((&found[..], function.as_deref()), (&stored[..], expected));
            accepted.put_aside("a", found).await.unwrap();
            assert!(matches!(accepted.get("a").await.unwrap(), Found::Nothing));
            assert_eq!(storage.get(&accepted.unreadable, b"a").unwrap().unwrap(), stored);
            assert_eq!(accepted.unreadable().unwrap()[0].function, expected.unwrap_or_default());
        }
        accepted.put("b", &kept(b"event")).await.unwrap();
        let found = accepted.get("b").await.unwrap();
        assert!(matches!(found, Found::Invocation(_, payload) if payload == "event"));
    }
}
