//! One item: read, put, deleted and updated, each write with an optional condition.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;
use millstream_storage::Ticket;
use millstream_types::BoxFuture;

use super::stripes::Needed;
use super::throttle::Use;
use super::writing::{Writing, Written, needs_old};
use super::{Tables, read};
use crate::capacity::{read_units, write_units};
use crate::change::ChangeCause;
use crate::error::TableError;
use crate::expression::{Condition, UpdateExpression};
use crate::item::{self, Item};
use crate::{index, key};

/// An item to be put in whole.
#[derive(Debug, Clone)]
pub struct Put {
    /// With its key among its attributes.
    pub item: Item,
    /// Must hold for the item that is there.
    pub condition: Option<Condition>,
    /// Tell what was there.
    pub return_old: bool,
}

/// An item to be removed.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Its key.
    pub key: Item,
    /// Must hold for the item that is there.
    pub condition: Option<Condition>,
    /// Tell what was there.
    pub return_old: bool,
}

/// An item to be changed, or made when there is none.
#[derive(Debug, Clone)]
pub struct Update {
    /// Its key.
    pub key: Item,
    /// What to change; `None` only makes sure that there is an item.
    pub update: Option<UpdateExpression>,
    /// Must hold for the item that is there.
    pub condition: Option<Condition>,
}

/// An item that was looked for.
#[derive(Debug, Clone)]
pub struct Read {
    /// It, if there is one.
    pub item: Option<Item>,
    /// Read capacity units.
    pub units: f64,
}

/// A written item.
#[derive(Debug, Clone)]
pub struct Write {
    /// What was there before, if it was asked for.
    pub old: Option<Item>,
    /// Write capacity units. Of the new item alone when nothing made the write look at the old one.
    pub units: f64,
}

/// An updated item.
#[derive(Debug, Clone)]
pub struct Updated {
    /// What was there before.
    pub old: Option<Item>,
    /// What is there now; `None`: there was nothing, and what only takes away makes nothing.
    pub new: Option<Item>,
    /// Write capacity units.
    pub units: f64,
}

