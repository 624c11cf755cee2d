//! Buckets: a folder is one, a definition says the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::BucketDefinition;
use millstream_storage::{Transaction, to_the_end};
use millstream_types::{BoxFuture, Millis};

use super::{Objects, blocking};
use crate::condition::Conditions;
use crate::entry::Entries;
use crate::error::ObjectError;
use crate::lease::{self, Lease, LeaseAction};
use crate::name::check_bucket;
use crate::object::Object;
use crate::store::{Folder, Step, Walk};

/// A bucket as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// When it was made; for a folder that somebody else made, when it was changed last.
    pub created: Millis,
    /// When its metadata changed last.
    pub modified: Millis,
    /// Changes with its metadata; without quotes.
    pub etag: String,
    /// The user's own pairs.
    pub metadata: BTreeMap<String, String>,
    /// Its lease, or what is left of one: who holds it may remove the bucket, and nobody else.
    pub lease: Option<Lease>,
}

impl Objects {
    /// Makes a bucket.
    ///
    /// # Errors
    /// [`ObjectError::BucketExists`], [`ObjectError::BadBucket`], [`ObjectError::Unsupported`].
    pub fn create_bucket<'a>(
        &'a self,
        name: &'a str,
        metadata: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Bucket, ObjectError>> {
        Box::pin(async move {
            check_bucket(name)?;
            let folder = self.folder("make a bucket")?;
            let (engine, name) = (self.clone(), name.to_owned());
            to_the_end(async move {
                let _lock = engine.shared.locks.whole_bucket(&name).await;
                if bucket_time(&folder, &name).await?.is_some() {
                    return Err(ObjectError::BucketExists { bucket: name });
                }
                // What a bucket of that name held before, should it have been removed by hand.
                let mut transaction = Transaction::new();
                Entries::remove_bucket(&name, &mut transaction);
                engine.shared.storage.commit(transaction).await?;
                let made = name.clone();
                blocking(move || folder.make_bucket(&made)).await?;
                let (now, etag) = (engine.now(), engine.new_etag());
                let definition = BucketDefinition { name, created: now, modified: now, etag, metadata };
                Ok(Bucket::of(&*engine.shared.catalog.buckets.put(definition).await?, None))
            })
            .await
        })
    }

    /// Makes a bucket unless it is there. An S3-class store has its buckets or has them not.
    pub(super) async fn ensure_bucket(&self, name: &str) -> Result<(), ObjectError> {
        let Ok(folder) = self.folder("make a bucket") else { return Ok(()) };
        if bucket_time(&folder, name).await?.is_some() {
            return Ok(());
        }
        match self.create_bucket(name, BTreeMap::new()).await {
            Ok(_) | Err(ObjectError::BucketExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A bucket's properties.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::Unsupported`].
    pub fn bucket<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Bucket, ObjectError>> {
        Box::pin(async move {
            check_bucket(name)?;
            let folder = self.folder("describe a bucket")?;
            let (engine, name) = (self.clone(), name.to_owned());
            blocking(move || match folder.bucket_time(&name)? {
                Some(time) => engine.describe(&name, time),
                None => Err(ObjectError::BucketNotFound { bucket: name }),
            })
            .await
        })
    }

    /// A bucket's properties, if conditions on it hold; a lease's id must be the bucket's when one is named.
    ///
    /// # Errors
    /// As [`Objects::bucket`], [`ObjectError::ConditionFailed`], [`ObjectError::Lease`].
    pub fn bucket_if<'a>(
        &'a self,
        name: &'a str,
        conditions: &'a Conditions,
    ) -> BoxFuture<'a, Result<Bucket, ObjectError>> {
        Box::pin(async move {
            let bucket = self.bucket(name).await?;
            conditions.check_read(name, &bucket.as_object(), self.now())?;
            Ok(bucket)
        })
    }

    /// All buckets in the order of their names.
    ///
    /// # Errors
    /// [`ObjectError::Disk`], [`ObjectError::Unsupported`].
    pub fn buckets(&self) -> BoxFuture<'_, Result<Vec<Bucket>, ObjectError>> {
        Box::pin(async move {
            let folder = self.folder("list buckets")?;
            let engine = self.clone();
            blocking(move || {
                let mut buckets = Vec::new();
                for name in folder.buckets()? {
                    if let Some(time) = folder.bucket_time(&name)? {
                        buckets.push(engine.describe(&name, time)?);
                    }
                }
                Ok(buckets)
            })
            .await
        })
    }

