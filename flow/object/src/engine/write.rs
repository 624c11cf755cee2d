//! Changes of objects: whole ones, appends, copies, properties.
//!
//! A change writes its file outside the bucket first. Then, under the object's lock: conditions, rename, entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use millstream_storage::to_the_end;
use millstream_types::BoxFuture;

use super::{Objects, blocking, length};
use crate::condition::Conditions;
use crate::error::ObjectError;
use crate::lease;
use crate::lock::WriteLock;
use crate::name::{check_bucket, check_key};
use crate::object::{BlockInfo, CopyRecord, Object, ObjectKind, Properties, SnapshotId, Version};
use crate::store::{Folder, OpenFile, Store, Unfinished};

/// An object to be written whole.
#[derive(Debug, Clone)]
pub struct Put {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The content, in parts.
    pub content: Vec<Bytes>,
    /// How it will be written further.
    pub kind: ObjectKind,
    /// What the writer says of it. An MD5 is checked against the content.
    pub properties: Properties,
    /// What must hold before.
    pub conditions: Conditions,
    /// Whether a missing bucket is made.
    pub make_bucket: bool,
}

impl Put {
    /// A whole object without properties and conditions, into a bucket that is there.
    #[must_use]
    pub fn new(bucket: String, key: String, content: Vec<Bytes>) -> Self {
        Self {
            bucket,
            key,
            content,
            kind: ObjectKind::Whole,
            properties: Properties::default(),
            conditions: Conditions::default(),
            make_bucket: false,
        }
    }
}

/// Bytes for the end of an append object.
#[derive(Debug, Clone)]
pub struct Append {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// What is added.
    pub data: Bytes,
    /// Its MD5, when it was promised.
    pub md5: Option<[u8; 16]>,
    /// The length that the object must have before.
    pub position: Option<u64>,
    /// The length that the object may have afterwards.
    pub length_max: Option<u64>,
    /// What must hold before.
    pub conditions: Conditions,
}

/// A copy within the store.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Bucket and key of the source.
    pub from: (String, String),
    /// The source's snapshot that is copied; `None` for the source itself.
    pub snapshot: Option<SnapshotId>,
    /// What must hold for the source.
    pub source_conditions: Conditions,
    /// Bucket and key of the copy.
    pub to: (String, String),
    /// What must hold for what the copy replaces.
    pub conditions: Conditions,
    /// The copy's own pairs; `None` takes those of the source.
    pub metadata: Option<std::collections::BTreeMap<String, String>>,
    /// The copy's own tags: those of the source are not copied.
    pub tags: BTreeMap<String, String>,
    /// The source's name in the copy's record.
    pub source_name: String,
}

/// Appends that one object is made of at most, as Blob storage allows.
const APPEND_BLOCKS_MAX: u32 = 50_000;

