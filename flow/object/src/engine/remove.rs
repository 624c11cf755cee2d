//! Removal of objects and of their snapshots.
//!
//! Snapshots count by their entries, so these go first and their files behind them; of an object the file goes first. What a
//! crash leaves in between is an object with fewer snapshots, never one that is gone and has some.

use std::sync::Arc;

use millstream_storage::to_the_end;
use millstream_types::BoxFuture;

use super::snapshot::SNAPSHOTS_MAX;
use super::write::not_found;
use super::{Objects, blocking};
use crate::condition::Conditions;
use crate::error::ObjectError;
use crate::name::{check_bucket, check_key};
use crate::object::{SnapshotId, Version};
use crate::store::{Folder, Store};

/// What of an object is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The object, which must have no snapshots.
    Object,
    /// The object and all its snapshots.
    WithSnapshots,
    /// All its snapshots; the object stays.
    Snapshots,
    /// One of its snapshots.
    Snapshot(SnapshotId),
}

impl Objects {
    /// Removes an object or snapshots of it; durable when this returns. Conditions are on what is named: a snapshot, or the
    /// object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::HasSnapshots`], [`ObjectError::ConditionFailed`], [`ObjectError::Lease`],
    /// [`ObjectError::Unsupported`], [`ObjectError::Disk`].
    pub fn remove<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        removal: Removal,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(async move {
            check_bucket(bucket)?;
            check_key(key)?;
            let folder = match &self.shared.store {
                Store::Folder(folder) => Arc::clone(folder),
                Store::S3(_) if matches!(removal, Removal::Snapshots | Removal::Snapshot(_)) => {
                    return Err(ObjectError::Unsupported { operation: "keep snapshots" });
                }
                Store::S3(store) => {
                    // Such a store says nothing when there is no object, so it is asked first.
                    conditions.check(key, Some(&store.head(bucket, key).await?))?;
                    return store.remove(bucket, key).await;
                }
            };
            let (engine, bucket, key) = (self.clone(), bucket.to_owned(), key.to_owned());
            to_the_end(async move {
                let _lock = engine.shared.locks.write(&bucket, &key).await;
                match removal {
                    Removal::Snapshot(id) => engine.remove_snapshot(&folder, &bucket, &key, id, &conditions).await,
                    _ => engine.remove_object(&folder, &bucket, &key, removal, &conditions).await,
                }
            })
            .await
        })
    }

    async fn remove_snapshot(
        &self,
        folder: &Arc<Folder>,
        bucket: &str,
        key: &str,
        id: SnapshotId,
        conditions: &Conditions,
    ) -> Result<(), ObjectError> {
        let (_, object) = self.open_locked(folder, Version { bucket, key, snapshot: Some(id) }).await?;
        conditions.check(key, Some(&object))?;
        self.drop_snapshots(folder, bucket, key, vec![id]).await
    }

    async fn remove_object(
        &self,
        folder: &Arc<Folder>,
        bucket: &str,
        key: &str,
        removal: Removal,
        conditions: &Conditions,
    ) -> Result<(), ObjectError> {
        let current = self.current(folder, bucket, key).await?;
        conditions.check_change(key, current.as_ref(), self.now())?;
        if current.is_none() {
            return Err(not_found(bucket, key));
        }
        let (entries, of, name) = (self.shared.entries.clone(), bucket.to_owned(), key.to_owned());
        let snapshots = blocking(move || entries.snapshots(&of, &name, 0, SNAPSHOTS_MAX)).await?;
        if removal == Removal::Object && !snapshots.is_empty() {
            return Err(ObjectError::HasSnapshots { key: key.to_owned() });
        }
        if !snapshots.is_empty() {
            self.drop_snapshots(folder, bucket, key, snapshots).await?;
        }
        if removal == Removal::Snapshots {
            return Ok(());
        }
        let (folder, of, file) = (Arc::clone(folder), bucket.to_owned(), key.to_owned());
        if !blocking(move || folder.remove(&of, &file)).await? {
            return Err(not_found(bucket, key));
        }
        self.shared.entries.remove(bucket, key, [None]).await
    }

    async fn drop_snapshots(
        &self,
        folder: &Arc<Folder>,
        bucket: &str,
        key: &str,
        ids: Vec<SnapshotId>,
    ) -> Result<(), ObjectError> {
        self.shared.entries.remove(bucket, key, ids.iter().copied().map(Some)).await?;
        let (folder, bucket, key) = (Arc::clone(folder), bucket.to_owned(), key.to_owned());
        blocking(move || folder.remove_snapshots(&bucket, &key, &ids)).await
    }
}
