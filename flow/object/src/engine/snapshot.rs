//! Snapshots: objects as they were at a time, to be read, copied and removed, never changed.
//!
//! A snapshot is a file of its own, since an object's file may be appended to, or written by hand. It is durable before its
//! entry is, and counts from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_storage::to_the_end;
use millstream_types::BoxFuture;

use super::write::{duplicate, not_found};
use super::{Objects, blocking};
use crate::condition::Conditions;
use crate::error::ObjectError;
use crate::name::{check_bucket, check_key};
use crate::object::{Object, Version};
use crate::store::{Folder, OpenFile};

/// Snapshots that one object may have: each is a whole file.
pub const SNAPSHOTS_MAX: usize = 1_000;

impl Objects {
    /// Takes a snapshot of an object; durable when this returns. It has the object's properties, and its metadata unless others
    /// are given; a lease is not taken along, and does not hinder it.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::ConditionFailed`], [`ObjectError::Lease`],
    /// [`ObjectError::TooManySnapshots`], [`ObjectError::Unsupported`], [`ObjectError::DiskFull`], [`ObjectError::Disk`].
    pub fn snapshot<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        metadata: Option<BTreeMap<String, String>>,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<Object, ObjectError>> {
        Box::pin(async move {
            check_bucket(bucket)?;
            check_key(key)?;
            let folder = self.folder("keep snapshots")?;
            let (engine, bucket, key) = (self.clone(), bucket.to_owned(), key.to_owned());
            to_the_end(async move {
                let read = async || {
                    let (file, object) = engine.open_locked(&folder, Version::current(&bucket, &key)).await?;
                    conditions.check_read(&key, &object, engine.now())?;
                    let (entries, of, named) = (engine.shared.entries.clone(), bucket.clone(), object.clone());
                    let blocks = blocking(move || entries.blocks(&of, &named)).await?;
                    Ok::<_, ObjectError>((file, object, blocks))
                };
                let (file, mut object, mut blocks) = {
                    let _lock = engine.shared.locks.read(&bucket, &key).await;
                    read().await?
                };
                let mut copied = duplicate(&folder, file, object.length).await?;
                let _lock = engine.shared.locks.write(&bucket, &key).await;
                let Some(now) = engine.current(&folder, &bucket, &key).await? else {
                    // Removed meanwhile: it must not leave a snapshot behind.
                    return Err(not_found(&bucket, &key));
                };
                if now.etag != object.etag {
                    // Written meanwhile, or another one by now: the snapshot is of what is there, which stays so while it is copied.
                    let (file, found, of) = read().await?;
                    copied = duplicate(&folder, file, found.length).await?;
                    (object, blocks) = (found, of);
                }
                let (entries, of, name) = (engine.shared.entries.clone(), bucket.clone(), key.clone());
                let others = blocking(move || entries.snapshots(&of, &name, 0, SNAPSHOTS_MAX)).await?;
                if others.len() == SNAPSHOTS_MAX {
                    return Err(ObjectError::TooManySnapshots { key, limit: SNAPSHOTS_MAX });
                }
                // Behind all others, wherever the clock is.
                let id = engine.new_stamp().max(others.last().map_or(0, |last| last + 1));
                (object.snapshot, object.lease) = (Some(id), None);
                if let Some(metadata) = metadata {
                    object.properties.metadata = metadata;
                    (object.etag, object.modified) = (engine.new_etag(), engine.now());
                }
                let (of, name) = (bucket.clone(), key.clone());
                let state = blocking(move || folder.finish_snapshot(copied, &of, &name, id)).await?;
                engine.shared.entries.put(&bucket, &object, state, Some(&blocks)).await?;
                Ok(object)
            })
            .await
        })
    }

    /// The file of an object or of a snapshot, and what is said of it. Both belong together while the caller holds the lock;
    /// the open file stays the same afterwards.
    pub(super) async fn open_locked(
        &self,
        folder: &Arc<Folder>,
        version: Version<'_>,
    ) -> Result<(OpenFile, Object), ObjectError> {
        let (folder, entries) = (Arc::clone(folder), self.shared.entries.clone());
        let (bucket, key, snapshot) = (version.bucket.to_owned(), version.key.to_owned(), version.snapshot);
        blocking(move || {
            folder.require_bucket(&bucket)?;
            let version = Version { bucket: &bucket, key: &key, snapshot };
            let found = entries.counts(version)?.then(|| folder.open_version(version)).transpose()?.flatten();
            let file = found.ok_or_else(|| not_found(&bucket, &key))?;
            let object = entries.object(version, file.state)?;
            Ok((file, object))
        })
        .await
    }

    /// The same for who does not hold the lock.
    pub(super) async fn open(
        &self,
        folder: &Arc<Folder>,
        version: Version<'_>,
    ) -> Result<(OpenFile, Object), ObjectError> {
        let _lock = self.shared.locks.read(version.bucket, version.key).await;
        self.open_locked(folder, version).await
    }
}
