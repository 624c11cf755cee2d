//! All documents of a partition key, removed.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_table::expression::KeyCondition;
use millstream_table::{AttributeValue, Deletion, Query};
use millstream_types::BoxFuture;

use super::documents::gone;
use super::{Documents, table_name};
use crate::document::{self, ID};
use crate::error::DocumentError;
use crate::partition::PartitionKey;

impl Documents {
    /// Removes all documents of a partition key, one after the other; gives how many they were. Those that are written meanwhile
    /// may stay.
    ///
    /// # Errors
    /// Those of partition keys, [`DocumentError::Table`]: what was removed before stays removed.
    pub fn delete_partition<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        partition: &'a PartitionKey,
    ) -> BoxFuture<'a, Result<usize, DocumentError>> {
        Box::pin(async move {
            let partition = partition.encode(&container.partition_key_paths)?;
            let (mut removed, mut start) = (0, None);
            loop {
                let query = Query {
                    condition: KeyCondition { hash: AttributeValue::Binary(partition.clone()), sort: None },
                    reverse: false,
                    limit: None,
                    start: start.take(),
                    filter: None,
                    projection: None,
                    consistent: true,
                    index: None,
                    whole: false,
                };
                let page = self.tables.query(&table_name(&container.path), query).await;
                let page = page.map_err(|error| gone(container, error))?;
                for item in &page.items {
                    if let Some(AttributeValue::String(id)) = item.get(ID) {
                        let (engine, of, key, id) =
                            (self.clone(), Arc::clone(container), partition.clone(), id.clone());
                        let removal = async move { engine.remove_in_turn(&of, &key, &id).await };
                        removed += usize::from(self.in_turn(container, &partition, removal).await?);
                    }
                }
                start = page.last_key;
                if start.is_none() {
                    return Ok(removed);
                }
            }
        })
    }

    /// Whether there was a document to remove.
    async fn remove_in_turn(
        &self,
        container: &DocumentContainerDefinition,
        partition: &Bytes,
        id: &str,
    ) -> Result<bool, DocumentError> {
        let deletion = Deletion { key: document::key(partition.clone(), id), condition: None, return_old: true };
        let deleted = self.tables.delete_item(&table_name(&container.path), deletion).await;
        let before = deleted.map_err(|error| gone(container, error))?.old;
        if let Some(before) = &before {
            self.release(container, partition, before, &[]).await?;
        }
        Ok(before.is_some())
    }
}
