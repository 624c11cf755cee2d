//! Batches: many items of some tables in one call. What a table has no capacity for is left undone and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;
use millstream_types::BoxFuture;

use super::items::{check_item, units_of};
use super::stripes::Needed;
use super::throttle::Use;
use super::writing::{Writing, needs_old};
use super::{Tables, read};
use crate::capacity::{read_units, write_units};
use crate::change::ChangeCause;
use crate::error::TableError;
use crate::item::{self, Item};
use crate::key;

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

/// What became of a batch write.
#[derive(Debug, Clone, Default)]
pub struct BatchWritten {
    /// Which writes were not done, since their table has no capacity left: places in the batch, rising.
    pub unprocessed: Vec<usize>,
    /// Write capacity units by table.
    pub units: BTreeMap<String, f64>,
}

/// One read of a batch.
#[derive(Debug, Clone)]
pub struct BatchGet {
    /// Of which table.
    pub table: String,
    /// The item's key.
    pub key: Item,
    /// Whether it counts as a consistent read.
    pub consistent: bool,
}

/// What became of a batch get.
#[derive(Debug, Clone, Default)]
pub struct BatchGot {
    /// In the order of the batch; `None` where there is no item or the read was not done.
    pub items: Vec<Option<Item>>,
    /// Which reads were not done, for want of capacity or room in the answer: places in the batch, rising.
    pub unprocessed: Vec<usize>,
    /// Read capacity units by table.
    pub units: BTreeMap<String, f64>,
}

/// A write, checked.
struct Planned {
    table: Arc<TableDefinition>,
    key: Bytes,
    new: Option<Item>,
    /// Write units taken for it.
    taken: f64,
}