impl Objects {
    /// Writes an object whole, in place of one of the same key; durable when this returns.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::BadKey`], [`ObjectError::KeyClash`],
    /// [`ObjectError::ConditionFailed`], [`ObjectError::Md5Mismatch`], [`ObjectError::DiskFull`], [`ObjectError::Disk`].
    pub fn put(&self, put: Put) -> BoxFuture<'_, Result<Object, ObjectError>> {
        Box::pin(async move {
            check_bucket(&put.bucket)?;
            check_key(&put.key)?;
            if put.make_bucket {
                self.ensure_bucket(&put.bucket).await?;
            }
            let engine = self.clone();
            match &self.shared.store {
                Store::Folder(folder) => {
                    let folder = Arc::clone(folder);
                    to_the_end(async move { engine.put_file(folder, put).await }).await
                }
                Store::S3(store) => {
                    if put.kind == ObjectKind::Append {
                        return Err(ObjectError::Unsupported { operation: "append to objects" });
                    }
                    if put.conditions != Conditions::default() {
                        return Err(ObjectError::Unsupported { operation: "write under conditions" });
                    }
                    store.write(&put.bucket, &put.key, put.content, &put.properties).await?;
                    store.head(&put.bucket, &put.key).await
                }
            }
        })
    }

    async fn put_file(&self, folder: Arc<Folder>, put: Put) -> Result<Object, ObjectError> {
        let Put { bucket, key, content, kind, mut properties, conditions, .. } = put;
        let promised = properties.md5;
        let (write_to, wanted) = (Arc::clone(&folder), bucket.clone());
        let (file, length, md5) = blocking(move || {
            write_to.require_bucket(&wanted)?;
            let mut file = write_to.begin(length(&content))?;
            let md5 = md5_of(&content, promised)?;
            content.iter().try_for_each(|part| file.write(part))?;
            file.sync()?;
            Ok((file, length(&content), md5))
        })
        .await?;
        properties.md5 = (kind == ObjectKind::Whole).then_some(md5);
        let object = Object { key, length, kind, properties, ..Object::default() };
        self.replace(folder, bucket, file, object, &conditions, &[]).await
    }

    /// Puts a finished file in place of what is there under its key, if the conditions hold for that.
    async fn replace(
        &self,
        folder: Arc<Folder>,
        bucket: String,
        file: Unfinished,
        object: Object,
        conditions: &Conditions,
        blocks: &[BlockInfo],
    ) -> Result<Object, ObjectError> {
        let lock = self.shared.locks.write(&bucket, &object.key).await;
        let current = self.current(&folder, &bucket, &object.key).await?;
        conditions.check_change(&object.key, current.as_ref(), self.now())?;
        let left = lease::after_change(current.and_then(|current| current.lease), self.now());
        let object = Object { lease: left, ..object };
        self.replace_locked(&lock, folder, bucket, file, object, blocks).await
    }

    /// The same once the lock is held and the conditions are checked.
    pub(super) async fn replace_locked(
        &self,
        _lock: &WriteLock,
        folder: Arc<Folder>,
        bucket: String,
        file: Unfinished,
        mut object: Object,
        blocks: &[BlockInfo],
    ) -> Result<Object, ObjectError> {
        object.etag = self.new_etag();
        object.modified = self.now();
        object.created = object.modified;
        let (into, key, place) = (bucket.clone(), object.key.clone(), Arc::clone(&folder));
        let state = blocking(move || {
            place.require_bucket(&into)?;
            place.finish(file, &into, &key)
        })
        .await?;
        self.shared.entries.put(&bucket, &object, state, Some(blocks)).await?;
        let key = object.key.clone();
        blocking(move || folder.remove_staged(&bucket, &key)).await?;
        Ok(object)
    }

    /// The object that is there.
    pub(super) async fn current(
        &self,
        folder: &Arc<Folder>,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Object>, ObjectError> {
        let (folder, entries) = (Arc::clone(folder), self.shared.entries.clone());
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        blocking(move || {
            folder.require_bucket(&bucket)?;
            let file = folder.open(&bucket, &key)?;
            file.map(|file| entries.object(Version::current(&bucket, &key), file.state)).transpose()
        })
        .await
    }

    /// Adds to the end of an append object; durable when this returns.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::WrongKind`], [`ObjectError::AppendPosition`],
    /// [`ObjectError::AppendTooLong`], [`ObjectError::TooManyBlocks`], [`ObjectError::ConditionFailed`],
    /// [`ObjectError::Md5Mismatch`], [`ObjectError::Unsupported`], [`ObjectError::DiskFull`], [`ObjectError::Disk`].
    pub fn append(&self, append: Append) -> BoxFuture<'_, Result<Object, ObjectError>> {
        Box::pin(async move {
            check_bucket(&append.bucket)?;
            check_key(&append.key)?;
            let folder = self.folder("append to objects")?;
            let engine = self.clone();
            to_the_end(async move { engine.append_to_file(folder, append).await }).await
        })
    }

    async fn append_to_file(&self, folder: Arc<Folder>, append: Append) -> Result<Object, ObjectError> {
        let Append { bucket, key, data, md5, position, length_max, conditions } = append;
        let _lock = self.shared.locks.write(&bucket, &key).await;
        let current = self.current(&folder, &bucket, &key).await?;
        conditions.check_change(&key, current.as_ref(), self.now())?;
        let mut object = current.ok_or_else(|| not_found(&bucket, &key))?;
        if object.kind != ObjectKind::Append {
            return Err(ObjectError::WrongKind { key, expected: ObjectKind::Append, found: object.kind });
        }
        if let Some(expected) = position.filter(|position| *position != object.length) {
            return Err(ObjectError::AppendPosition { expected, found: object.length });
        }
        let bytes = object.length + data.len() as u64;
        if let Some(limit_bytes) = length_max.filter(|limit| bytes > *limit) {
            return Err(ObjectError::AppendTooLong { bytes, limit_bytes });
        }
        if object.append_blocks >= APPEND_BLOCKS_MAX {
            return Err(ObjectError::TooManyBlocks { key, limit: APPEND_BLOCKS_MAX as usize });
        }
        let (length, into) = (object.length, bucket.clone());
        let state = blocking(move || {
            md5_of(std::slice::from_ref(&data), md5)?;
            folder.append(&into, &key, length, &data)
        })
        .await?;
        object.length = bytes;
        object.append_blocks += 1;
        object.etag = self.new_etag();
        object.modified = self.now();
        object.lease = lease::after_change(object.lease, object.modified);
        self.shared.entries.put(&bucket, &object, state, None).await?;
        Ok(object)
    }

    /// Changes what is said of an object; its content stays.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::ConditionFailed`], [`ObjectError::Unsupported`].
    pub async fn change(
        &self,
        bucket: &str,
        key: &str,
        conditions: Conditions,
        change: impl FnOnce(&mut Properties) + Send + 'static,
    ) -> Result<Object, ObjectError> {
        check_bucket(bucket)?;
        check_key(key)?;
        let folder = self.folder("change the properties of objects")?;
        let (engine, bucket, key) = (self.clone(), bucket.to_owned(), key.to_owned());
        to_the_end(async move {
            let _lock = engine.shared.locks.write(&bucket, &key).await;
            let current = engine.current(&folder, &bucket, &key).await?;
            conditions.check_change(&key, current.as_ref(), engine.now())?;
            let mut object = current.ok_or_else(|| not_found(&bucket, &key))?;
            change(&mut object.properties);
            object.etag = engine.new_etag();
            object.modified = engine.now();
            object.lease = lease::after_change(object.lease, object.modified);
            let of = bucket.clone();
            let state = blocking(move || match folder.open(&of, &key)? {
                Some(file) => Ok(file.state),
                None => Err(not_found(&of, &key)),
            })
            .await?;
            engine.shared.entries.put(&bucket, &object, state, None).await?;
            Ok(object)
        })
        .await
    }

    /// Copies an object with its properties; durable when this returns.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`] for the source, [`ObjectError::ConditionFailed`] with the key it is about,
    /// [`ObjectError::Unsupported`]; further as [`Objects::put`].
    pub fn copy(&self, copy: Copy) -> BoxFuture<'_, Result<Object, ObjectError>> {
        Box::pin(async move {
            for (bucket, key) in [&copy.from, &copy.to] {
                check_bucket(bucket)?;
                check_key(key)?;
            }
            let folder = self.folder("copy objects")?;
            let engine = self.clone();
            to_the_end(async move { engine.copy_file(folder, copy).await }).await
        })
    }

    async fn copy_file(&self, folder: Arc<Folder>, copy: Copy) -> Result<Object, ObjectError> {
        let Copy { from: (bucket, key), snapshot, source_conditions, to, conditions, metadata, tags, source_name } =
            copy;
        let (file, source) = self.open(&folder, Version { bucket: &bucket, key: &key, snapshot }).await?;
        source_conditions.check(&key, Some(&source))?;
        let length = source.length;
        let copied = duplicate(&folder, file, length).await?;
        let mut properties = source.properties;
        if let Some(metadata) = metadata {
            properties.metadata = metadata;
        }
        properties.tags = tags;
        let record = CopyRecord { id: uuid::Uuid::new_v4().to_string(), source: source_name, done: self.now() };
        let object = Object {
            key: to.1,
            length,
            kind: source.kind,
            append_blocks: source.append_blocks,
            properties,
            copy: Some(record),
            ..Object::default()
        };
        self.replace(folder, to.0, copied, object, &conditions, &[]).await
    }
}

/// A file with the first `length` bytes of another; durable when this returns.
pub(super) async fn duplicate(folder: &Arc<Folder>, file: OpenFile, length: u64) -> Result<Unfinished, ObjectError> {
    let folder = Arc::clone(folder);
    blocking(move || {
        let (mut file, mut copied) = (file, folder.begin(length)?);
        file.copy_to(0, length, &mut copied)?;
        copied.sync()?;
        Ok(copied)
    })
    .await
}

pub(super) fn not_found(bucket: &str, key: &str) -> ObjectError {
    ObjectError::NotFound { bucket: bucket.to_owned(), key: key.to_owned() }
}

/// The MD5 of all parts, which must be the one that was promised.
pub(super) fn md5_of(parts: &[Bytes], promised: Option<[u8; 16]>) -> Result<[u8; 16], ObjectError> {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    let found: [u8; 16] = hash.finalize().into();
    match promised.filter(|promised| *promised != found) {
        Some(expected) => Err(ObjectError::Md5Mismatch { expected: hex::encode(expected), found: hex::encode(found) }),
        None => Ok(found),
    }
}
