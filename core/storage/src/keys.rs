//! The ordered key-value store below keyspaces. It is never the owner of durability: the journal is, and every batch
//! carries the number of the last transaction in it, so that a store that lost its end is found out.
//!
//! Physical keys: `0 name` is the engine's own, `1 length-of-keyspace keyspace key` is a user's.

use std::ops::Bound;
use std::path::Path;

use bytes::Bytes;

use crate::error::StorageError;
use crate::transaction::Keyspace;

/// A physical key and what becomes of it: `None` removes.
pub(crate) type Change = (Vec<u8>, Option<Bytes>);
/// A range of physical keys.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// What the engine asks of a key-value store.
pub(crate) trait KeyStore: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError>;
    /// Keys and values of a range, falling when `reverse`.
    fn scan(&self, range: KeyRange, reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, StorageError>;
    /// Applies changes (no key twice) as one, visible at once, durable some time later and never before earlier ones.
    fn apply(&self, changes: Vec<Change>) -> Result<(), StorageError>;
    /// Makes everything applied durable.
    fn persist(&self) -> Result<(), StorageError>;
}

/// The physical key of the engine's own `name`.
pub(crate) fn own_key(name: &str) -> Vec<u8> {
    let mut key = vec![0];
    key.extend_from_slice(name.as_bytes());
    key
}

/// The physical key of a user's key.
pub(crate) fn user_key(keyspace: &Keyspace, key: &[u8]) -> Vec<u8> {
    let mut physical = user_prefix(keyspace);
    physical.extend_from_slice(key);
    physical
}

/// What the keys of a keyspace begin with.
pub(crate) fn user_prefix(keyspace: &Keyspace) -> Vec<u8> {
    let name = keyspace.name().as_bytes();
    let mut prefix = Vec::with_capacity(name.len() + 34);
    prefix.push(1);
    prefix.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    prefix.extend_from_slice(name);
    prefix
}

/// All keys that begin with `prefix`.
pub(crate) fn prefix_range(prefix: Vec<u8>) -> KeyRange {
    let mut end = prefix.clone();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    let end = match end.last_mut() {
        Some(last) => {
            *last += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    };
    (Bound::Included(prefix), end)
}

/// The store on disk: one fjall keyspace, since an idle tree of its own for each of thousands of tables costs memory.
pub(crate) struct FjallKeys {
    database: fjall::Database,
    tree: fjall::Keyspace,
}

/// Bytes of changes that fjall keeps in memory before it writes a table.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// The least that fjall takes for its own journals, in bytes.
const JOURNALS_BYTES: u64 = 64 << 20;

impl FjallKeys {
    /// Opens or makes the store in a folder.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
        let database = fjall::Database::builder(folder)
            .cache_size(cache_bytes)
            .manual_journal_persist(true)
            .max_journaling_size(JOURNALS_BYTES)
            .worker_threads(1)
            .open()
            .map_err(|error| store_failed("open", &error))?;
        let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let tree = database.keyspace("millstream", options).map_err(|error| store_failed("open", &error))?;
        Ok(Self { database, tree })
    }
}

fn store_failed(action: &'static str, error: &fjall::Error) -> StorageError {
    match error {
        fjall::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => StorageError::DiskFull,
        error => StorageError::Io { action, file: "keys".to_owned(), reason: error.to_string() },
    }
}

impl KeyStore for FjallKeys {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.tree.get(key).map_err(|error| store_failed("read", &error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: KeyRange, reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let mut found = Vec::new();
        let mut entries = self.tree.range(range);
        while found.len() < limit {
            let Some(entry) = (if reverse { entries.next_back() } else { entries.next() }) else { break };
            let (key, value) = entry.into_inner().map_err(|error| store_failed("read", &error))?;
            found.push((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)));
        }
        Ok(found)
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), changes.len());
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.tree, key, &value[..]),
                None => batch.remove(&self.tree, key),
            }
        }
        batch.commit().map_err(|error| store_failed("write", &error))
    }

    fn persist(&self) -> Result<(), StorageError> {
        self.database.persist(fjall::PersistMode::SyncAll).map_err(|error| store_failed("sync", &error))
    }
}
