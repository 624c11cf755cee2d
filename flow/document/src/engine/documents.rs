//! One document: create, upsert, replace, patch, read and delete.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_table::expression::{Comparison, Condition, Operand, Path};
use millstream_table::{AttributeValue, Deletion, Item, Put, TableError};
use millstream_types::{BoxFuture, Millis};
use serde_json::{Map, Value};

use super::unique::claims_of;
use super::{Documents, new_etag, table_name};
use crate::document::{self, Document, ETAG, ID, SYSTEM_PROPERTIES};
use crate::error::DocumentError;
use crate::lifetime;
use crate::partition::PartitionKey;
use crate::patch::Patch;

/// Bytes of a document as JSON: 2 MiB, the service family's own limit.
pub const DOCUMENT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How often a patch without a condition starts again when other writers were faster.
const PATCH_ATTEMPTS: usize = 16;

/// A written document.
#[derive(Debug, Clone, PartialEq)]
pub struct Upserted {
    /// As it is now.
    pub document: Document,
    /// Whether there was none before.
    pub created: bool,
}

/// What must hold for the document that is there.
pub(super) enum Expected {
    Absent,
    Present,
    /// Present with this etag; `*` is any.
    Etag(String),
    /// This etag, or none there at all.
    EtagOrAbsent(String),
    Anything,
}

