//! The operations on databases, containers and documents.
//!
//! Definitions are the catalog's. A container's documents are a table's items, so every write is one conditional write of
//! the table engine: whether a document may be made, replaced or removed is decided there, once.
//! Read next: `documents.rs` (one document), `batch.rs` (several as one), `feed.rs` (pages of all documents and of queries),
//! `changes.rs` (what changed), `expiry.rs` (what ends), `unique.rs` (who has which values), `throughput.rs` (what was promised).

mod batch;
mod changes;
mod claim;
mod continuation;
mod documents;
mod expiry;
mod feed;
mod port;
mod purge;
mod stale_claims;
mod throughput;
mod unique;

use std::sync::Arc;

use millstream_catalog::{
    Catalog, CatalogError, ChangeView, DocumentContainerDefinition, DocumentDatabaseDefinition, KeyAttribute, KeyType,
    TableOwner,
};
use millstream_storage::{Transaction, Turns};
use millstream_stream::Streams;
use millstream_table::{NewTable, TableError, Tables};
use millstream_types::{BoxFuture, Clock};

pub use batch::{BATCH_OPERATIONS_MAX, BatchAction, BatchOperation, BatchResult};
pub use changes::{ChangesFrom, ChangesPage, ChangesRequest};
pub use documents::{DOCUMENT_BYTES_MAX, Upserted};
pub use feed::{Feed, PageRequest};
pub use throughput::check as check_throughput;

use crate::document::{ID, PARTITION, check_name};
use crate::error::DocumentError;
use crate::{lifetime, partition};

/// Bytes of a document's item: the document, its keys and its etag.
const ITEM_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 8 * 1024;

/// What a container is made from.
#[derive(Debug, Clone)]
pub struct NewContainer {
    /// The database's name.
    pub database: String,
    /// Its own name.
    pub name: String,
    /// Where in a document its partition key is.
    pub partition_key_paths: Vec<String>,
    /// The paths of each unique key: no two documents of a partition key have the same values there.
    pub unique_keys: Vec<Vec<String>>,
    /// What can be changed later.
    pub settings: ContainerSettings,
}

/// What of a container can be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSettings {
    /// Kept for clients as JSON, not acted on: there is no index, queries read what they ask about.
    pub indexing_policy: Option<String>,
    /// Seconds that documents stay which do not say it themselves, -1: for good. `None`: no document ends, whatever it says.
    pub default_ttl: Option<i64>,
}

/// The document engine. Cheap to clone.
#[derive(Clone)]
pub struct Documents {
    catalog: Catalog,
    tables: Tables,
    streams: Streams,
    clock: Arc<dyn Clock>,
    /// Orders changes of definitions: a container is a definition and a table.
    definitions: Arc<tokio::sync::Mutex<()>>,
    /// Taken by partition key to write where values have to be unique.
    unique_turns: Arc<Turns>,
}

impl Documents {
    /// The engine over a catalog, the table engine and the streams in which that tells changes.
    #[must_use]
    pub fn new(catalog: Catalog, tables: Tables, streams: Streams, clock: Arc<dyn Clock>) -> Self {
        Self { catalog, tables, streams, clock, definitions: Arc::default(), unique_turns: Arc::default() }
    }

    /// Makes a database.
    ///
    /// # Errors
    /// [`DocumentError::Name`], [`DocumentError::DatabaseExists`], [`DocumentError::Catalog`].
    pub fn create_database<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<DocumentDatabaseDefinition>, DocumentError>> {
        Box::pin(async move {
            check_name(name)?;
            let _turn = self.definitions.lock().await;
            let exists = || DocumentError::DatabaseExists { database: name.to_owned() };
            if self.catalog.document_databases.get(name).is_some() {
                return Err(exists());
            }
            let definition = DocumentDatabaseDefinition {
                name: name.to_owned(),
                number: self.number().await?,
                created: self.clock.now(),
                etag: new_etag(),
                throughput: None,
            };
            Ok(self.catalog.document_databases.create(definition).await?)
        })
    }

