//! Indexes made and removed while their table is in use, one change at a time.
//!
//! Writes keep a new index from the moment that its definition stands; items from before get their entries in the background,
//! each under the lock of its writers, and then it can be read. Writes stop keeping an index that goes before its entries are
//! removed in one piece. What is half done goes on after a restart: the definition says what is left to do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{IndexState, TableDefinition, TableIndex};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::{BoxFuture, ErrorKind};

use super::Tables;
use super::page::Scan;
use super::stripes::Needed;
use super::writing::Writing;
use crate::error::TableError;
use crate::{index, key};

/// Entries in one transaction: writers of these items wait while it is made.
const FILLED_MAX: usize = 100;
/// How long a fill waits when the disk takes nothing more just now.
const BUSY_WAIT: Duration = Duration::from_millis(100);

impl Tables {
    /// Adds an index, to be filled by [`Tables::settle_indexes`]; its number is given here.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::IndexExists`], [`TableError::IndexChanging`], [`TableError::Storage`].
    pub fn add_index<'a>(
        &'a self,
        table: &'a str,
        index: TableIndex,
    ) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        self.add_indexes(table, vec![index])
    }

    /// The same of several, all of them or none.
    ///
    /// # Errors
    /// As [`Tables::add_index`].
    pub fn add_indexes<'a>(
        &'a self,
        table: &'a str,
        indexes: Vec<TableIndex>,
    ) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut table = (*self.table(table)?).clone();
            check_settled(&table, false)?;
            if let Some(known) = indexes.iter().find(|new| table.indexes.iter().any(|known| known.name == new.name)) {
                return Err(TableError::IndexExists { index: known.name.clone() });
            }
            for index in indexes {
                let behind_all = table.indexes.iter().map(|known| known.number + 1).max().unwrap_or(0);
                let number = table.next_index.max(behind_all);
                table.next_index = number + 1;
                table.indexes.push(TableIndex { number, state: IndexState::Filling, ..index });
            }
            self.put_definition(turn, table).await
        })
    }

    /// Ends the use of an index that is not local, also of one that is being filled; [`Tables::settle_indexes`] removes it.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::IndexNotFound`], [`TableError::IndexChanging`],
    /// [`TableError::Storage`].
    pub fn remove_index<'a>(
        &'a self,
        table: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut table = (*self.table(table)?).clone();
            check_settled(&table, true)?;
            global(&mut table, name)?.state = IndexState::Going;
            self.put_definition(turn, table).await
        })
    }

    /// Gives an index that is not local capacity units of (reads, writes) per second.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::IndexNotFound`], [`TableError::Storage`].
    pub fn set_index_provisioned<'a>(
        &'a self,
        table: &'a str,
        name: &'a str,
        provisioned: (u64, u64),
    ) -> BoxFuture<'a, Result<Arc<TableDefinition>, TableError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut table = (*self.table(table)?).clone();
            global(&mut table, name)?.provisioned = Some(provisioned);
            self.put_definition(turn, table).await
        })
    }

    /// Fills indexes that are new and removes those that go. The server calls it once a second, never twice at a time.
    ///
    /// # Errors
    /// [`TableError::Storage`], [`TableError::UnreadableItem`]: the first of them, after all were tried; they are tried again
    /// with the next call.
    pub fn settle_indexes(&self) -> BoxFuture<'_, Result<(), TableError>> {
        Box::pin(async move {
            let mut failed = None;
            for table in self.list() {
                for index in table.indexes.iter().filter(|index| index.state != IndexState::Active) {
                    let settled = match index.state {
                        IndexState::Going => self.remove_entries(&table, index).await,
                        _ => self.fill(&table, index).await,
                    };
                    match settled {
                        // Somebody changed the table meanwhile: the next call sees it as it is.
                        Ok(()) | Err(TableError::TableNotFound { .. } | TableError::IndexesChanged { .. }) => {}
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
            }
            failed.map_or(Ok(()), Err)
        })
    }

    async fn fill(&self, table: &Arc<TableDefinition>, index: &TableIndex) -> Result<(), TableError> {
        // Items of writers that do not know the index are there to be found from here on.
        self.definition_seen().await?;
        let mut start = None;
        loop {
            let page = self.scan_freely(table, Scan { start, ..Scan::default() }).await?;
            let keys = page.items.iter().map(|item| key::encode_of_item(table, item)).collect::<Result<Vec<_>, _>>()?;
            for keys in keys.chunks(FILLED_MAX) {
                while let Err(error) = self.fill_some(table, index, keys.to_vec()).await {
                    if error.kind() != ErrorKind::Throttled {
                        return Err(error);
                    }
                    // What is filled stays filled: the disk catches up.
                    tokio::time::sleep(BUSY_WAIT).await;
                }
            }
            start = page.last_key;
            if start.is_none() {
                break;
            }
        }
        let turn = self.turn().await;
        let mut table = (*self.current(table, index, IndexState::Filling)?).clone();
        global(&mut table, &index.name)?.state = IndexState::Active;
        self.put_definition(turn, table).await.map(drop)
    }

    /// Writes the entries of some items, each as it is now.
    async fn fill_some(
        &self,
        table: &Arc<TableDefinition>,
        index: &TableIndex,
        keys: Vec<Bytes>,
    ) -> Result<(), TableError> {
        let (table, index) = (Arc::clone(table), index.clone());
        let ticket = self
            .off_worker(move |engine| {
                let _turn = engine.stripes.lock(&Needed::of(&keys));
                let mut writing = Writing::new(engine);
                for key in keys {
                    if let Some(item) = engine.submitted(&table, &key)? {
                        writing.filled(&table, &index, &item)?;
                    }
                }
                engine.submit(writing.finish()?)
            })
            .await?;
        ticket.durable().await?;
        Ok(())
    }

    async fn remove_entries(&self, table: &TableDefinition, index: &TableIndex) -> Result<(), TableError> {
        // Entries of writers that know the index are written before they go, and none comes behind.
        self.definition_seen().await?;
        let turn = self.turn().await;
        let mut table = (*self.current(table, index, IndexState::Going)?).clone();
        let mut transaction = Transaction::new();
        transaction.drop_keyspace(&index::keyspace(&table, index));
        // An index that the table was made with is not counted yet.
        table.next_index = table.next_index.max(index.number + 1);
        table.indexes.retain(|known| known.number != index.number);
        let engine = self.clone();
        to_the_end(async move {
            let _turn = turn;
            engine.catalog.tables.put_with(table, transaction).await?;
            Ok(())
        })
        .await
    }

    /// The table as it is now, if it still has that index in that state.
    fn current(
        &self,
        table: &TableDefinition,
        index: &TableIndex,
        state: IndexState,
    ) -> Result<Arc<TableDefinition>, TableError> {
        let now = self.table(&table.name)?;
        let is_same = |known: &TableIndex| known.number == index.number && known.state == state;
        match now.id == table.id && now.indexes.iter().any(is_same) {
            true => Ok(now),
            false => Err(TableError::IndexesChanged { table: table.name.clone() }),
        }
    }
}

/// Refuses a change while another is under way. An index may go while it or others are filled: else of two that cannot be
/// filled neither could ever go.
fn check_settled(table: &TableDefinition, removing: bool) -> Result<(), TableError> {
    let waits_for = |index: &TableIndex| match index.state {
        IndexState::Active => false,
        IndexState::Filling => !removing,
        IndexState::Going => true,
    };
    match table.indexes.iter().any(waits_for) {
        true => Err(TableError::IndexChanging { table: table.name.clone() }),
        false => Ok(()),
    }
}

fn global<'t>(table: &'t mut TableDefinition, name: &str) -> Result<&'t mut TableIndex, TableError> {
    let found = table.indexes.iter_mut().find(|index| index.name == name && !index.local);
    found.ok_or_else(|| TableError::IndexNotFound { index: name.to_owned() })
}
