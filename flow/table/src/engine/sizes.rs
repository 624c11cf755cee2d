//! How many items tables and their indexes hold, and their bytes.
//!
//! The server has them counted once a second: each table that was written to, all of it, but for a tenth of the time at most
//! and rarely enough that counting one costs a hundredth of a core. What was counted is kept in the store, so it is there after
//! a restart, and whoever asks reads one value. It is as old as the service family's may be, six hours, at the most.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{IndexState, TableDefinition, TableOwner};
use millstream_storage::{Keyspace, Transaction};
use millstream_types::{BoxFuture, Millis};
use serde::{Deserialize, Serialize};

use super::Tables;
use super::page::Scan;
use super::writing::Written;
use crate::error::TableError;

/// A page of a count is followed by a pause of so many times its time.
const PAUSE_TIMES: Millis = 9;
/// A count is followed by another after so many times its time, but not before and not after these waits.
const WAIT_TIMES: Millis = 10;
const WAIT_MIN_MS: Millis = 1_000;
const WAIT_MAX_MS: Millis = 6 * 3_600_000;
/// A count that failed is tried again after so long.
const WAIT_FAILED_MS: Millis = 60_000;

/// Items and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Items.
    pub items: u64,
    /// Bytes of their names and values.
    pub bytes: u64,
}

/// What a table held when it was counted last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    /// The table's items.
    pub table: Size,
    /// Its indexes' entries, by the indexes' numbers.
    pub indexes: BTreeMap<u32, Size>,
}

/// A count as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The earliest time of the next one.
    next: Millis,
    size: TableSize,
}

/// Which tables are to be counted, by their ids. One that is not here may have changed before the node started.
#[derive(Default)]
pub(super) struct Counts(Mutex<HashMap<u64, Standing>>);

#[derive(Clone, Copy)]
struct Standing {
    /// Whether it was written to since the last count began.
    changed: bool,
    /// The earliest time of the next count.
    next: Millis,
}

impl Counts {
    /// Notes that a table was written to.
    pub(super) fn changed(&self, tables: &[u64]) {
        let mut standings = self.lock();
        for table in tables {
            if let Some(standing) = standings.get_mut(table) {
                standing.changed = true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where counts lie, by table ids.
pub(super) fn keyspace() -> Keyspace {
    Keyspace::new("table/sizes")
}

/// A table's place there.
pub(super) fn key(table: &TableDefinition) -> Vec<u8> {
    table.id.to_be_bytes().to_vec()
}

impl Tables {
    /// What a table held when it was counted last; nothing before that.
    ///
    /// # Errors
    /// [`TableError::Storage`].
    pub fn size<'a>(&'a self, table: &'a TableDefinition) -> BoxFuture<'a, Result<TableSize, TableError>> {
        Box::pin(async move { Ok(self.kept(table).await?.map(|kept| kept.size).unwrap_or_default()) })
    }

    /// Counts the users' tables that were written to and whose time has come.
    ///
    /// # Errors
    /// [`TableError::Storage`], [`TableError::UnreadableItem`]: the first of them, after all tables were tried.
    pub fn count_sizes(&self) -> BoxFuture<'_, Result<(), TableError>> {
        Box::pin(async move {
            let mut tables = self.list();
            tables.retain(|table| table.owner == TableOwner::User);
            self.counts.lock().retain(|id, _| tables.iter().any(|table| table.id == *id));
            let mut failed = None;
            for table in &tables {
                if let Err(error) = self.count_if_due(table).await {
                    failed = failed.or(Some(error));
                }
            }
            failed.map_or(Ok(()), Err)
        })
    }

    async fn count_if_due(&self, table: &Arc<TableDefinition>) -> Result<(), TableError> {
        let known = self.counts.lock().get(&table.id).copied();
        let standing = match known {
            Some(standing) => standing,
            None => Standing { changed: true, next: self.kept(table).await?.map_or(0, |kept| kept.next) },
        };
        let begun = self.clock.now();
        if !standing.changed || begun < standing.next {
            self.counts.lock().entry(table.id).or_insert(standing);
            return Ok(());
        }
        // What is written from here on is for the next count; what was written before must be there to be counted.
        self.counts.lock().insert(table.id, Standing { changed: false, ..standing });
        let counted = self.count(table, begun).await;
        if counted.is_err() {
            self.counts.changed(&[table.id]);
            // What could not be read now cannot be read in a second either.
            if let Some(standing) = self.counts.lock().get_mut(&table.id) {
                standing.next = self.clock.now() + WAIT_FAILED_MS;
            }
        }
        counted
    }

    async fn count(&self, table: &Arc<TableDefinition>, begun: Millis) -> Result<(), TableError> {
        self.settled().await?;
        let mut size = TableSize { table: self.measure(table, None).await?, indexes: BTreeMap::new() };
        for index in table.indexes.iter().filter(|index| index.state == IndexState::Active) {
            size.indexes.insert(index.number, self.measure(table, Some(index.name.clone())).await?);
        }
        let now = self.clock.now();
        let next = now + (WAIT_TIMES * (now - begun)).clamp(WAIT_MIN_MS, WAIT_MAX_MS);
        if let Some(standing) = self.counts.lock().get_mut(&table.id) {
            standing.next = next;
        }
        let mut transaction = Transaction::new();
        let kept = serde_json::to_vec(&Kept { next, size }).unwrap_or_default();
        transaction.put(&keyspace(), key(table), kept);
        let ticket = match self.order(Written::beside(table, transaction)) {
            // It went while it was counted.
            Err(TableError::TableNotFound { .. }) => return Ok(()),
            ordered => ordered?,
        };
        ticket.durable().await?;
        Ok(())
    }

    /// Looks at all items of a table or an index, page by page, and leaves others the disk in between.
    async fn measure(&self, table: &Arc<TableDefinition>, index: Option<String>) -> Result<Size, TableError> {
        let (mut size, mut start) = (Size::default(), None);
        loop {
            let begun = self.clock.now();
            let page = self.scan_freely(table, Scan { start, index: index.clone(), ..Scan::default() }).await?;
            size.items += page.scanned as u64;
            size.bytes += page.scanned_bytes as u64;
            // Behind the last page too: tables are counted one after the other, and many have one page only.
            let pause = PAUSE_TIMES * (self.clock.now() - begun).max(0);
            tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())).await;
            start = page.last_key;
            if start.is_none() {
                return Ok(size);
            }
        }
    }

    async fn kept(&self, table: &TableDefinition) -> Result<Option<Kept>, TableError> {
        let key = key(table);
        let kept: Option<Bytes> =
            self.off_worker(move |engine| Ok::<_, TableError>(engine.storage.get(&keyspace(), &key)?)).await?;
        // One that cannot be read is as good as none: the next count makes it anew.
        Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
    }
}
