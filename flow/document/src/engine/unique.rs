//! Unique keys of containers: who has which values.
//!
//! A claim is an item of a table beside the container's: partition key and values, and the document that has them. It is written
//! before the document, under the partition key's lock, and counts only as long as that document is there with these values.
//! So a crash between the two, a document that expired, one that a batch removed and a write that failed leave claims that bind
//! nobody; `stale_claims.rs` removes them.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_storage::to_the_end;
use millstream_table::{AttributeValue, Deletion, Item, Put, TableError};

use super::claim::Claim;
use super::documents::gone;
use super::{Documents, new_table, table_name};
use crate::document::{self, Document, ID};
use crate::error::DocumentError;
use crate::unique::claims;

impl Documents {
    /// Writes documents of a partition key; where values have to be unique, one write after the other. A write whose turn has come
    /// goes on to its end when its caller goes away: what is on its way to the disk is seen by nobody yet, and whoever wrote
    /// next would take the same values.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        write: impl Future<Output = T> + Send + 'static,
    ) -> T {
        if container.unique_keys.is_empty() {
            return write.await;
        }
        let turn = self.unique_turns.of(&(container.number, partition)).await;
        to_the_end(async move {
            let _turn = turn;
            write.await
        })
        .await
    }

    /// Claims what documents that are written together have to have for themselves, in their order: each an id and its
    /// claims. An error tells of which of them it is. To be called in one's turn only.
    pub(super) async fn claim(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        documents: &[(String, Vec<String>)],
    ) -> Result<(), (usize, DocumentError)> {
        let (mut together, mut free) = (BTreeMap::new(), Vec::new());
        for (at, (id, names)) in documents.iter().enumerate() {
            for name in names {
                if together.insert(name, id).is_some_and(|known| known != id) {
                    return Err((at, DocumentError::NotUnique));
                }
                let claim = Claim { partition: partition.clone(), name: name.clone(), holder: id.clone() };
                if self.is_free(container, &claim).await.map_err(|error| (at, error))? {
                    free.push(claim);
                }
            }
        }
        for claim in free {
            let put = Put { item: claim.item(), condition: None, return_old: false };
            let written = self.tables.put(&claims_table(&container.path), put).await;
            written.map_err(|error| (0, gone(container, error)))?;
        }
        Ok(())
    }

    /// Whether a claim has to be written; it is there already when not. What another document has is an error.
    async fn is_free(&self, container: &DocumentContainerDefinition, claim: &Claim) -> Result<bool, DocumentError> {
        let found = self.tables.get(&claims_table(&container.path), &claim.key()).await;
        let found = found.map_err(|error| gone(container, error))?;
        match found.as_ref().and_then(Claim::of_item) {
            None => Ok(true),
            Some(known) if known == *claim => Ok(false),
            Some(known) if self.is_held(container, &known).await? => Err(DocumentError::NotUnique),
            Some(_) => Ok(true),
        }
    }

    /// Whether a claim's document is there and has its values.
    pub(super) async fn is_held(
        &self,
        container: &DocumentContainerDefinition,
        claim: &Claim,
    ) -> Result<bool, DocumentError> {
        let key = document::key(claim.partition.clone(), &claim.holder);
        let found = self.tables.get(&table_name(&container.path), &key).await;
        let expiry = self.expiry(container);
        let found = found.map_err(|error| gone(container, error))?.filter(|item| !expiry.is_over(item));
        let Some(item) = found else { return Ok(false) };
        Ok(claims_of(container, &Document::of_item(container, &item)?).contains(&claim.name))
    }

    /// Lets claims go that a document had before and has no more; `kept`: those that it has. To be called in one's turn only.
    pub(super) async fn release(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        before: &Item,
        kept: &[String],
    ) -> Result<(), DocumentError> {
        let Some(AttributeValue::String(holder)) = before.get(ID).filter(|_| !container.unique_keys.is_empty()) else {
            return Ok(());
        };
        let had = claims_of(container, &Document::of_item(container, before)?);
        for name in had.into_iter().filter(|name| !kept.contains(name)) {
            let claim = Claim { partition: partition.clone(), name, holder: holder.clone() };
            self.remove_claim(container, &claim).await?;
        }
        Ok(())
    }

    /// Removes a claim unless it is another document's by now, as one can be whose document's time was over; gives whether it was
    /// there.
    pub(super) async fn remove_claim(
        &self,
        container: &DocumentContainerDefinition,
        claim: &Claim,
    ) -> Result<bool, DocumentError> {
        let deletion = Deletion { key: claim.key(), condition: Some(claim.is_this()), return_old: false };
        match self.tables.delete_item(&claims_table(&container.path), deletion).await {
            Ok(_) => Ok(true),
            Err(TableError::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(gone(container, error)),
        }
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

/// What a document claims; nothing where nothing has to be unique.
pub(super) fn claims_of(container: &DocumentContainerDefinition, document: &Document) -> Vec<String> {
    document.value.as_object().map(|body| claims(container, body)).unwrap_or_default()
}

/// The table of a container's claims.
pub(super) fn claims_table(path: &str) -> String {
    format!("document-unique/{path}")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Poll;

    use millstream_catalog::Catalog;
    use millstream_storage::Storage;
    use millstream_stream::Streams;
    use millstream_table::Tables;
    use millstream_types::ManualClock;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_turn_ends_with_its_write_not_with_its_caller() {
        let clock = Arc::new(ManualClock::at(1));
        let storage = Storage::in_memory(clock.clone());
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
        let documents = Documents::new(catalog.clone(), Tables::new(storage, catalog, clock.clone()), streams, clock);
        let container = DocumentContainerDefinition {
            path: "shop/people".into(),
            number: 2,
            database_number: 1,
            created: 0,
            etag: String::new(),
            partition_key_paths: vec!["/user".into()],
            indexing_policy: None,
            default_ttl: None,
            unique_keys: vec![vec!["/email".into()]],
            throughput: None,
        };
        let (partition, (write, written)) = (Bytes::from_static(b"ann"), oneshot::channel::<()>());
        let first = {
            let (documents, container, partition) = (documents.clone(), container.clone(), partition.clone());
            tokio::spawn(async move { documents.in_turn(&container, &partition, written).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let mut second = pin!(documents.in_turn(&container, &partition, std::future::ready("second")));
        let early = std::future::poll_fn(|context| Poll::Ready(second.as_mut().poll(context).is_ready())).await;
        assert!(!early, "the first write is still under way");
        write.send(()).unwrap();
        assert_eq!(second.await, "second");
    }
}
