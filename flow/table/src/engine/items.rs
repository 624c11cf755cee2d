//! Writes of one item: put, delete and update, each with an optional condition.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;
use millstream_storage::{Keyspace, Storage, Ticket, Transaction};

use super::stripes::Needed;
use super::{Tables, off_worker};
use crate::error::TableError;
use crate::expression::{Condition, UpdateExpression};
use crate::item::{self, Item};
use crate::{key, stored};

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

/// A written item.
#[derive(Debug, Clone, Default)]
pub struct Write {
    /// What was there before, if it was asked for.
    pub old: Option<Item>,
}

/// An updated item.
#[derive(Debug, Clone)]
pub struct Updated {
    /// What was there before.
    pub old: Option<Item>,
    /// What is there now.
    pub new: Item,
}

/// What a change makes of an item: the new one (`None`: it goes), and what the caller is told.
struct Change<T> {
    new: Option<Item>,
    told: T,
}

impl Tables {
    /// Puts an item in the place of what is there. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], those of keys and limits, [`TableError::ConditionFailed`], [`TableError::Storage`].
    pub async fn put(&self, table: &str, put: Put) -> Result<Write, TableError> {
        let table = self.table(table)?;
        let key = key::encode_of_item(&table, &put.item)?;
        item::check_limits(&put.item, table.item_bytes_max)?;
        let Put { item, condition, return_old } = put;
        if condition.is_none() && !return_old {
            let value = stored::encode(&item);
            self.write_blindly(&key::keyspace(&table), vec![(key, Some(value))]).await?;
            return Ok(Write::default());
        }
        let change = move |old: Option<Item>| Ok(Change { new: Some(item), told: Write { old } });
        self.change(&table, key, condition, change).await
    }

    /// Removes an item; no error when there is none. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::KeyMismatch`], [`TableError::ConditionFailed`], [`TableError::Storage`].
    pub async fn delete_item(&self, table: &str, deletion: Deletion) -> Result<Write, TableError> {
        let table = self.table(table)?;
        let key = key::encode_of_key(&table, &deletion.key)?;
        if deletion.condition.is_none() && !deletion.return_old {
            self.write_blindly(&key::keyspace(&table), vec![(key, None)]).await?;
            return Ok(Write::default());
        }
        let change = |old: Option<Item>| Ok(Change { new: None, told: Write { old } });
        self.change(&table, key, deletion.condition, change).await
    }

    /// Changes an item, or makes it. Durable when this returns.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], those of keys, limits and updates, [`TableError::ConditionFailed`],
    /// [`TableError::Storage`].
    pub async fn update(&self, table: &str, update: Update) -> Result<Updated, TableError> {
        let table = self.table(table)?;
        let encoded = key::encode_of_key(&table, &update.key)?;
        let Update { key, update, condition } = update;
        if let Some(update) = &update {
            let of_key = |attribute: &&str| key::attributes(&table).any(|part| part.name == *attribute);
            if let Some(attribute) = update.attributes().find(of_key) {
                return Err(TableError::UpdatesKey { attribute: attribute.to_owned() });
            }
        }
        let bytes_max = table.item_bytes_max;
        let change = move |old: Option<Item>| {
            let before = old.clone().unwrap_or(key);
            let new = match &update {
                Some(update) => update.apply(&before)?,
                None => before,
            };
            item::check_limits(&new, bytes_max)?;
            Ok(Change { new: Some(new.clone()), told: Updated { old, new } })
        };
        self.change(&table, encoded, condition, change).await
    }

    /// Writes items of one table without a look at what is there, as one transaction.
    pub(super) async fn write_blindly(
        &self,
        keyspace: &Keyspace,
        writes: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<(), TableError> {
        let keys: Vec<&Bytes> = writes.iter().map(|(key, _)| key).collect();
        let needed = Needed::of(&keys);
        let mut transaction = Transaction::new();
        for (key, value) in writes {
            match value {
                Some(value) => transaction.put(keyspace, key, value),
                None => transaction.delete(keyspace, key),
            };
        }
        self.submit_ordered(needed, transaction).await?.durable().await?;
        Ok(())
    }

    /// Submits between the writers of the same items. Nothing is read, so this is done on the spot unless somebody else
    /// holds a lock.
    pub(super) async fn submit_ordered(&self, needed: Needed, transaction: Transaction) -> Result<Ticket, TableError> {
        if let Some(_turn) = self.stripes.try_lock(&needed) {
            return Ok(self.storage.submit(transaction)?);
        }
        let stripes = Arc::clone(&self.stripes);
        off_worker(self.storage.clone(), move |storage| {
            let _turn = stripes.lock(&needed);
            Ok(storage.submit(transaction)?)
        })
        .await
    }

    /// Reads an item, checks the condition, submits what `change` makes of it, and waits for the disk.
    async fn change<T: Send + 'static>(
        &self,
        table: &TableDefinition,
        key: Bytes,
        condition: Option<Condition>,
        change: impl FnOnce(Option<Item>) -> Result<Change<T>, TableError> + Send + 'static,
    ) -> Result<T, TableError> {
        let (keyspace, stripes) = (key::keyspace(table), Arc::clone(&self.stripes));
        let submitted = off_worker(self.storage.clone(), move |storage| {
            let _turn = stripes.lock(&Needed::of(&[&key]));
            let old = storage.get_submitted(&keyspace, &key)?.map(stored::decode).transpose()?;
            if let Some(condition) = condition
                && !condition.holds(old.as_ref().unwrap_or(&Item::new()))
            {
                return Err(TableError::ConditionFailed { item: old.map(Box::new) });
            }
            let Change { new, told } = change(old)?;
            Ok((submit(storage, &keyspace, key, new)?, told))
        })
        .await;
        match submitted {
            Ok((ticket, told)) => {
                ticket.durable().await?;
                Ok(told)
            }
            Err(error @ TableError::ConditionFailed { .. }) => {
                // The item that broke the condition may still be on its way to the disk: whoever is told of it must be
                // able to rely on it, so this answer waits until everything before it is durable.
                self.storage.commit(Transaction::new()).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

fn submit(storage: &Storage, keyspace: &Keyspace, key: Bytes, new: Option<Item>) -> Result<Ticket, TableError> {
    let mut transaction = Transaction::new();
    match new {
        Some(item) => transaction.put(keyspace, key, stored::encode(&item)),
        None => transaction.delete(keyspace, key),
    };
    Ok(storage.submit(transaction)?)
}
