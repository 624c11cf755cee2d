//! What is kept of a delivery stream's work: how far each shard is delivered, and the object that is being written.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;
use serde::{Deserialize, Serialize};

/// Positions and the object under way, as stored. The format has a version in its key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The next offset to deliver, by log.
    pub(crate) positions: BTreeMap<u64, u64>,
    /// Decided, perhaps not yet written.
    pub(crate) writing: Option<ObjectPlan>,
}

/// An object that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectPlan {
    /// The bucket, as it was when the object was decided.
    pub(crate) bucket: String,
    /// Its name.
    pub(crate) object: String,
    /// When its oldest record came; older nodes did not keep it.
    #[serde(default)]
    pub(crate) first: Option<Millis>,
    /// Whether it is packed.
    pub(crate) gzip: bool,
    /// Its records, in this order.
    pub(crate) ranges: Vec<Range>,
}

/// Records of a log: its number, the first offset, the offset behind the last.
pub(crate) type Range = (u64, u64, u64);

/// Where the progress of one delivery stream is kept.
#[derive(Clone)]
pub(crate) struct ProgressStore {
    storage: Storage,
    keyspace: Keyspace,
    key: Bytes,
}

impl ProgressStore {
    pub(crate) fn new(storage: &Storage, delivery_stream: &str) -> Self {
        let key = Bytes::from(format!("v1/{delivery_stream}"));
        Self { storage: storage.clone(), keyspace: Keyspace::new("delivery/progress"), key }
    }

    pub(crate) async fn load(&self) -> Result<Progress, StorageError> {
        let store = self.clone();
        let stored = tokio::task::spawn_blocking(move || store.storage.get(&store.keyspace, &store.key))
            .await
            .map_err(|_| StorageError::Closed)??;
        let Some(bytes) = stored else { return Ok(Progress::default()) };
        serde_json::from_slice(&bytes).map_err(|error| StorageError::Damaged {
            file: format!("{} {}", self.keyspace.name(), String::from_utf8_lossy(&self.key)),
            position: 0,
            detail: error.to_string(),
        })
    }

    pub(crate) async fn save(&self, progress: &Progress) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        // The type holds only maps with number keys, texts and numbers: it always has a JSON form.
        let value = serde_json::to_vec(progress).unwrap_or_default();
        transaction.put(&self.keyspace, self.key.clone(), value);
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// Adds the removal of the progress to a transaction.
    pub(crate) fn remove(&self, transaction: &mut Transaction) {
        transaction.delete(&self.keyspace, self.key.clone());
    }
}
