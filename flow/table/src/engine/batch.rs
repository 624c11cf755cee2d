//! Batches: many items of some tables in one call.

use std::collections::BTreeSet;

use bytes::Bytes;
use millstream_storage::{Keyspace, Transaction};

use super::stripes::Needed;
use super::{Tables, off_worker, read};
use crate::error::TableError;
use crate::item::{self, Item};
use crate::{key, stored};

/// Items of one batch write: the service family's own limit.
pub const BATCH_WRITE_MAX: usize = 25;
/// Items of one batch get: the service family's own limit.
pub const BATCH_GET_MAX: usize = 100;
/// Bytes of items that one batch get gives back; what is left is told.
pub const BATCH_GET_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One write of a batch.
#[derive(Debug, Clone)]
pub enum BatchWrite {
    /// An item with its key.
    Put(Item),
    /// The key of an item to remove.
    Delete(Item),
}

impl Tables {
    /// Puts and removes items of some tables, all or none of them. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::BatchSize`], [`TableError::DuplicateKeys`], [`TableError::TableNotFound`], those of keys and limits,
    /// [`TableError::Storage`]: nothing was written.
    pub async fn batch_write(&self, writes: &[(String, BatchWrite)]) -> Result<(), TableError> {
        check_count(writes.len(), BATCH_WRITE_MAX)?;
        let mut transaction = Transaction::new();
        let mut keys = BTreeSet::new();
        for (table, write) in writes {
            let table = self.table(table)?;
            let keyspace = key::keyspace(&table);
            let key = match write {
                BatchWrite::Put(item) => {
                    let key = key::encode_of_item(&table, item)?;
                    item::check_limits(item, table.item_bytes_max)?;
                    transaction.put(&keyspace, key.clone(), stored::encode(item));
                    key
                }
                BatchWrite::Delete(key) => {
                    let key = key::encode_of_key(&table, key)?;
                    transaction.delete(&keyspace, key.clone());
                    key
                }
            };
            if !keys.insert((table.id, key)) {
                return Err(TableError::DuplicateKeys);
            }
        }
        let keys: Vec<Bytes> = keys.into_iter().map(|(_, key)| key).collect();
        self.submit_ordered(Needed::of(&keys), transaction).await?.durable().await?;
        Ok(())
    }

    /// The items of some keys in the keys' order, `None` where there is none; shorter than `keys` when the answer is full:
    /// ask for the rest again.
    ///
    /// # Errors
    /// [`TableError::BatchSize`], [`TableError::DuplicateKeys`], [`TableError::TableNotFound`],
    /// [`TableError::KeyMismatch`], [`TableError::Storage`].
    pub async fn batch_get(&self, keys: &[(String, Item)]) -> Result<Vec<Option<Item>>, TableError> {
        check_count(keys.len(), BATCH_GET_MAX)?;
        let mut places: Vec<(Keyspace, Bytes)> = Vec::with_capacity(keys.len());
        let mut seen = BTreeSet::new();
        for (table, key) in keys {
            let table = self.table(table)?;
            let key = key::encode_of_key(&table, key)?;
            if !seen.insert((table.id, key.clone())) {
                return Err(TableError::DuplicateKeys);
            }
            places.push((key::keyspace(&table), key));
        }
        off_worker(self.storage.clone(), move |storage| {
            let (mut items, mut bytes) = (Vec::with_capacity(places.len()), 0);
            for (keyspace, key) in &places {
                let found = read(storage, keyspace, key)?;
                bytes += found.as_ref().map_or(0, item::size);
                if bytes > BATCH_GET_BYTES_MAX {
                    break;
                }
                items.push(found);
            }
            Ok(items)
        })
        .await
    }
}

fn check_count(found: usize, max: usize) -> Result<(), TableError> {
    if found == 0 || found > max { Err(TableError::BatchSize { found, max }) } else { Ok(()) }
}
