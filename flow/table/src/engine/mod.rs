//! The operations on tables and their items.
//!
//! Writes of one item are ordered by a lock that is held only while its condition is checked against what was submitted
//! and the change is submitted, never while waiting for the disk. Reads see what is durable.
//! Read next: `items.rs` (one item), `page.rs` (queries and scans), `batch.rs`, `together.rs`, `stripes.rs` (the locks).

mod batch;
mod items;
mod page;
mod stripes;
mod together;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{Catalog, KeyAttribute, TableDefinition, TableOwner};
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Clock;

pub use batch::{BATCH_GET_BYTES_MAX, BATCH_GET_MAX, BATCH_WRITE_MAX, BatchWrite};
pub use items::{Deletion, Put, Update, Updated, Write};
pub use page::{PAGE_BYTES_MAX, Page, Query, Scan};
pub use together::Together;

use crate::error::TableError;
use crate::item::Item;
use crate::key;
use stripes::Stripes;

/// What a table is made from.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its name.
    pub name: String,
    /// The hash key.
    pub hash_key: KeyAttribute,
    /// The sort key, if items have one.
    pub sort_key: Option<KeyAttribute>,
    /// Provisioned (reads, writes) per second; `None` for pay per request. Told to clients, not enforced.
    pub provisioned: Option<(u64, u64)>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// Whose it is.
    pub owner: TableOwner,
    /// Bytes of names and values that one item may have.
    pub item_bytes_max: usize,
}

/// The table engine. Cheap to clone.
#[derive(Clone)]
pub struct Tables {
    storage: Storage,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    stripes: Arc<Stripes>,
}

impl Tables {
    /// The engine over a store and its catalog.
    #[must_use]
    pub fn new(storage: Storage, catalog: Catalog, clock: Arc<dyn Clock>) -> Self {
        Self { storage, catalog, clock, stripes: Arc::new(Stripes::new()) }
    }

    /// Makes a table; it can be used when this returns.
    ///
    /// # Errors
    /// [`TableError::TableExists`], [`TableError::Storage`].
    pub async fn create(&self, new: NewTable) -> Result<Arc<TableDefinition>, TableError> {
        if self.catalog.tables.get(&new.name).is_some() {
            return Err(TableError::TableExists { table: new.name });
        }
        let definition = TableDefinition {
            id: self.catalog.next_id().await?,
            uuid: uuid::Uuid::new_v4().to_string(),
            created: self.clock.now(),
            name: new.name,
            hash_key: new.hash_key,
            sort_key: new.sort_key,
            provisioned: new.provisioned,
            tags: new.tags,
            owner: new.owner,
            item_bytes_max: new.item_bytes_max,
        };
        Ok(self.catalog.tables.create(definition).await?)
    }

    /// Removes a table and its items, and tells what it was.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::Storage`].
    pub async fn delete(&self, name: &str) -> Result<Arc<TableDefinition>, TableError> {
        let table = self.table(name)?;
        let mut transaction = Transaction::new();
        transaction.drop_keyspace(&key::keyspace(&table));
        Ok(self.catalog.tables.delete(name, transaction).await?)
    }

    /// A table's definition.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`].
    pub fn table(&self, name: &str) -> Result<Arc<TableDefinition>, TableError> {
        Ok(self.catalog.tables.require(name)?)
    }

    /// All tables in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<TableDefinition>> {
        self.catalog.tables.list()
    }

    /// The item of a key, as it is durable; `None` when there is none.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::KeyMismatch`], [`TableError::Storage`].
    pub async fn get(&self, table: &str, key: &Item) -> Result<Option<Item>, TableError> {
        let table = self.table(table)?;
        let (keyspace, key) = (key::keyspace(&table), key::encode_of_key(&table, key)?);
        off_worker(self.storage.clone(), move |storage| read(storage, &keyspace, &key)).await
    }
}

/// Runs disk work where it may block.
async fn off_worker<T: Send + 'static>(
    storage: Storage,
    work: impl FnOnce(&Storage) -> Result<T, TableError> + Send + 'static,
) -> Result<T, TableError> {
    tokio::task::spawn_blocking(move || work(&storage)).await.map_err(|_| StorageError::Closed)?
}

fn read(storage: &Storage, keyspace: &Keyspace, key: &Bytes) -> Result<Option<Item>, TableError> {
    storage.get(keyspace, key)?.map(crate::stored::decode).transpose()
}
