//! Tables themselves: made, changed and removed, with the stream of their changes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use millstream_catalog::{ChangeView, KeyAttribute, TableChanges, TableDefinition, TableIndex, TableOwner};
use millstream_storage::{Transaction, to_the_end};
use millstream_stream::{NewStream, StreamError};
use millstream_types::BoxFuture;
use tokio::sync::OwnedMutexGuard;

use super::writing::of_stream;
use super::{Tables, sizes};
use crate::change::{CHANGES_RETENTION_HOURS, Change};
use crate::error::TableError;
use crate::{index, key};

/// Labels of one table: the service family's own limit.
pub const TAGS_MAX: usize = 50;

/// Shards of a stream of changes. One keeps all changes of a table in one order; changes are spread by hash key, so more of
/// them need nothing else.
const CHANGE_SHARDS: u32 = 1;

/// What a table is made from.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its name.
    pub name: String,
    /// The hash key.
    pub hash_key: KeyAttribute,
    /// The sort key, if items have one.
    pub sort_key: Option<KeyAttribute>,
    /// Capacity units of (reads, writes) per second; requests above are refused. `None`: pay per request, nothing is refused.
    pub provisioned: Option<(u64, u64)>,
    /// What its change records show; `None`: changes are not told.
    pub changes: Option<ChangeView>,
    /// Its secondary indexes, each with a name and a number of its own.
    pub indexes: Vec<TableIndex>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// Whose it is.
    pub owner: TableOwner,
    /// Bytes of names and values that one item may have.
    pub item_bytes_max: usize,
}

