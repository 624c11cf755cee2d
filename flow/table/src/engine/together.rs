//! Several items of one table read and changed as one: nobody else writes them in between, and all changes are one
//! transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;
use millstream_storage::{StorageError, Transaction};

use super::Tables;
use super::stripes::Needed;
use crate::error::TableError;
use crate::item::{self, Item};
use crate::{key, stored};

/// Items under way to being changed together.
pub struct Together {
    table: Arc<TableDefinition>,
    items: BTreeMap<Bytes, Held>,
}

struct Held {
    item: Option<Item>,
    changed: bool,
}

impl Together {
    /// The item of a key, with the changes made so far.
    ///
    /// # Errors
    /// [`TableError::KeyMismatch`] for a key that was not asked for.
    pub fn get(&self, key: &Item) -> Result<Option<&Item>, TableError> {
        let held = self.items.get(&key::encode_of_key(&self.table, key)?).ok_or(TableError::KeyMismatch)?;
        Ok(held.item.as_ref())
    }

    /// Puts an item in the place of what is there.
    ///
    /// # Errors
    /// Those of keys and limits; [`TableError::KeyMismatch`] for a key that was not asked for.
    pub fn put(&mut self, item: Item) -> Result<(), TableError> {
        item::check_limits(&item, self.table.item_bytes_max)?;
        let key = key::encode_of_item(&self.table, &item)?;
        self.change(&key, Some(item))
    }

    /// Removes an item.
    ///
    /// # Errors
    /// [`TableError::KeyMismatch`] for a key that was not asked for.
    pub fn delete(&mut self, key: &Item) -> Result<(), TableError> {
        let key = key::encode_of_key(&self.table, key)?;
        self.change(&key, None)
    }

    fn change(&mut self, key: &Bytes, item: Option<Item>) -> Result<(), TableError> {
        *self.items.get_mut(key).ok_or(TableError::KeyMismatch)? = Held { item, changed: true };
        Ok(())
    }
}

impl Tables {
    /// Reads the items of some keys and makes durable what `change` makes of them: all of it, or nothing when it fails.
    /// The caller bounds how many they are.
    ///
    /// # Errors
    /// Those of `change`; [`TableError::TableNotFound`], [`TableError::KeyMismatch`], [`TableError::Storage`].
    pub async fn together<T: Send + 'static, E: From<TableError> + Send + 'static>(
        &self,
        table: &str,
        keys: &[Item],
        change: impl FnOnce(&mut Together) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let table = self.table(table)?;
        let keys = keys.iter().map(|key| key::encode_of_key(&table, key)).collect::<Result<Vec<_>, _>>()?;
        let (storage, stripes) = (self.storage.clone(), Arc::clone(&self.stripes));
        let submitted = tokio::task::spawn_blocking(move || -> Result<_, E> {
            let keyspace = key::keyspace(&table);
            let _turn = stripes.lock(&Needed::of(&keys));
            let mut together = Together { table, items: BTreeMap::new() };
            for key in keys {
                let found = storage.get_submitted(&keyspace, &key).map_err(TableError::from)?;
                let item = found.map(stored::decode).transpose()?;
                together.items.insert(key, Held { item, changed: false });
            }
            let told = change(&mut together)?;
            let mut transaction = Transaction::new();
            for (key, Held { item, .. }) in together.items.into_iter().filter(|(_, held)| held.changed) {
                match item {
                    Some(item) => transaction.put(&keyspace, key, stored::encode(&item)),
                    None => transaction.delete(&keyspace, key),
                };
            }
            Ok((storage.submit(transaction).map_err(TableError::from)?, told))
        })
        .await
        .map_err(|_| TableError::from(StorageError::Closed))?;
        match submitted {
            Ok((ticket, told)) => {
                ticket.durable().await.map_err(TableError::from)?;
                Ok(told)
            }
            Err(error) => {
                // What made it fail may still be on its way to the disk: whoever is told of it must be able to rely on it.
                self.storage.commit(Transaction::new()).await.map_err(TableError::from)?;
                Err(error)
            }
        }
    }
}
