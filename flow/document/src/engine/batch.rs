//! Several operations on documents of one partition key: all of them, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_table::Together;
use millstream_types::{BoxFuture, Millis};
use serde_json::{Map, Value};

use super::documents::{Expected, Prepared, check_same_id, gone, prepare};
use super::unique::claims_of;
use super::{DOCUMENT_BYTES_MAX, Documents, new_etag, table_name};
use crate::document::{self, Document};
use crate::error::DocumentError;
use crate::partition::PartitionKey;
use crate::patch::Patch;

/// Operations of one batch: the service family's own limit.
pub const BATCH_OPERATIONS_MAX: usize = 100;
/// Bytes of all documents of a batch: 2 MiB, the service family's own limit.
const BATCH_BYTES_MAX: usize = DOCUMENT_BYTES_MAX;

/// One operation of a batch. Each sees what those before it did.
#[derive(Debug, Clone)]
pub struct BatchOperation {
    /// What to do.
    pub action: BatchAction,
    /// The etag that the document must have.
    pub if_match: Option<String>,
}

/// What an operation of a batch does.
#[derive(Debug, Clone)]
pub enum BatchAction {
    /// Writes a document that must not be there yet.
    Create(Map<String, Value>),
    /// Writes a document, there or not.
    Upsert(Map<String, Value>),
    /// Writes a document of this id that must be there.
    Replace(String, Map<String, Value>),
    /// Changes parts of the document of this id.
    Patch(String, Box<Patch>),
    /// Tells the document of this id.
    Read(String),
    /// Removes the document of this id.
    Delete(String),
}

/// What an operation did.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchResult {
    /// There is a document that was not there before.
    Created(Document),
    /// The document, as it is now.
    There(Document),
    /// The document was removed.
    Deleted,
}

impl Documents {
    /// Carries out operations on documents of one partition key, in their order and as one.
    ///
    /// # Errors
    /// [`DocumentError::BatchSize`], [`DocumentError::BatchTooLarge`], [`DocumentError::Batch`] with what the first
    /// failing operation failed with, [`DocumentError::Table`].
    pub fn batch<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        partition: PartitionKey,
        operations: Vec<BatchOperation>,
    ) -> BoxFuture<'a, Result<Vec<BatchResult>, DocumentError>> {
        Box::pin(async move {
            let found = operations.len();
            if found == 0 || found > BATCH_OPERATIONS_MAX {
                return Err(DocumentError::BatchSize { found, max: BATCH_OPERATIONS_MAX });
            }
            let key = partition.encode(&container.partition_key_paths)?;
            let mut ids = BTreeSet::new();
            for (at, operation) in operations.iter().enumerate() {
                ids.insert(operation.id().map_err(|error| failed(at, error))?);
            }
            let (engine, turn) = (self.clone(), key.clone());
            let etags = operations.iter().map(|_| new_etag()).collect();
            let scope = Scope { container: Arc::clone(container), partition, key, now: self.clock.now(), etags };
            self.in_turn(container, &turn, async move { engine.batch_in_turn(scope, &ids, operations).await }).await
        })
    }

    async fn batch_in_turn(
        &self,
        scope: Scope,
        ids: &BTreeSet<String>,
        operations: Vec<BatchOperation>,
    ) -> Result<Vec<BatchResult>, DocumentError> {
        let (container, key) = (Arc::clone(&scope.container), scope.key.clone());
        self.remove_if_over(&container, &key, ids).await?;
        self.claim_for_batch(&scope, &operations).await?;
        let keys: Vec<_> = ids.iter().map(|id| document::key(key.clone(), id)).collect();
        let carry_out = move |together: &mut Together| scope.carry_out(together, operations);
        let done = self.tables.together(&table_name(&container.path), &keys, carry_out).await;
        done.map_err(|error| match error {
            DocumentError::Table(error) => gone(&container, error),
            other => other,
        })
    }

    /// Claims what the documents that a batch leaves have to have for themselves. What it removes counts as there until it is
    /// done.
    async fn claim_for_batch(&self, scope: &Scope, operations: &[BatchOperation]) -> Result<(), DocumentError> {
        if scope.container.unique_keys.is_empty() {
            return Ok(());
        }
        let mut left: Vec<_> = self.left_by(scope, operations).await?.into_iter().collect();
        left.sort_by_key(|(_, (at, _))| *at);
        let claims = |document: &Document| claims_of(&scope.container, document);
        let wanted: Vec<_> = left.iter().map(|(id, (_, document))| (id.clone(), claims(document))).collect();
        let claimed = self.claim(&scope.container, &scope.key, &wanted).await;
        claimed.map_err(|(index, error)| failed(left.get(index).map_or(0, |(_, (at, _))| *at), error))
    }

    /// The documents that a batch leaves, each with the operation that wrote it last. Nothing when an operation cannot be carried
    /// out: the batch will fail with that one, or one before it.
    async fn left_by(&self, scope: &Scope, operations: &[BatchOperation]) -> Result<Left, DocumentError> {
        let mut documents: BTreeMap<String, Option<(usize, Document)>> = BTreeMap::new();
        for (at, operation) in operations.iter().enumerate() {
            let id = operation.id()?;
            let made = match &operation.action {
                BatchAction::Read(_) => continue,
                BatchAction::Delete(_) => {
                    documents.insert(id, None);
                    continue;
                }
                BatchAction::Create(body) | BatchAction::Upsert(body) | BatchAction::Replace(_, body) => {
                    scope.prepare(at, body.clone()).ok()
                }
                BatchAction::Patch(_, patch) => {
                    let known = match documents.get(&id) {
                        Some(known) => known.as_ref().map(|(_, document)| document.clone()),
                        None => self.stored(scope, &id).await?,
                    };
                    known.and_then(|known| scope.prepare(at, patch.apply_to(&known).ok()?).ok())
                }
            };
            let Some(Prepared { document, .. }) = made else { return Ok(Left::new()) };
            documents.insert(id, Some((at, document)));
        }
        Ok(documents.into_iter().filter_map(|(id, document)| Some((id, document?))).collect())
    }

    /// A document as the batch finds it.
    async fn stored(&self, scope: &Scope, id: &str) -> Result<Option<Document>, DocumentError> {
        let container = &scope.container;
        let key = document::key(scope.key.clone(), id);
        let found = self.tables.get(&table_name(&container.path), &key).await;
        let found = found.map_err(|error| gone(container, error))?;
        found.map(|item| Document::of_item(container, &item)).transpose()
    }
}

