//! Documents that go by themselves: see `lifetime.rs` of the crate for when.

use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_table::{AttributeValue, Deletion, Item, TableError};
use millstream_types::BoxFuture;

use super::documents::{equal, gone};
use super::{Documents, table_name};
use crate::document::{self, ETAG, ID, PARTITION};
use crate::error::DocumentError;
use crate::lifetime::Expiry;

impl Documents {
    /// Removes documents whose time is over; gives how many they were. Nobody sees them any more when it does.
    ///
    /// # Errors
    /// [`DocumentError::Table`]: the first of them, after all containers were tried.
    pub fn remove_expired(&self) -> BoxFuture<'_, Result<usize, DocumentError>> {
        Box::pin(async move {
            let (mut removed, mut failed) = (0, None);
            for container in self.catalog.document_containers.list() {
                match self.remove_expired_of(&container).await {
                    Ok(of_container) => removed += of_container,
                    // A container that is being removed holds up no other.
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            failed.map_or(Ok(removed), Err)
        })
    }

    async fn remove_expired_of(&self, container: &DocumentContainerDefinition) -> Result<usize, DocumentError> {
        let expiry = self.expiry(container);
        if !expiry.is_on() {
            return Ok(0);
        }
        let removed = self.tables.remove_where(&table_name(&container.path), move |item| expiry.is_over(item)).await;
        removed.map_err(|error| gone(container, error))
    }

    /// Makes room for what is written in the place of documents whose time is over.
    pub(super) async fn remove_if_over(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        ids: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<(), DocumentError> {
        let expiry = self.expiry(container);
        if !expiry.is_on() {
            return Ok(());
        }
        for id in ids {
            let key = document::key(partition.clone(), id.as_ref());
            let found = self.tables.get(&table_name(&container.path), &key).await;
            if let Some(item) = found.map_err(|error| gone(container, error))?
                && expiry.is_over(&item)
            {
                self.remove_item(container, &item).await?;
            }
        }
        Ok(())
    }

    /// Removes an item as it was read; `false` when it is another by now.
    async fn remove_item(&self, container: &DocumentContainerDefinition, item: &Item) -> Result<bool, DocumentError> {
        let (Some(AttributeValue::Binary(partition)), Some(AttributeValue::String(id)), Some(etag)) =
            (item.get(PARTITION), item.get(ID), item.get(ETAG))
        else {
            return Ok(false);
        };
        let key = document::key(partition.clone(), id);
        let deletion = Deletion { key, condition: Some(equal(ETAG, etag.clone())), return_old: false };
        match self.tables.delete_item(&table_name(&container.path), deletion).await {
            Ok(_) => Ok(true),
            Err(TableError::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(gone(container, error)),
        }
    }

    pub(super) fn expiry(&self, container: &DocumentContainerDefinition) -> Expiry {
        Expiry::of(container, self.clock.now())
    }
}