impl Tables {
    /// Makes a table; it can be used when this returns.
    ///
    /// # Errors
    /// [`TableError::TableExists`], [`TableError::TooManyTags`], [`TableError::Storage`].
    pub fn create(&self, new: NewTable) -> BoxFuture<'_, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let engine = self.clone();
            to_the_end(async move { engine.create_now(new).await }).await
        })
    }

    async fn create_now(&self, new: NewTable) -> Result<Arc<TableDefinition>, TableError> {
        let _turn = self.changing.lock().await;
        if self.catalog.tables.get(&new.name).is_some() {
            return Err(TableError::TableExists { table: new.name });
        }
        check_tags(&new.tags)?;
        let changes = match new.changes {
            Some(view) => Some(self.make_changes(&new.name, view, None).await?),
            None => None,
        };
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
            changes,
            expiry: None,
            indexes: new.indexes,
            next_index: 0,
        };
        Ok(self.catalog.tables.create(definition).await?)
    }

    /// Removes a table, its items and its changes, and tells what it was.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::Storage`].
    pub fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let table = self.table(name)?;
            let mut transaction = Transaction::new();
            transaction.drop_keyspace(&key::keyspace(&table));
            for index in &table.indexes {
                transaction.drop_keyspace(&index::keyspace(&table, index));
            }
            transaction.delete(&sizes::keyspace(), sizes::key(&table));
            let engine = self.clone();
            to_the_end(async move {
                let _turn = turn;
                let table = engine.remove(&table, transaction).await?;
                // A crash before this leaves a stream of nobody; a table of the same name removes it when it makes its own.
                engine.remove_changes(&table.name).await?;
                Ok(table)
            })
            .await
        })
    }

    /// Removes a table's definition and items. What was submitted for it before is written before; afterwards nothing is.
    async fn remove(
        &self,
        table: &TableDefinition,
        transaction: Transaction,
    ) -> Result<Arc<TableDefinition>, TableError> {
        let going = || self.going.write().unwrap_or_else(PoisonError::into_inner);
        going().insert(table.id);
        let removed = self.catalog.tables.delete(&table.name, transaction).await;
        going().remove(&table.id);
        let removed = removed?;
        self.throttle.forget(&removed);
        Ok(removed)
    }

    /// Gives a table capacity units of (reads, writes) per second, or `None` for pay per request.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::Storage`].
    pub fn set_provisioned<'a>(
        &'a self,
        name: &'a str,
        provisioned: Option<(u64, u64)>,
    ) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut table = (*self.table(name)?).clone();
            table.provisioned = provisioned;
            self.put_definition(turn, table).await
        })
    }

    /// Begins to tell a table's changes, in a new stream in the place of one before, or ends it: what was told stays readable
    /// for its time.
    ///
    /// # Errors
    /// [`TableError::ChangesEnabled`], [`TableError::ChangesDisabled`] when there is nothing to do;
    /// [`TableError::TableNotFound`], [`TableError::Storage`].
    pub fn set_changes<'a>(
        &'a self,
        name: &'a str,
        view: Option<ChangeView>,
    ) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let (engine, name) = (self.clone(), name.to_owned());
            to_the_end(async move { engine.set_changes_now(&name, view).await }).await
        })
    }

    async fn set_changes_now(&self, name: &str, view: Option<ChangeView>) -> Result<Arc<TableDefinition>, TableError> {
        let turn = self.turn().await;
        let mut table = (*self.table(name)?).clone();
        table.changes = match (view, table.changes.take()) {
            (Some(_), Some(TableChanges { enabled: true, .. })) => {
                return Err(TableError::ChangesEnabled { table: table.name });
            }
            (Some(view), before) => Some(self.make_changes(name, view, before.as_ref()).await?),
            (None, Some(before)) if before.enabled => Some(TableChanges { enabled: false, ..before }),
            (None, _) => return Err(TableError::ChangesDisabled { table: table.name }),
        };
        self.put_definition(turn, table).await
    }

    /// Names the attribute that says when an item may go, in seconds since 1970; `None`: items stay.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::Storage`].
    pub fn set_expiry<'a>(
        &'a self,
        name: &'a str,
        attribute: Option<String>,
    ) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut table = (*self.table(name)?).clone();
            table.expiry = attribute;
            self.put_definition(turn, table).await
        })
    }

    /// Adds labels, or changes them.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::TooManyTags`], [`TableError::Storage`].
    pub fn add_tags<'a>(
        &'a self,
        name: &'a str,
        tags: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut table = (*self.table(name)?).clone();
            table.tags.extend(tags);
            check_tags(&table.tags)?;
            self.put_definition(turn, table).await.map(drop)
        })
    }

    /// Removes labels; no error for those that are not there.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::Storage`].
    pub fn remove_tags<'a>(&'a self, name: &'a str, keys: &'a [String]) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut table = (*self.table(name)?).clone();
            table.tags.retain(|key, _| !keys.contains(key));
            self.put_definition(turn, table).await.map(drop)
        })
    }

    /// Waits until no other change of definitions is under way.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.changing).lock_owned().await
    }

    /// Writes a changed definition. The turn is held until it stands, though who asked goes away: a removal that comes next
    /// finds nothing of it behind itself.
    pub(super) async fn put_definition(
        &self,
        turn: OwnedMutexGuard<()>,
        table: TableDefinition,
    ) -> Result<Arc<TableDefinition>, TableError> {
        let engine = self.clone();
        to_the_end(async move {
            let _turn = turn;
            Ok(engine.catalog.tables.put(table).await?)
        })
        .await
    }

    async fn make_changes(
        &self,
        table: &str,
        view: ChangeView,
        before: Option<&TableChanges>,
    ) -> Result<TableChanges, TableError> {
        self.remove_changes(table).await?;
        let new = NewStream {
            name: Change::stream(table),
            owner: millstream_catalog::StreamOwner::Table,
            shards: CHANGE_SHARDS,
            retention_hours: CHANGES_RETENTION_HOURS,
        };
        self.streams.create(new).await.map_err(of_stream)?;
        // The time tells streams of one table from each other, so it never comes twice.
        let created = before.map_or(0, |before| before.created + 1).max(self.clock.now());
        Ok(TableChanges { view, created, enabled: true })
    }

    async fn remove_changes(&self, table: &str) -> Result<(), TableError> {
        match self.streams.delete(&Change::stream(table)).await {
            Ok(()) | Err(StreamError::StreamNotFound { .. }) => Ok(()),
            Err(error) => Err(of_stream(error)),
        }
    }
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), TableError> {
    if tags.len() > TAGS_MAX {
        return Err(TableError::TooManyTags { found: tags.len(), max: TAGS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use millstream_catalog::{Catalog, KeyType};
    use millstream_storage::Storage;
    use millstream_types::ManualClock;

    use super::*;
    use crate::change::ChangeCause;
    use crate::engine::writing::Writing;
    use crate::item::{AttributeValue, Item};

    #[tokio::test]
    async fn nothing_is_written_to_a_table_that_is_gone_or_going() {
        let clock = Arc::new(ManualClock::at(0));
        let storage = Storage::in_memory(clock.clone());
        let tables = Tables::new(storage.clone(), Catalog::open(&storage).unwrap(), clock);
        let new = || NewTable {
            name: "t".into(),
            hash_key: KeyAttribute { name: "id".into(), key_type: KeyType::String },
            sort_key: None,
            provisioned: None,
            changes: None,
            indexes: Vec::new(),
            tags: BTreeMap::new(),
            owner: TableOwner::default(),
            item_bytes_max: millstream_catalog::TABLE_ITEM_BYTES_MAX,
        };
        let table = tables.create(new()).await.unwrap();
        let item = Item::from([("id".into(), AttributeValue::String("a".into()))]);
        let writing = || {
            let mut writing = Writing::new(&tables);
            let key = key::encode_of_item(&table, &item).unwrap();
            writing.item(&table, key, (None, Some(&item)), ChangeCause::Caller).unwrap();
            writing.finish().unwrap()
        };
        tables.submit(writing()).unwrap();
        tables.going.write().unwrap().insert(table.id);
        assert!(matches!(tables.submit(writing()), Err(TableError::TableNotFound { .. })));
        tables.going.write().unwrap().clear();
        // A write that was begun before the table went.
        let late = writing();
        tables.delete("t").await.unwrap();
        assert!(matches!(tables.submit(late), Err(TableError::TableNotFound { .. })));
        let again = tables.create(new()).await.unwrap();
        assert!(matches!(tables.submit(writing()), Err(TableError::TableNotFound { .. })), "another of the name");
        assert_ne!(again.id, table.id);
        assert!(tables.going.read().unwrap().is_empty());
        // A removal whose caller went away at once: the next change waits for its end.
        {
            let removal = tables.delete("t");
            tokio::pin!(removal);
            assert!(poll_fn(|context| Poll::Ready(removal.as_mut().poll(context).is_pending())).await);
        }
        assert_ne!(tables.create(new()).await.unwrap().id, again.id);
    }
}