impl Documents {
    /// Writes a document that must not be there yet. `partition`: as the request names it, to be the document's own.
    ///
    /// # Errors
    /// [`DocumentError::DocumentExists`], those of ids, partition keys and sizes, [`DocumentError::Table`].
    pub fn create<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        partition: Option<PartitionKey>,
        body: Map<String, Value>,
    ) -> BoxFuture<'a, Result<Document, DocumentError>> {
        Box::pin(async move {
            let written = self.write(container, partition, body, Expected::Absent).await?;
            Ok(written.document)
        })
    }

    /// Writes a document, there or not. With `if_match` one that is there must have that etag.
    ///
    /// # Errors
    /// [`DocumentError::EtagMismatch`], those of ids, partition keys and sizes, [`DocumentError::Table`].
    pub fn upsert<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        partition: Option<PartitionKey>,
        body: Map<String, Value>,
        if_match: Option<String>,
    ) -> BoxFuture<'a, Result<Upserted, DocumentError>> {
        Box::pin(async move {
            let expected = if_match.map_or(Expected::Anything, Expected::EtagOrAbsent);
            self.write(container, partition, body, expected).await
        })
    }

    /// Writes a document in the place of the one that is there.
    ///
    /// # Errors
    /// [`DocumentError::DocumentNotFound`], [`DocumentError::EtagMismatch`], [`DocumentError::IdChanged`], those of ids,
    /// partition keys and sizes, [`DocumentError::Table`].
    pub fn replace<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        partition: Option<PartitionKey>,
        id: &'a str,
        body: Map<String, Value>,
        if_match: Option<String>,
    ) -> BoxFuture<'a, Result<Document, DocumentError>> {
        Box::pin(async move {
            check_same_id(id, &body)?;
            let expected = if_match.map_or(Expected::Present, Expected::Etag);
            Ok(self.write(container, partition, body, expected).await?.document)
        })
    }

    /// Changes parts of a document.
    ///
    /// # Errors
    /// As [`Documents::replace`], [`DocumentError::Patch`], [`DocumentError::PatchCondition`],
    /// [`DocumentError::PatchOvertaken`].
    pub fn patch<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        partition: &'a PartitionKey,
        id: &'a str,
        patch: &'a Patch,
        if_match: Option<String>,
    ) -> BoxFuture<'a, Result<Document, DocumentError>> {
        Box::pin(async move {
            for _ in 0..PATCH_ATTEMPTS {
                let known = self.read(container, partition, id).await?;
                let body = patch.apply_to(&known)?;
                let expected = if_match.clone().filter(|etag| etag != "*").unwrap_or(known.etag);
                let replaced = self.replace(container, Some(partition.clone()), id, body, Some(expected)).await;
                match replaced {
                    Err(DocumentError::EtagMismatch) if if_match.is_none() => {}
                    other => return other,
                }
            }
            Err(DocumentError::PatchOvertaken { attempts: PATCH_ATTEMPTS })
        })
    }

    /// A document.
    ///
    /// # Errors
    /// [`DocumentError::DocumentNotFound`], those of partition keys, [`DocumentError::Table`].
    pub fn read<'a>(
        &'a self,
        container: &'a DocumentContainerDefinition,
        partition: &'a PartitionKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Document, DocumentError>> {
        Box::pin(async move {
            let key = document::key(partition.encode(&container.partition_key_paths)?, id);
            let found =
                self.tables.get(&table_name(&container.path), &key).await.map_err(|error| gone(container, error))?;
            let expiry = self.expiry(container);
            let item = found.filter(|item| !expiry.is_over(item));
            let item = item.ok_or_else(|| DocumentError::DocumentNotFound { id: id.to_owned() })?;
            Document::of_item(container, &item)
        })
    }

    /// Removes a document.
    ///
    /// # Errors
    /// [`DocumentError::DocumentNotFound`], [`DocumentError::EtagMismatch`], those of partition keys,
    /// [`DocumentError::Table`].
    pub fn delete<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        partition: &'a PartitionKey,
        id: &'a str,
        if_match: Option<String>,
    ) -> BoxFuture<'a, Result<(), DocumentError>> {
        Box::pin(async move {
            let expected = if_match.map_or(Expected::Present, Expected::Etag);
            let partition = partition.encode(&container.partition_key_paths)?;
            let (engine, of, key, id) = (self.clone(), Arc::clone(container), partition.clone(), id.to_owned());
            let deletion = async move { engine.delete_in_turn(&of, &key, &id, &expected).await };
            self.in_turn(container, &partition, deletion).await
        })
    }

    async fn delete_in_turn(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        id: &str,
        expected: &Expected,
    ) -> Result<(), DocumentError> {
        self.remove_if_over(container, partition, [id]).await?;
        let key = document::key(partition.clone(), id);
        let return_old = !container.unique_keys.is_empty();
        let deletion = Deletion { key, condition: expected.condition(), return_old };
        let deleted = self.tables.delete_item(&table_name(&container.path), deletion).await;
        let deleted = deleted.map_err(|error| expected.refusal(container, id, error))?;
        match deleted.old {
            Some(before) => self.release(container, partition, &before, &[]).await,
            None => Ok(()),
        }
    }

    async fn write(
        &self,
        container: &Arc<DocumentContainerDefinition>,
        partition: Option<PartitionKey>,
        body: Map<String, Value>,
        expected: Expected,
    ) -> Result<Upserted, DocumentError> {
        let prepared = prepare(container, partition, body, self.clock.now(), &new_etag())?;
        let (engine, of, partition) = (self.clone(), Arc::clone(container), prepared.partition.clone());
        self.in_turn(container, &partition, async move { engine.write_in_turn(&of, prepared, &expected).await }).await
    }

    async fn write_in_turn(
        &self,
        container: &DocumentContainerDefinition,
        Prepared { id, partition, item, document }: Prepared,
        expected: &Expected,
    ) -> Result<Upserted, DocumentError> {
        self.remove_if_over(container, &partition, [&id]).await?;
        let wanted = [(id, claims_of(container, &document))];
        self.claim(container, &partition, &wanted).await.map_err(|(_, error)| error)?;
        let [(id, claims)] = wanted;
        let put = Put { item, condition: expected.condition(), return_old: true };
        let written = self.tables.put(&table_name(&container.path), put).await;
        let written = written.map_err(|error| expected.refusal(container, &id, error))?;
        if let Some(before) = &written.old {
            self.release(container, &partition, before, &claims).await?;
        }
        Ok(Upserted { document, created: written.old.is_none() })
    }
}

/// A document that may be written, if what is there allows it.
pub(super) struct Prepared {
    pub id: String,
    pub partition: Bytes,
    pub item: Item,
    pub document: Document,
}

