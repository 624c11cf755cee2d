//! Unique keys of containers: who has which values.
//!
//! A claim is an item of a table beside the container's: partition key and values, and the document that has them. It is written
//! before the document, under the partition key's lock, and counts only as long as that document is there with these values.
//! So a crash between the two, a document that expired and a write that failed leave claims that bind nobody.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_table::{AttributeValue, Deletion, Item, Put, TableError};
use serde_json::{Map, Value};
use tokio::sync::MutexGuard;

use super::documents::gone;
use super::{Documents, new_table, table_name};
use crate::document::{self, Document};
use crate::error::DocumentError;
use crate::unique::claims;

/// Locks of partition keys; those that share one wait for each other.
pub(super) const LOCKS: usize = 64;

/// The attribute of a claim that names its document. On disk for good.
const HOLDER: &str = "holder";

impl Documents {
    /// The turn to write documents of a partition key; `None` where nothing has to be unique.
    pub(super) async fn unique_turn(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
    ) -> Option<MutexGuard<'_, ()>> {
        if container.unique_keys.is_empty() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (container.number, partition).hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        Some(self.unique_locks.get(at)?.lock().await)
    }

    /// Claims the values of documents that are written together, in their order. To be called in one's turn only.
    pub(super) async fn claim(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        documents: &[(String, Map<String, Value>)],
    ) -> Result<(), (usize, DocumentError)> {
        let mut together: BTreeMap<String, &String> = BTreeMap::new();
        for (at, (id, body)) in documents.iter().enumerate() {
            for claim in claims(container, body) {
                let known = together.insert(claim.clone(), id);
                let taken = known.is_some_and(|known| known != id)
                    || self.is_taken(container, partition, &claim, id).await.map_err(|error| (at, error))?;
                if taken {
                    return Err((at, DocumentError::NotUnique));
                }
            }
        }
        for (claim, id) in together {
            let mut item = document::key(partition.clone(), &claim);
            item.insert(HOLDER.to_owned(), AttributeValue::String(id.clone()));
            let put = Put { item, condition: None, return_old: false };
            let written = self.tables.put(&claims_table(&container.path), put).await;
            written.map_err(|error| (0, gone(container, error)))?;
        }
        Ok(())
    }

    /// Whether another document has the values of a claim.
    async fn is_taken(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        claim: &str,
        id: &str,
    ) -> Result<bool, DocumentError> {
        let key = document::key(partition.clone(), claim);
        let found =
            self.tables.get(&claims_table(&container.path), &key).await.map_err(|error| gone(container, error))?;
        let holder = found.as_ref().and_then(|item| item.get(HOLDER));
        let Some(AttributeValue::String(holder)) =
            holder.filter(|holder| **holder != AttributeValue::String(id.to_owned()))
        else {
            return Ok(false);
        };
        let key = document::key(partition.clone(), holder);
        let found =
            self.tables.get(&table_name(&container.path), &key).await.map_err(|error| gone(container, error))?;
        let expiry = self.expiry(container);
        let Some(item) = found.filter(|item| !expiry.is_over(item)) else { return Ok(false) };
        Ok(claims_of(container, &item)?.iter().any(|held| held == claim))
    }

    /// Lets claims go that a document had before and has no more. To be called in one's turn only.
    pub(super) async fn release(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        before: &Item,
        now: Option<&Map<String, Value>>,
    ) -> Result<(), DocumentError> {
        let kept = now.map(|body| claims(container, body)).unwrap_or_default();
        for claim in claims_of(container, before)?.into_iter().filter(|claim| !kept.contains(claim)) {
            let key = document::key(partition.clone(), &claim);
            let deletion = Deletion { key, condition: None, return_old: false };
            let deleted = self.tables.delete_item(&claims_table(&container.path), deletion).await;
            deleted.map_err(|error| gone(container, error))?;
        }
        Ok(())
    }

    /// The table of a container's claims; made anew, whatever there was.
    pub(super) async fn make_claims_table(&self, path: &str) -> Result<(), DocumentError> {
        self.remove_claims_table(path).await?;
        self.tables.create(new_table(claims_table(path), None)).await.map_err(DocumentError::Table)?;
        Ok(())
    }

    pub(super) async fn remove_claims_table(&self, path: &str) -> Result<(), DocumentError> {
        match self.tables.delete(&claims_table(path)).await {
            Ok(_) | Err(TableError::TableNotFound { .. }) => Ok(()),
            Err(error) => Err(DocumentError::Table(error)),
        }
    }
}

fn claims_of(container: &DocumentContainerDefinition, item: &Item) -> Result<Vec<String>, DocumentError> {
    let document = Document::of_item(container, item)?;
    Ok(document.value.as_object().map(|body| claims(container, body)).unwrap_or_default())
}

/// The table of a container's claims.
fn claims_table(path: &str) -> String {
    format!("document-unique/{path}")
}
