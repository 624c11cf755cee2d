//! What changes of items add to one transaction: the items themselves, their entries in indexes and, for tables
//! that tell their changes, a record of each change. One transaction: a crash leaves all of it or nothing.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use bytes::Bytes;
use millstream_catalog::{TableDefinition, TableIndex};
use millstream_storage::{Ticket, Transaction};
use millstream_stream::{Entry, StreamError};

use super::Tables;
use crate::capacity::write_units;
use crate::change::{Change, ChangeCause, ChangeKind};
use crate::error::TableError;
use crate::item::{self, Item};
use crate::{index, key, stored};

/// Whether a write must know the item as it was: to tell of the change, to remove its index entries, or to charge for the
/// larger of the two.
pub(super) fn needs_old(table: &TableDefinition) -> bool {
    table.change_view().is_some() || table.kept_indexes().next().is_some() || table.provisioned.is_some()
}

/// A transaction in the making.
pub(super) struct Writing<'e> {
    tables: &'e Tables,
    transaction: Transaction,
    told: BTreeMap<String, Vec<Entry>>,
    written: BTreeMap<u64, Known>,
}

/// A transaction with the tables that it writes to, by their ids.
pub(super) struct Written {
    pub(super) transaction: Transaction,
    tables: BTreeMap<u64, Known>,
}

/// What a transaction was made from, as far as it must still be so when the transaction is submitted.
struct Known {
    table: String,
    /// Numbers of the indexes that it kept; `None`: it changes no items.
    kept: Option<Vec<u32>>,
}

impl Known {
    fn of(table: &TableDefinition) -> Self {
        Self { table: table.name.clone(), kept: Some(kept(table)) }
    }
}

fn kept(table: &TableDefinition) -> Vec<u32> {
    table.kept_indexes().map(|index| index.number).collect()
}

impl Written {
    /// What is kept beside a table's items and may only be written while the table is there.
    pub(super) fn beside(table: &TableDefinition, transaction: Transaction) -> Self {
        Self { transaction, tables: BTreeMap::from([(table.id, Known { table: table.name.clone(), kept: None })]) }
    }
}

impl<'e> Writing<'e> {
    pub(super) fn new(tables: &'e Tables) -> Self {
        Self { tables, transaction: Transaction::new(), told: BTreeMap::new(), written: BTreeMap::new() }
    }

    /// Adds one item's change: `new` in the place of `old`. `old` is not looked at unless [`needs_old`]. Gives the write units
    /// that its index entries count for.
    ///
    /// # Errors
    /// Those of keys, if an entry cannot be.
    pub(super) fn item(
        &mut self,
        table: &TableDefinition,
        key: Bytes,
        (old, new): (Option<&Item>, Option<&Item>),
        cause: ChangeCause,
    ) -> Result<f64, TableError> {
        self.written.entry(table.id).or_insert_with(|| Known::of(table));
        self.tell(table, old, new, cause);
        let keyspace = key::keyspace(table);
        match new {
            Some(item) => self.transaction.put(&keyspace, key, stored::encode(item)),
            None => self.transaction.delete(&keyspace, key),
        };
        let mut units = 0.0;
        for index in table.kept_indexes() {
            units += self.entry(table, index, old, new)?;
        }
        Ok(units)
    }

    /// Adds the entry of an item that is as old as its index or older.
    pub(super) fn filled(
        &mut self,
        table: &TableDefinition,
        index: &TableIndex,
        item: &Item,
    ) -> Result<(), TableError> {
        self.written.entry(table.id).or_insert_with(|| Known::of(table));
        self.entry(table, index, None, Some(item)).map(drop)
    }