/// Checks a document and makes its item, written `now` with that etag. `partition`: as the request names it, to be the
/// document's own.
pub(super) fn prepare(
    container: &DocumentContainerDefinition,
    partition: Option<PartitionKey>,
    mut body: Map<String, Value>,
    now: Millis,
    etag: &str,
) -> Result<Prepared, DocumentError> {
    let id = document::id_of(&body)?;
    body.retain(|name, _| !SYSTEM_PROPERTIES.contains(&name.as_str()));
    let paths = &container.partition_key_paths;
    let key = PartitionKey::of_document(&body, paths)?.encode(paths)?;
    if let Some(named) = partition
        && named.encode(paths)? != key
    {
        return Err(DocumentError::PartitionKeyMismatch);
    }
    let lifetime = lifetime::of_document(&body)?;
    let text = Value::Object(body).to_string();
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(DocumentError::DocumentTooLarge { bytes: text.len(), max: DOCUMENT_BYTES_MAX });
    }
    let item = document::to_item(key.clone(), &id, text, etag, now, lifetime)?;
    let document = Document::of_item(container, &item)?;
    Ok(Prepared { id, partition: key, item, document })
}

impl Expected {
    /// As the table engine checks it.
    fn condition(&self) -> Option<Condition> {
        let etag = |etag: &str| equal(ETAG, AttributeValue::String(etag.to_owned()));
        match self {
            Self::Absent => Some(Condition::NotExists(path(ID))),
            Self::Present => Some(Condition::Exists(path(ID))),
            Self::Etag(any) if any == "*" => Some(Condition::Exists(path(ID))),
            Self::Etag(known) => Some(etag(known)),
            Self::EtagOrAbsent(any) if any == "*" => None,
            Self::EtagOrAbsent(known) => {
                Some(Condition::Or(Box::new(Condition::NotExists(path(ID))), Box::new(etag(known))))
            }
            Self::Anything => None,
        }
    }

    /// Checks what is there.
    pub fn check(
        &self,
        container: &DocumentContainerDefinition,
        id: &str,
        found: Option<&Item>,
    ) -> Result<(), DocumentError> {
        let holds =
            |condition: Condition| found.map_or_else(|| condition.holds(&Item::new()), |item| condition.holds(item));
        if self.condition().is_none_or(holds) {
            return Ok(());
        }
        let failed = TableError::ConditionFailed { item: found.cloned().map(Box::new) };
        Err(self.refusal(container, id, failed))
    }

    /// What it means that the condition did not hold.
    pub fn refusal(&self, container: &DocumentContainerDefinition, id: &str, error: TableError) -> DocumentError {
        match (self, error) {
            (Self::Absent, TableError::ConditionFailed { .. }) => DocumentError::DocumentExists { id: id.to_owned() },
            (_, TableError::ConditionFailed { item: None }) => DocumentError::DocumentNotFound { id: id.to_owned() },
            (_, TableError::ConditionFailed { item: Some(_) }) => DocumentError::EtagMismatch,
            (_, error) => gone(container, error),
        }
    }
}

/// Holds for an item with an attribute of this value.
pub(super) fn equal(attribute: &str, value: AttributeValue) -> Condition {
    Condition::Compare(Comparison::Equal, Operand::Path(path(attribute)), Operand::Value(value))
}

fn path(attribute: &str) -> Path {
    Path { attribute: attribute.to_owned(), rest: Vec::new() }
}

/// A document keeps its id.
pub(super) fn check_same_id(id: &str, body: &Map<String, Value>) -> Result<(), DocumentError> {
    let found = document::id_of(body)?;
    if found == id { Ok(()) } else { Err(DocumentError::IdChanged { expected: id.to_owned(), found }) }
}

/// A container's table is only missing when the container was removed a moment ago.
pub(super) fn gone(container: &DocumentContainerDefinition, error: TableError) -> DocumentError {
    match error {
        TableError::TableNotFound { .. } => DocumentError::ContainerNotFound {
            database: container.database().to_owned(),
            container: container.name().to_owned(),
        },
        other => DocumentError::Table(other),
    }
}