impl Tables {
    /// Puts and removes items of some tables: all of those that their tables have capacity for, or none of them. Durable when
    /// this returns.
    ///
    /// # Errors
    /// [`TableError::BatchSize`], [`TableError::DuplicateKeys`], [`TableError::TableNotFound`], those of keys and limits,
    /// [`TableError::Throttled`] when there is no capacity for any, [`TableError::Storage`]: nothing was written.
    pub fn batch_write<'a>(
        &'a self,
        writes: &'a [(String, BatchWrite)],
    ) -> BoxFuture<'a, Result<BatchWritten, TableError>> {
        Box::pin(async move {
            check_count(writes.len(), BATCH_WRITE_MAX)?;
            let mut planned = Vec::with_capacity(writes.len());
            let mut seen = BTreeSet::new();
            for (table, write) in writes {
                let write = self.plan(table, write)?;
                if !seen.insert((write.table.id, write.key.clone())) {
                    return Err(TableError::DuplicateKeys);
                }
                planned.push(write);
            }
            let (planned, mut written) = self.admit(planned)?;
            for (table, units) in self.write_planned(planned).await? {
                *written.units.entry(table).or_default() += units;
            }
            Ok(written)
        })
    }

    fn plan(&self, table: &str, write: &BatchWrite) -> Result<Planned, TableError> {
        let table = self.table(table)?;
        let (key, new) = match write {
            BatchWrite::Put(item) => {
                let key = key::encode_of_item(&table, item)?;
                check_item(&table, item)?;
                (key, Some(item.clone()))
            }
            BatchWrite::Delete(key) => (key::encode_of_key(&table, key)?, None),
        };
        let taken = write_units(new.as_ref().map_or(0, item::size));
        Ok(Planned { table, key, new, taken })
    }

    /// Those of the writes that their tables have capacity for.
    fn admit(&self, planned: Vec<Planned>) -> Result<(Vec<Planned>, BatchWritten), TableError> {
        let mut written = BatchWritten::default();
        let mut refusal = None;
        let mut admitted = Vec::with_capacity(planned.len());
        for (at, write) in planned.into_iter().enumerate() {
            match self.throttle.take(&write.table, Use::Write, write.taken) {
                Ok(()) => admitted.push(write),
                Err(error) => {
                    written.unprocessed.push(at);
                    refusal = Some(error);
                }
            }
        }
        match refusal {
            Some(refusal) if admitted.is_empty() => Err(refusal),
            _ => Ok((admitted, written)),
        }
    }

    /// Writes as one transaction; gives each write's table and units.
    async fn write_planned(&self, planned: Vec<Planned>) -> Result<Vec<(String, f64)>, TableError> {
        let needed = Needed::of(&planned.iter().map(|write| &write.key).collect::<Vec<_>>());
        if !planned.iter().any(|write| needs_old(&write.table)) {
            let mut writing = Writing::new(self);
            let mut units = Vec::with_capacity(planned.len());
            for Planned { table, key, new, taken } in planned {
                writing.item(&table, key, (None, new.as_ref()), ChangeCause::Caller)?;
                units.push((table.name.clone(), taken));
            }
            self.submit_ordered(needed, writing.finish()?).await?.durable().await?;
            return Ok(units);
        }
        let (ticket, units) = self
            .off_worker(move |engine| {
                let _turn = engine.stripes.lock(&needed);
                let mut writing = Writing::new(engine);
                let mut units = Vec::with_capacity(planned.len());
                for Planned { table, key, new, taken } in planned {
                    let old = engine.submitted(&table, &key)?;
                    let entries = writing.item(&table, key, (old.as_ref(), new.as_ref()), ChangeCause::Caller)?;
                    let used = units_of(old.as_ref(), new.as_ref()) + entries;
                    engine.throttle.correct(&table, Use::Write, taken, used);
                    units.push((table.name.clone(), used));
                }
                Ok::<_, TableError>((engine.submit(writing.finish()?)?, units))
            })
            .await?;
        ticket.durable().await?;
        Ok(units)
    }

    /// The items of some keys, as far as their tables have capacity and the answer has room: ask for the rest again.
    ///
    /// # Errors
    /// [`TableError::BatchSize`], [`TableError::DuplicateKeys`], [`TableError::TableNotFound`],
    /// [`TableError::KeyMismatch`], [`TableError::Throttled`] when there is no capacity for any, [`TableError::Storage`].
    pub fn batch_get<'a>(&'a self, keys: &'a [BatchGet]) -> BoxFuture<'a, Result<BatchGot, TableError>> {
        Box::pin(async move {
            check_count(keys.len(), BATCH_GET_MAX)?;
            let mut places: Vec<(Arc<TableDefinition>, Bytes, bool)> = Vec::with_capacity(keys.len());
            let mut seen = BTreeSet::new();
            for BatchGet { table, key, consistent } in keys {
                let table = self.table(table)?;
                let key = key::encode_of_key(&table, key)?;
                if !seen.insert((table.id, key.clone())) {
                    return Err(TableError::DuplicateKeys);
                }
                places.push((table, key, *consistent));
            }
            self.off_worker(move |engine| engine.read_places(&places)).await
        })
    }

    fn read_places(&self, places: &[(Arc<TableDefinition>, Bytes, bool)]) -> Result<BatchGot, TableError> {
        let mut got = BatchGot { items: vec![None; places.len()], ..BatchGot::default() };
        let (mut bytes, mut refusal) = (0, None);
        for (at, (table, key, consistent)) in places.iter().enumerate() {
            let taken = read_units(0, *consistent);
            if bytes > BATCH_GET_BYTES_MAX {
                got.unprocessed.push(at);
                continue;
            }
            if let Err(error) = self.throttle.take(table, Use::Read, taken) {
                got.unprocessed.push(at);
                refusal = Some(error);
                continue;
            }
            let found = read(&self.storage, &key::keyspace(table), key)?;
            let size = found.as_ref().map_or(0, item::size);
            let units = read_units(size, *consistent);
            self.throttle.correct(table, Use::Read, taken, units);
            *got.units.entry(table.name.clone()).or_default() += units;
            bytes += size;
            if bytes > BATCH_GET_BYTES_MAX {
                got.unprocessed.push(at);
            } else {
                got.items[at] = found;
            }
        }
        match refusal {
            Some(refusal) if got.unprocessed.len() == places.len() => Err(refusal),
            _ => Ok(got),
        }
    }
}

fn check_count(found: usize, max: usize) -> Result<(), TableError> {
    if found == 0 || found > max { Err(TableError::BatchSize { found, max }) } else { Ok(()) }
}