    /// Replaces an item's entry in an index. One that stays as it is costs nothing.
    fn entry(
        &mut self,
        table: &TableDefinition,
        index: &TableIndex,
        old: Option<&Item>,
        new: Option<&Item>,
    ) -> Result<f64, TableError> {
        let entry = |item: Option<&Item>| item.map_or(Ok(None), |item| index::entry(table, index, item));
        let (old, new) = (entry(old)?, entry(new)?);
        if old == new {
            return Ok(0.0);
        }
        let (keyspace, mut units) = (index::keyspace(table, index), 0.0);
        let size = |entry: &Option<(Bytes, Item)>| entry.as_ref().map_or(0, |(_, held)| item::size(held));
        let sizes = (size(&old), size(&new));
        let moved = old.as_ref().map(|(key, _)| key) != new.as_ref().map(|(key, _)| key);
        if let Some((key, _)) = old.filter(|_| moved) {
            self.transaction.delete(&keyspace, key);
            units += write_units(sizes.0);
        }
        if let Some((key, held)) = new {
            self.transaction.put(&keyspace, key, stored::encode(&held));
            units += write_units(if moved { sizes.1 } else { sizes.0.max(sizes.1) });
        }
        Ok(units)
    }

    fn tell(&mut self, table: &TableDefinition, old: Option<&Item>, new: Option<&Item>, cause: ChangeCause) {
        let Some(view) = table.change_view() else { return };
        let kind = match (old, new) {
            (None, Some(_)) => ChangeKind::Insert,
            (Some(_), None) => ChangeKind::Remove,
            (Some(old), Some(new)) if old != new => ChangeKind::Modify,
            // Nothing is another now: there is nothing to tell.
            (Some(_), Some(_)) | (None, None) => return,
        };
        let Some(item) = new.or(old) else { return };
        let change = Change {
            kind,
            view,
            cause,
            time: self.tables.clock.now(),
            keys: key::of_item(table, item),
            old: old.filter(|_| view.shows_old()).cloned(),
            new: new.filter(|_| view.shows_new()).cloned(),
        };
        // The hash key alone: changes of one item, and of all items of one hash key, stay in their order.
        let partition_key = item.get(&table.hash_key.name).map(ToString::to_string).unwrap_or_default();
        self.told.entry(Change::stream(&table.name)).or_default().push(Entry {
            partition_key: Bytes::from(partition_key),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: change.encode(),
        });
    }

    /// The transaction with all that was added.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`] when a table went with its stream in the meantime.
    pub(super) fn finish(mut self) -> Result<Written, TableError> {
        let mut appends = 0;
        for (stream, entries) in &self.told {
            let staged = self.tables.streams.stage(stream, entries, &mut self.transaction, appends);
            appends += staged.map_err(of_stream)?.appends();
        }
        Ok(Written { transaction: self.transaction, tables: self.written })
    }
}

impl Tables {
    /// Orders a transaction to the disk, unless a table of it is gone or going: its items' keyspace goes in one piece, and
    /// nothing may be put there afterwards. The same holds for its indexes, and a new one must miss no write.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::IndexesChanged`], [`TableError::Storage`].
    pub(super) fn submit(&self, written: Written) -> Result<Ticket, TableError> {
        let tables: Vec<u64> = written.tables.keys().copied().collect();
        let ticket = self.order(written)?;
        self.counts.changed(&tables);
        Ok(ticket)
    }

    /// As [`Tables::submit`], for what changes no items.
    pub(super) fn order(&self, written: Written) -> Result<Ticket, TableError> {
        let going = self.going.read().unwrap_or_else(PoisonError::into_inner);
        for (id, known) in &written.tables {
            let found = self.catalog.tables.get(&known.table).filter(|table| table.id == *id && !going.contains(id));
            let Some(table) = found else { return Err(TableError::TableNotFound { table: known.table.clone() }) };
            if known.kept.as_ref().is_some_and(|before| *before != kept(&table)) {
                return Err(TableError::IndexesChanged { table: known.table.clone() });
            }
        }
        Ok(self.storage.submit(written.transaction)?)
    }
}

impl Tables {
    /// Waits until every transaction that was made from a definition before the present one is durable, and none comes any
    /// more: whoever checked the definition before has submitted.
    pub(super) async fn definition_seen(&self) -> Result<(), TableError> {
        drop(self.going.write().unwrap_or_else(PoisonError::into_inner));
        self.settled().await
    }
}

/// An error of a table's own stream.
pub(super) fn of_stream(error: StreamError) -> TableError {
    match error {
        StreamError::StreamNotFound { stream } => {
            TableError::TableNotFound { table: stream.trim_start_matches("changes/").to_owned() }
        }
        StreamError::Storage(error) => TableError::Storage(error),
        other => TableError::Stream(other),
    }
}
