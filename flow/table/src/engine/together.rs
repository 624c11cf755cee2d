//! Several items of one table read and changed as one: nobody else writes them in between, and all changes are one
//! transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;

use super::Tables;
use super::items::check_item;
use super::stripes::Needed;
use super::writing::Writing;
use crate::change::ChangeCause;
use crate::error::TableError;
use crate::item::Item;
use crate::key;

/// Items under way to being changed together.
pub struct Together {
    table: Arc<TableDefinition>,
    items: BTreeMap<Bytes, Held>,
}

struct Held {
    before: Option<Item>,
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
        check_item(&self.table, &item)?;
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
        let held = self.items.get_mut(key).ok_or(TableError::KeyMismatch)?;
        (held.item, held.changed) = (item, true);
        Ok(())
    }
}

impl Tables {
    /// Reads the items of some keys and makes durable what `change` makes of them: all of it, or nothing when it fails.
    /// The caller bounds how many they are. Counts no capacity.
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
        let submitted = self
            .off_worker(move |engine| -> Result<_, E> {
                let _turn = engine.stripes.lock(&Needed::of(&keys));
                let mut together = Together { table: Arc::clone(&table), items: BTreeMap::new() };
                for key in keys {
                    let before = engine.submitted(&table, &key)?;
                    together.items.insert(key, Held { item: before.clone(), before, changed: false });
                }
                let told = change(&mut together)?;
                let mut writing = Writing::new(engine);
                for (key, Held { before, item, .. }) in together.items.into_iter().filter(|(_, held)| held.changed) {
                    writing.item(&table, key, (before.as_ref(), item.as_ref()), ChangeCause::Caller)?;
                }
                Ok((engine.submit(writing.finish()?)?, told))
            })
            .await;
        match submitted {
            Ok((ticket, told)) => {
                ticket.durable().await.map_err(TableError::from)?;
                Ok(told)
            }
            Err(error) => {
                // What made it fail may still be on its way to the disk.
                self.settled().await?;
                Err(error)
            }
        }
    }
}