/// Documents by their ids, each with the place of the operation that wrote it last.
type Left = BTreeMap<String, (usize, Document)>;

fn failed(at: usize, error: DocumentError) -> DocumentError {
    DocumentError::Batch { at, error: Box::new(error) }
}

impl BatchOperation {
    fn id(&self) -> Result<String, DocumentError> {
        match &self.action {
            BatchAction::Create(body) | BatchAction::Upsert(body) => document::id_of(body),
            BatchAction::Replace(id, _)
            | BatchAction::Patch(id, _)
            | BatchAction::Read(id)
            | BatchAction::Delete(id) => document::check_name(id).map(|()| id.clone()),
        }
    }
}

/// What all operations of a batch are about.
struct Scope {
    container: Arc<DocumentContainerDefinition>,
    partition: PartitionKey,
    key: Bytes,
    now: Millis,
    /// One for what each operation writes.
    etags: Vec<String>,
}

impl Scope {
    /// What an operation writes: the same, whenever it is asked for.
    fn prepare(&self, at: usize, body: Map<String, Value>) -> Result<Prepared, DocumentError> {
        let etag = self.etags.get(at).map_or("", String::as_str);
        prepare(&self.container, Some(self.partition.clone()), body, self.now, etag)
    }

    fn carry_out(
        &self,
        together: &mut Together,
        operations: Vec<BatchOperation>,
    ) -> Result<Vec<BatchResult>, DocumentError> {
        let (mut results, mut bytes) = (Vec::with_capacity(operations.len()), 0);
        for (at, operation) in operations.into_iter().enumerate() {
            let done = self.one(together, at, operation, &mut bytes);
            results.push(done.map_err(|error| failed(at, error))?);
            if bytes > BATCH_BYTES_MAX {
                return Err(DocumentError::BatchTooLarge { bytes, max: BATCH_BYTES_MAX });
            }
        }
        Ok(results)
    }

    fn one(
        &self,
        together: &mut Together,
        at: usize,
        BatchOperation { action, if_match }: BatchOperation,
        bytes: &mut usize,
    ) -> Result<BatchResult, DocumentError> {
        let present = |if_match: Option<String>| if_match.map_or(Expected::Present, Expected::Etag);
        match action {
            BatchAction::Create(body) => self.put(together, at, body, &Expected::Absent, bytes),
            BatchAction::Upsert(body) => {
                let expected = if_match.map_or(Expected::Anything, Expected::EtagOrAbsent);
                self.put(together, at, body, &expected, bytes)
            }
            BatchAction::Replace(id, body) => {
                check_same_id(&id, &body)?;
                self.put(together, at, body, &present(if_match), bytes)
            }
            BatchAction::Patch(id, patch) => {
                let known = self.get(together, &id, &present(if_match))?;
                let body = patch.apply_to(&known)?;
                check_same_id(&id, &body)?;
                self.put(together, at, body, &Expected::Present, bytes)
            }
            BatchAction::Read(id) => self.get(together, &id, &present(if_match)).map(BatchResult::There),
            BatchAction::Delete(id) => {
                self.get(together, &id, &present(if_match))?;
                together.delete(&document::key(self.key.clone(), &id))?;
                Ok(BatchResult::Deleted)
            }
        }
    }

    fn get(&self, together: &Together, id: &str, expected: &Expected) -> Result<Document, DocumentError> {
        let found = together.get(&document::key(self.key.clone(), id))?;
        expected.check(&self.container, id, found)?;
        let item = found.ok_or_else(|| DocumentError::DocumentNotFound { id: id.to_owned() })?;
        Document::of_item(&self.container, item)
    }

    fn put(
        &self,
        together: &mut Together,
        at: usize,
        body: Map<String, Value>,
        expected: &Expected,
        bytes: &mut usize,
    ) -> Result<BatchResult, DocumentError> {
        let Prepared { id, item, document, .. } = self.prepare(at, body)?;
        let found = together.get(&document::key(self.key.clone(), &id))?;
        expected.check(&self.container, &id, found)?;
        let created = found.is_none();
        *bytes += millstream_table::item::size(&item);
        together.put(item)?;
        Ok(if created { BatchResult::Created(document) } else { BatchResult::There(document) })
    }
}
