//! Values of a query under numbers: pieces of its state ([`super::pieces`]), parts of its results ([`super::outbox`]). Which of them count
//! stands elsewhere; what a crash left behind those is removed here.

use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};

/// As many are looked at together while they are removed: a scan gives their bytes, too, of each several MiB.
const REMOVED_TOGETHER: usize = 2;

/// The numbered values of all queries in one keyspace.
#[derive(Clone)]
pub(super) struct Numbered {
    storage: Storage,
    /// Keys are the query's name, `/` and the number; names have no `/`.
    keyspace: Keyspace,
}

impl Numbered {
    pub(super) fn new(storage: Storage, keyspace: Keyspace) -> Self {
        Self { storage, keyspace }
    }

    pub(super) fn put(&self, query: &str, number: u64, value: impl Into<Bytes>, transaction: &mut Transaction) {
        transaction.put(&self.keyspace, key(query, number), value);
    }

    pub(super) fn delete(&self, query: &str, number: u64, transaction: &mut Transaction) {
        transaction.delete(&self.keyspace, key(query, number));
    }

    /// Waits for the disk.
    pub(super) fn get_now(&self, query: &str, number: u64) -> Result<Option<Bytes>, StorageError> {
        self.storage.get(&self.keyspace, &key(query, number))
    }

    pub(super) async fn get(&self, query: &str, number: u64) -> Result<Option<Bytes>, StorageError> {
        let (values, query) = (self.clone(), query.to_owned());
        blocking(move || values.get_now(&query, number)).await
    }

    /// The lowest number of a query's values.
    pub(super) async fn first(&self, query: &str) -> Result<Option<u64>, StorageError> {
        let found = self.scan(key(query, 0), behind(query.as_bytes()), 1).await?;
        Ok(found.first().and_then(|key| key.last_chunk::<8>()).map(|number| u64::from_be_bytes(*number)))
    }

    /// Removes a query's values from a number on, in transactions of their own.
    pub(super) async fn remove_from(&self, query: &str, number: u64) -> Result<(), StorageError> {
        loop {
            let found = self.scan(key(query, number), behind(query.as_bytes()), REMOVED_TOGETHER).await?;
            if found.is_empty() {
                return Ok(());
            }
            let mut transaction = Transaction::new();
            found.into_iter().for_each(|key| {
                transaction.delete(&self.keyspace, key);
            });
            self.storage.commit(transaction).await?;
        }
    }

    /// The names of all queries that have values.
    pub(super) async fn queries(&self) -> Result<Vec<String>, StorageError> {
        let (mut names, mut from) = (Vec::new(), Vec::new());
        // A name has no bytes of 255.
        while let Some(key) = self.scan(from, vec![u8::MAX], 1).await?.pop() {
            let name = key.split(|byte| *byte == b'/').next().unwrap_or_default();
            from = behind(name);
            names.push(String::from_utf8_lossy(name).into_owned());
        }
        Ok(names)
    }

    async fn scan(&self, first: Vec<u8>, end: Vec<u8>, most: usize) -> Result<Vec<Bytes>, StorageError> {
        let values = self.clone();
        let scan = move || {
            let range = (Bound::Included(&first[..]), Bound::Excluded(&end[..]));
            values.storage.scan(&values.keyspace, range, false, most)
        };
        Ok(blocking(scan).await?.into_iter().map(|(key, _)| key).collect())
    }
}

fn key(query: &str, number: u64) -> Vec<u8> {
    [query.as_bytes(), b"/", &number.to_be_bytes()].concat()
}

/// Where the next query's keys begin: `0` follows `/`.
fn behind(query: &[u8]) -> Vec<u8> {
    [query, b"0"].concat()
}

/// Something that may wait for the disk, on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StorageError::Closed)?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::SystemClock;

    use super::*;

    #[tokio::test]
    async fn values_are_told_by_query_and_number() {
        let storage = Storage::in_memory(Arc::new(SystemClock));
        let values = Numbered::new(storage.clone(), Keyspace::new("numbered"));
        let mut transaction = Transaction::new();
        for (query, number) in [("a", 0), ("a", 300), ("a", 47), ("a2", 5), ("a-b", u64::MAX)] {
            values.put(query, number, format!("{query} {number}"), &mut transaction);
        }
        storage.commit(transaction).await.unwrap();
        assert_eq!(values.get("a", 300).await.unwrap().unwrap(), "a 300");
        assert_eq!(values.first("a").await.unwrap(), Some(0));
        assert_eq!(values.queries().await.unwrap(), ["a-b", "a", "a2"]);
        values.remove_from("a", 47).await.unwrap();
        assert!(values.get("a", 47).await.unwrap().is_none() && values.get("a", 300).await.unwrap().is_none());
        values.remove_from("a", 0).await.unwrap();
        assert_eq!(values.queries().await.unwrap(), ["a-b", "a2"], "another query's values stay");
        assert_eq!(values.first("a").await.unwrap(), None);
    }
}