impl Tables {
    /// The item of a key, as it is durable; `None` when there is none.
    ///
    /// # Errors
    /// As [`Tables::read`].
    pub fn get<'a>(&'a self, table: &'a str, key: &'a Item) -> BoxFuture<'a, Result<Option<Item>, TableError>> {
        Box::pin(async move { Ok(self.read(table, key, true).await?.item) })
    }

    /// The item of a key, as it is durable, and what the read counts for: all reads are consistent, one that need not be
    /// counts for half.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::KeyMismatch`], [`TableError::Throttled`], [`TableError::Storage`].
    pub fn read<'a>(
        &'a self,
        table: &'a str,
        key: &'a Item,
        consistent: bool,
    ) -> BoxFuture<'a, Result<Read, TableError>> {
        Box::pin(async move {
            let table = self.table(table)?;
            let key = key::encode_of_key(&table, key)?;
            let taken = read_units(0, consistent);
            self.throttle.take(&table, Use::Read, taken)?;
            self.off_worker(move |engine| {
                let item = read(&engine.storage, &key::keyspace(&table), &key)?;
                let units = read_units(item.as_ref().map_or(0, item::size), consistent);
                engine.throttle.correct(&table, Use::Read, taken, units);
                Ok(Read { item, units })
            })
            .await
        })
    }

    /// Puts an item in the place of what is there. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], those of keys and limits, [`TableError::ConditionFailed`], [`TableError::Throttled`],
    /// [`TableError::Storage`].
    pub fn put<'a>(&'a self, table: &'a str, put: Put) -> BoxFuture<'a, Result<Write, TableError>> {
        Box::pin(async move {
            let table = self.table(table)?;
            let key = key::encode_of_item(&table, &put.item)?;
            check_item(&table, &put.item)?;
            let Put { item, condition, return_old } = put;
            let units = write_units(item::size(&item));
            self.throttle.take(&table, Use::Write, units)?;
            if condition.is_none() && !return_old && !needs_old(&table) {
                self.write_blindly(&table, key, Some(&item)).await?;
                return Ok(Write { old: None, units });
            }
            let written = self.change(table, key, condition, units, |_| Ok(Some(item))).await?;
            Ok(Write { old: written.old, units: written.units })
        })
    }

    /// Removes an item; no error when there is none. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::KeyMismatch`], [`TableError::ConditionFailed`],
    /// [`TableError::Throttled`], [`TableError::Storage`].
    pub fn delete_item<'a>(&'a self, table: &'a str, deletion: Deletion) -> BoxFuture<'a, Result<Write, TableError>> {
        Box::pin(async move {
            let table = self.table(table)?;
            let Deletion { key, condition, return_old } = deletion;
            let key = key::encode_of_key(&table, &key)?;
            let units = write_units(0);
            self.throttle.take(&table, Use::Write, units)?;
            if condition.is_none() && !return_old && !needs_old(&table) {
                self.write_blindly(&table, key, None).await?;
                return Ok(Write { old: None, units });
            }
            let written = self.change(table, key, condition, units, |_| Ok(None)).await?;
            Ok(Write { old: written.old, units: written.units })
        })
    }

    /// Changes an item, or makes it. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], those of keys, limits and updates, [`TableError::ConditionFailed`],
    /// [`TableError::Throttled`], [`TableError::Storage`].
    pub fn update<'a>(&'a self, table: &'a str, update: Update) -> BoxFuture<'a, Result<Updated, TableError>> {
        Box::pin(async move {
            let table = self.table(table)?;
            let Update { key, update, condition } = update;
            let encoded = key::encode_of_key(&table, &key)?;
            check_spares_key(&table, update.as_ref())?;
            let units = write_units(item::size(&key));
            self.throttle.take(&table, Use::Write, units)?;
            let definition = Arc::clone(&table);
            let change = move |old: Option<&Item>| updated(&definition, &key, old, update.as_ref());
            let Changed { old, new, units } = self.change(table, encoded, condition, units, change).await?;
            Ok(Updated { old, new, units })
        })
    }

    /// Writes an item without a look at what is there.
    async fn write_blindly(&self, table: &TableDefinition, key: Bytes, new: Option<&Item>) -> Result<(), TableError> {
        let needed = Needed::of(&[&key]);
        let mut writing = Writing::new(self);
        writing.item(table, key, (None, new), ChangeCause::Caller)?;
        self.submit_ordered(needed, writing.finish()?).await?.durable().await?;
        Ok(())
    }

    /// Submits between the writers of the same items. Nothing is read, so this is done on the spot unless somebody else
    /// holds a lock.
    pub(super) async fn submit_ordered(&self, needed: Needed, written: Written) -> Result<Ticket, TableError> {
        if let Some(_turn) = self.stripes.try_lock(&needed) {
            return self.submit(written);
        }
        self.off_worker(move |engine| {
            let _turn = engine.stripes.lock(&needed);
            engine.submit(written)
        })
        .await
    }

    /// Reads an item, checks the condition, submits what `change` makes of it, and waits for the disk. `taken` write units
    /// were taken before; what the change counts for in truth is the larger item.
    async fn change(
        &self,
        table: Arc<TableDefinition>,
        key: Bytes,
        condition: Option<Condition>,
        taken: f64,
        change: impl FnOnce(Option<&Item>) -> Result<Option<Item>, TableError> + Send + 'static,
    ) -> Result<Changed, TableError> {
        let submitted = self
            .off_worker(move |engine| {
                let _turn = engine.stripes.lock(&Needed::of(&[&key]));
                let old = engine.submitted(&table, &key)?;
                let outcome = checked(condition.as_ref(), old.as_ref()).and_then(|()| change(old.as_ref()));
                let mut units = units_of(old.as_ref(), outcome.as_ref().ok().and_then(Option::as_ref)).max(taken);
                let mut writing = Writing::new(engine);
                if let Ok(new) = &outcome {
                    units += writing.item(&table, key, (old.as_ref(), new.as_ref()), ChangeCause::Caller)?;
                }
                engine.throttle.correct(&table, Use::Write, taken, units);
                let new = outcome?;
                Ok((engine.submit(writing.finish()?)?, Changed { old, new, units }))
            })
            .await;
        match submitted {
            Ok((ticket, changed)) => {
                ticket.durable().await?;
                Ok(changed)
            }
            Err(error @ TableError::ConditionFailed { .. }) => {
                // The item that broke the condition may still be on its way to the disk.
                self.settled().await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

/// What a change did.
struct Changed {
    old: Option<Item>,
    new: Option<Item>,
    units: f64,
}

/// Write units of a change: those of the larger item.
pub(super) fn units_of(old: Option<&Item>, new: Option<&Item>) -> f64 {
    write_units(old.map_or(0, item::size).max(new.map_or(0, item::size)))
}

/// Whether a condition holds for what is there.
pub(super) fn checked(condition: Option<&Condition>, old: Option<&Item>) -> Result<(), TableError> {
    match condition {
        Some(condition) if !condition.holds(old.unwrap_or(&Item::new())) => {
            Err(TableError::ConditionFailed { item: old.cloned().map(Box::new) })
        }
        _ => Ok(()),
    }
}

/// Refuses updates of key attributes.
pub(super) fn check_spares_key(table: &TableDefinition, update: Option<&UpdateExpression>) -> Result<(), TableError> {
    let of_key = |attribute: &&str| key::attributes(table).any(|part| part.name == *attribute);
    match update.and_then(|update| update.attributes().find(of_key)) {
        Some(attribute) => Err(TableError::UpdatesKey { attribute: attribute.to_owned() }),
        None => Ok(()),
    }
}

/// What an update makes of an item, or of its key when there is no item.
pub(super) fn updated(
    table: &TableDefinition,
    key: &Item,
    old: Option<&Item>,
    update: Option<&UpdateExpression>,
) -> Result<Option<Item>, TableError> {
    let before = old.unwrap_or(key);
    let new = match update {
        Some(update) if old.is_none() && update.only_takes_away() => return Ok(None),
        Some(update) => update.apply(before)?,
        None => before.clone(),
    };
    check_item(table, &new)?;
    Ok(Some(new))
}

/// Refuses items over the table's limits and those that its indexes cannot have.
pub(super) fn check_item(table: &TableDefinition, item: &Item) -> Result<(), TableError> {
    item::check_limits(item, table.item_bytes_max)?;
    index::check(table, item)
}