    /// A database.
    ///
    /// # Errors
    /// [`DocumentError::DatabaseNotFound`].
    pub fn database(&self, name: &str) -> Result<Arc<DocumentDatabaseDefinition>, DocumentError> {
        let found = self.catalog.document_databases.get(name);
        found.ok_or_else(|| DocumentError::DatabaseNotFound { database: name.to_owned() })
    }

    /// All databases in the order of their names.
    #[must_use]
    pub fn databases(&self) -> Vec<Arc<DocumentDatabaseDefinition>> {
        self.catalog.document_databases.list()
    }

    /// Removes a database with its containers and documents. With `if_match` it must have that etag; `*` is any.
    ///
    /// # Errors
    /// [`DocumentError::DatabaseNotFound`], [`DocumentError::EtagMismatch`], [`DocumentError::Catalog`],
    /// [`DocumentError::Table`].
    pub fn delete_database<'a>(
        &'a self,
        name: &'a str,
        if_match: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), DocumentError>> {
        Box::pin(async move {
            let _turn = self.definitions.lock().await;
            check_etag(if_match, &self.database(name)?.etag)?;
            for container in self.containers(name)? {
                self.remove_container(&container).await?;
            }
            self.catalog.document_databases.delete(name, Transaction::new()).await?;
            Ok(())
        })
    }

    /// Makes a container; documents can be written when this returns.
    ///
    /// # Errors
    /// [`DocumentError::Name`], those of partition key paths and unique keys, [`DocumentError::DatabaseNotFound`],
    /// [`DocumentError::Lifetime`], [`DocumentError::ContainerExists`], [`DocumentError::Catalog`], [`DocumentError::Table`].
    pub fn create_container(
        &self,
        new: NewContainer,
    ) -> BoxFuture<'_, Result<Arc<DocumentContainerDefinition>, DocumentError>> {
        Box::pin(async move {
            check_name(&new.name)?;
            partition::check_paths(&new.partition_key_paths)?;
            crate::unique::check(&new.unique_keys)?;
            new.settings.default_ttl.map(lifetime::check).transpose()?;
            let _turn = self.definitions.lock().await;
            let database = self.database(&new.database)?;
            let path = format!("{}/{}", new.database, new.name);
            if self.catalog.document_containers.get(&path).is_some() {
                return Err(DocumentError::ContainerExists { database: new.database, container: new.name });
            }
            self.make_table(&path).await?;
            if !new.unique_keys.is_empty() {
                self.make_claims_table(&path).await?;
            }
            let definition = DocumentContainerDefinition {
                path,
                number: self.number().await?,
                database_number: database.number,
                created: self.clock.now(),
                etag: new_etag(),
                partition_key_paths: new.partition_key_paths,
                indexing_policy: new.settings.indexing_policy,
                default_ttl: new.settings.default_ttl,
                unique_keys: new.unique_keys,
                throughput: None,
            };
            Ok(self.catalog.document_containers.create(definition).await?)
        })
    }

    /// A container.
    ///
    /// # Errors
    /// [`DocumentError::DatabaseNotFound`], [`DocumentError::ContainerNotFound`].
    pub fn container(&self, database: &str, name: &str) -> Result<Arc<DocumentContainerDefinition>, DocumentError> {
        let found = self.catalog.document_containers.get(&format!("{database}/{name}"));
        match found {
            Some(container) => Ok(container),
            None => {
                self.database(database)?;
                Err(DocumentError::ContainerNotFound { database: database.to_owned(), container: name.to_owned() })
            }
        }
    }

    /// The containers of a database in the order of their names.
    ///
    /// # Errors
    /// [`DocumentError::DatabaseNotFound`].
    pub fn containers(&self, database: &str) -> Result<Vec<Arc<DocumentContainerDefinition>>, DocumentError> {
        self.database(database)?;
        let mut containers = self.catalog.document_containers.list();
        containers.retain(|container| container.database() == database);
        Ok(containers)
    }

    /// Gives a container other settings. With `if_match` it must have that etag; `*` is any.
    ///
    /// # Errors
    /// As [`Documents::container`], [`DocumentError::Lifetime`], [`DocumentError::EtagMismatch`],
    /// [`DocumentError::Catalog`].
    pub fn set_settings<'a>(
        &'a self,
        database: &'a str,
        name: &'a str,
        settings: ContainerSettings,
        if_match: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<DocumentContainerDefinition>, DocumentError>> {
        Box::pin(async move {
            settings.default_ttl.map(lifetime::check).transpose()?;
            let _turn = self.definitions.lock().await;
            let mut definition = self.container(database, name)?.as_ref().clone();
            check_etag(if_match, &definition.etag)?;
            definition.indexing_policy = settings.indexing_policy;
            definition.default_ttl = settings.default_ttl;
            definition.etag = new_etag();
            Ok(self.catalog.document_containers.put(definition).await?)
        })
    }

    /// Removes a container with its documents. With `if_match` it must have that etag; `*` is any.
    ///
    /// # Errors
    /// As [`Documents::container`], [`DocumentError::EtagMismatch`], [`DocumentError::Catalog`], [`DocumentError::Table`].
    pub fn delete_container<'a>(
        &'a self,
        database: &'a str,
        name: &'a str,
        if_match: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), DocumentError>> {
        Box::pin(async move {
            let _turn = self.definitions.lock().await;
            let container = self.container(database, name)?;
            check_etag(if_match, &container.etag)?;
            self.remove_container(&container).await
        })
    }

    /// The definition goes first: a table that a crash leaves behind belongs to nobody and is made anew with the name.
    async fn remove_container(&self, container: &DocumentContainerDefinition) -> Result<(), DocumentError> {
        self.catalog.document_containers.delete(&container.path, Transaction::new()).await?;
        self.remove_claims_table(&container.path).await?;
        match self.tables.delete(&table_name(&container.path)).await {
            Ok(_) | Err(TableError::TableNotFound { .. }) => Ok(()),
            Err(error) => Err(DocumentError::Table(error)),
        }
    }

    async fn make_table(&self, path: &str) -> Result<(), DocumentError> {
        let name = table_name(path);
        match self.tables.delete(&name).await {
            Ok(_) | Err(TableError::TableNotFound { .. }) => {}
            Err(error) => return Err(DocumentError::Table(error)),
        }
        // Who changed is enough: the feed of changes tells documents as they are.
        self.tables.create(new_table(name, Some(ChangeView::KeysOnly))).await.map_err(DocumentError::Table)?;
        Ok(())
    }

    async fn number(&self) -> Result<u32, CatalogError> {
        // The counter counts definitions, of which nobody makes four billion.
        Ok(u32::try_from(self.catalog.next_id().await?).unwrap_or(u32::MAX))
    }
}

/// The table of a container.
fn table_name(path: &str) -> String {
    format!("document/{path}")
}

/// An etag that was never given before, in the quotes that belong to it.
fn new_etag() -> String {
    format!("\"{}\"", uuid::Uuid::new_v4())
}

/// A table of a container: items by partition key and id.
fn new_table(name: String, changes: Option<ChangeView>) -> NewTable {
    NewTable {
        name,
        hash_key: KeyAttribute { name: PARTITION.to_owned(), key_type: KeyType::Binary },
        sort_key: Some(KeyAttribute { name: ID.to_owned(), key_type: KeyType::String }),
        provisioned: None,
        changes,
        indexes: Vec::new(),
        tags: Default::default(),
        owner: TableOwner::DocumentContainer,
        item_bytes_max: ITEM_BYTES_MAX,
    }
}

/// Refuses to change a definition that has another etag than `if_match`; `*` is any.
fn check_etag(if_match: Option<&str>, etag: &str) -> Result<(), DocumentError> {
    match if_match {
        Some(expected) if expected != "*" && expected != etag => Err(DocumentError::EtagMismatch),
        _ => Ok(()),
    }
}