    /// Sets a bucket's own pairs, if conditions on it hold. A lease does not hinder it; one that is named must be the bucket's.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::ConditionFailed`], [`ObjectError::Lease`],
    /// [`ObjectError::Unsupported`].
    pub fn set_bucket_metadata<'a>(
        &'a self,
        name: &'a str,
        metadata: BTreeMap<String, String>,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<Bucket, ObjectError>> {
        Box::pin(async move {
            let (engine, name) = (self.clone(), name.to_owned());
            to_the_end(async move {
                let _lock = engine.shared.locks.whole_bucket(&name).await;
                let Bucket { name, created, lease, .. } = engine.bucket_if(&name, &conditions).await?;
                let (modified, etag) = (engine.now(), engine.new_etag());
                let definition = BucketDefinition { name, created, modified, etag, metadata };
                Ok(Bucket::of(&*engine.shared.catalog.buckets.put(definition).await?, lease))
            })
            .await
        })
    }

    /// Acts on a bucket's lease, if conditions on it hold; durable when this returns. The bucket is not changed by it.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::ConditionFailed`], [`ObjectError::Lease`],
    /// [`ObjectError::Unsupported`].
    pub fn act_on_bucket_lease<'a>(
        &'a self,
        name: &'a str,
        conditions: Conditions,
        action: LeaseAction,
    ) -> BoxFuture<'a, Result<Bucket, ObjectError>> {
        Box::pin(async move {
            let (engine, name) = (self.clone(), name.to_owned());
            to_the_end(async move {
                let _lock = engine.shared.locks.whole_bucket(&name).await;
                let mut bucket = engine.bucket(&name).await?;
                conditions.check(&name, Some(&bucket.as_object()))?;
                let acted = lease::act(bucket.lease.take(), action, engine.now());
                bucket.lease = acted.map_err(|refusal| ObjectError::Lease { key: name.clone(), refusal })?;
                engine.shared.entries.put_bucket_lease(&name, bucket.lease.as_ref()).await?;
                Ok(bucket)
            })
            .await
        })
    }

    /// Removes a bucket with all that is in it, if conditions on it hold and its lease allows it; with `only_empty` only when
    /// nothing is in it.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::BucketNotEmpty`], [`ObjectError::ConditionFailed`],
    /// [`ObjectError::Lease`], [`ObjectError::Unsupported`].
    pub fn delete_bucket<'a>(
        &'a self,
        name: &'a str,
        only_empty: bool,
        conditions: Conditions,
    ) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(async move {
            check_bucket(name)?;
            let folder = self.folder("delete a bucket")?;
            let (engine, name) = (self.clone(), name.to_owned());
            to_the_end(async move {
                let _lock = engine.shared.locks.whole_bucket(&name).await;
                let bucket = engine.bucket(&name).await?;
                conditions.check_change(&name, Some(&bucket.as_object()), engine.now())?;
                let removed = name.clone();
                blocking(move || {
                    folder.require_bucket(&removed)?;
                    if only_empty && !is_empty(&folder, &removed)? {
                        return Err(ObjectError::BucketNotEmpty { bucket: removed });
                    }
                    folder.remove_bucket(&removed)
                })
                .await?;
                let mut transaction = Transaction::new();
                Entries::remove_bucket(&name, &mut transaction);
                if engine.shared.catalog.buckets.get(&name).is_some() {
                    engine.shared.catalog.buckets.delete(&name, transaction).await?;
                } else {
                    engine.shared.storage.commit(transaction).await?;
                }
                Ok(())
            })
            .await
        })
    }

    /// Touches the disk: not for an async worker.
    fn describe(&self, name: &str, time: Millis) -> Result<Bucket, ObjectError> {
        let lease = self.shared.entries.bucket_lease(name)?;
        Ok(match self.shared.catalog.buckets.get(name) {
            Some(definition) => Bucket::of(&definition, lease),
            None => Bucket {
                name: name.to_owned(),
                created: time,
                modified: time,
                etag: format!("{time:016X}"),
                metadata: BTreeMap::new(),
                lease,
            },
        })
    }
}

impl Bucket {
    fn of(definition: &BucketDefinition, lease: Option<Lease>) -> Self {
        Self {
            name: definition.name.clone(),
            created: definition.created,
            modified: definition.modified,
            etag: definition.etag.clone(),
            metadata: definition.metadata.clone(),
            lease,
        }
    }

    /// What conditions look at.
    fn as_object(&self) -> Object {
        let (etag, modified, lease) = (self.etag.clone(), self.modified, self.lease.clone());
        Object { key: self.name.clone(), etag, modified, lease, ..Object::default() }
    }
}

async fn bucket_time(folder: &Arc<Folder>, name: &str) -> Result<Option<Millis>, ObjectError> {
    let (folder, name) = (Arc::clone(folder), name.to_owned());
    blocking(move || folder.bucket_time(&name)).await
}

fn is_empty(folder: &Folder, bucket: &str) -> Result<bool, ObjectError> {
    let mut empty = true;
    let mut all = Walk { prefix: String::new(), after: String::new(), again: false, skip: None };
    folder.walk(bucket, &mut all, &mut |_| {
        empty = false;
        Ok(Step::Stop)
    })?;
    Ok(empty)
}
