//! The operations on tables and their items.
//!
//! Writes of one item are ordered by a lock that is held only while its condition is checked against what was submitted
//! and the change is submitted, never while waiting for the disk. Reads see what is durable.
//! Read next: `definitions.rs` (tables themselves), `items.rs` (one item), `page.rs` (queries and scans), `batch.rs`,
//! `transact.rs`, `together.rs`, `indexing.rs` (indexes of tables in use), `sizes.rs` (how much there is); below them `writing.rs` (what a change adds to a
//! transaction), `throttle.rs` (provisioned capacity) and `stripes.rs` (the locks).

mod batch;
mod definitions;
mod expiry;
mod indexing;
mod items;
mod page;
mod sizes;
mod stripes;
mod throttle;
mod together;
mod transact;
mod writing;

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use millstream_catalog::{Catalog, TableDefinition};
use millstream_insight::Metrics;
use millstream_storage::{Keyspace, Storage, StorageError};
use millstream_stream::Streams;
use millstream_types::{Clock, Record};

pub use batch::{BATCH_GET_BYTES_MAX, BATCH_GET_MAX, BATCH_WRITE_MAX, BatchGet, BatchGot, BatchWrite, BatchWritten};
pub use definitions::{NewTable, TAGS_MAX};
pub use items::{Deletion, Put, Read, Update, Updated, Write};
pub use page::{PAGE_BYTES_MAX, Page, Query, Scan};
pub use sizes::{Size, TableSize};
pub use together::Together;
pub use transact::{TRANSACT_BYTES_MAX, TRANSACT_MAX, Token, TransactGot, TransactWrite, TransactWritten};

use crate::change::Change;
use crate::error::TableError;
use crate::item::Item;
use crate::{key, stored};
use sizes::Counts;
use stripes::Stripes;
use throttle::Throttle;

/// The table engine. Cheap to clone.
#[derive(Clone)]
pub struct Tables {
    storage: Storage,
    catalog: Catalog,
    streams: Streams,
    clock: Arc<dyn Clock>,
    stripes: Arc<Stripes>,
    throttle: Arc<Throttle>,
    /// Tables that are being removed, by their ids: nothing is written to them any more.
    going: Arc<RwLock<BTreeSet<u64>>>,
    /// Changes of definitions take turns: none is lost to another.
    changing: Arc<tokio::sync::Mutex<()>>,
    counts: Arc<Counts>,
}

impl Tables {
    /// The engine over a store and its catalog.
    #[must_use]
    pub fn new(storage: Storage, catalog: Catalog, clock: Arc<dyn Clock>) -> Self {
        let streams = Streams::new(storage.clone(), catalog.clone(), Arc::clone(&clock));
        let throttle = Throttle::new(Arc::clone(&clock), Metrics::new(Arc::clone(&clock)));
        Self {
            storage,
            catalog,
            streams,
            clock,
            stripes: Arc::new(Stripes::new()),
            throttle: Arc::new(throttle),
            going: Arc::default(),
            changing: Arc::default(),
            counts: Arc::default(),
        }
    }

    /// Counts capacity units and refused requests in `metrics`: `read_capacity_half_units`, `write_capacity_half_units`
    /// and `throttled_requests` of `table/NAME`.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Self { throttle: Arc::new(Throttle::new(Arc::clone(&self.clock), metrics)), ..self }
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

    /// The change that a record of a table's stream tells of. One that cannot be read is said and counted, as
    /// `unreadable_changes` of `table/NAME`, and readers go on behind it: it would stand in their way for ever.
    #[must_use]
    pub fn change_of(&self, table: &str, record: &Record) -> Option<Change> {
        match Change::decode(record.data.clone()) {
            Ok(change) => Some(change),
            Err(error) => {
                tracing::error!(table, offset = record.offset, %error, "a change is left out");
                self.throttle.metrics().counter("unreadable_changes", &format!("table/{table}")).add(1);
                None
            }
        }
    }

    /// An item as it will be when all that was submitted is durable. Reads the disk: not for an async worker.
    fn submitted(&self, table: &TableDefinition, key: &[u8]) -> Result<Option<Item>, TableError> {
        self.storage.get_submitted(&key::keyspace(table), key)?.map(stored::decode).transpose()
    }

    /// Waits until everything that was submitted before is durable: whoever is told of it must be able to rely on it.
    async fn settled(&self) -> Result<(), TableError> {
        self.storage.commit(millstream_storage::Transaction::new()).await?;
        Ok(())
    }

    /// Runs work of the engine where it may block.
    async fn off_worker<T: Send + 'static, E: From<TableError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let engine = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&engine)).await;
        done.map_err(|_| E::from(TableError::Storage(StorageError::Closed)))?
    }
}

fn read(storage: &Storage, keyspace: &Keyspace, key: &Bytes) -> Result<Option<Item>, TableError> {
    storage.get(keyspace, key)?.map(stored::decode).transpose()
}
