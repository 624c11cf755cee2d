//! Reading: an object's content and properties, and the objects of a bucket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_storage::StorageError;
use tokio::sync::OwnedSemaphorePermit;

use super::write::not_found;
use super::{Objects, blocking};
use crate::condition::Conditions;
use crate::error::ObjectError;
use crate::name::{check_bucket, check_key};
use crate::object::Object;
use crate::store::{Step, Store, Walk};

/// Bytes that one read gives at most; larger objects are read by ranges.
pub const READ_BYTES_MAX: u64 = 256 << 20;

/// Bytes of objects that the process holds at once for its readers; further reads wait.
pub(super) const READS_BYTES_MAX: usize = 512 << 20;

/// How long a read waits for others to let their bytes go.
const READ_WAIT: Duration = Duration::from_secs(30);

/// Objects and prefixes that one listing gives at most, as Blob storage allows.
pub const LIST_MAX: usize = 5_000;

/// Which bytes of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ByteRange {
    /// All.
    #[default]
    All,
    /// From the first to the second, both included; without a second, to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The object as it was then.
    pub object: Object,
    /// Where in it the content begins.
    pub start: u64,
    /// The bytes.
    pub content: Bytes,
}

/// Which objects of a bucket.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// Keys that begin so.
    pub prefix: String,
    /// Keys that have this behind the prefix are put together to one common prefix.
    pub delimiter: Option<String>,
    /// Names behind this one: the last page's [`Listing::next`].
    pub after: String,
    /// How many names at most; 5000 when it is more.
    pub limit: usize,
}

/// A page of a bucket's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects and common prefixes in the order of their names.
    pub found: Vec<Listed>,
    /// Behind which the next page begins; `None` when this is the last.
    pub next: Option<String>,
}

/// One name of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// An object.
    Object(Box<Object>),
    /// The beginning of keys that were put together.
    Prefix(String),
}

/// Bytes with their share of what the process may hold.
struct Held {
    content: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl Objects {
    /// An object without its content.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::NotFound`], [`ObjectError::ConditionFailed`].
    pub async fn head(&self, bucket: &str, key: &str, conditions: &Conditions) -> Result<Object, ObjectError> {
        check_bucket(bucket)?;
        check_key(key)?;
        let object = match &self.shared.store {
            Store::Folder(folder) => {
                let _lock = self.shared.locks.read(bucket, key).await;
                self.current(folder, bucket, key).await?
            }
            Store::S3(store) => Some(store.head(bucket, key).await?),
        };
        let object = object.ok_or_else(|| not_found(bucket, key))?;
        conditions.check_read(key, &object, self.now())?;
        Ok(object)
    }

    /// Reads an object, or bytes of it.
    ///
    /// # Errors
    /// As [`Objects::head`]; [`ObjectError::RangeBehindEnd`], [`ObjectError::ReadTooLarge`], [`ObjectError::Disk`].
    pub async fn read(
        &self,
        bucket: &str,
        key: &str,
        range: ByteRange,
        conditions: &Conditions,
    ) -> Result<Reading, ObjectError> {
        check_bucket(bucket)?;
        check_key(key)?;
        let (object, start, content, share) = match &self.shared.store {
            Store::Folder(_) => self.read_file(bucket, key, range, conditions).await?,
            Store::S3(store) => {
                let object = self.head(bucket, key, conditions).await?;
                let (start, length) = range.within(object.length)?;
                let share = self.share(length).await?;
                let content = store.read(bucket, &object, start, length).await?;
                (object, start, content, share)
            }
        };
        Ok(Reading { object, start, content: Bytes::from_owner(Held { content, _share: share }) })
    }

    async fn read_file(
        &self,
        bucket: &str,
        key: &str,
        range: ByteRange,
        conditions: &Conditions,
    ) -> Result<(Object, u64, Bytes, OwnedSemaphorePermit), ObjectError> {
        let folder = self.folder("read")?;
        let (file, object) = {
            // Under the lock file and entry belong together; the open file stays the same afterwards.
            let _lock = self.shared.locks.read(bucket, key).await;
            let (entries, bucket, key) = (self.shared.entries.clone(), bucket.to_owned(), key.to_owned());
            blocking(move || {
                folder.require_bucket(&bucket)?;
                let file = folder.open(&bucket, &key)?.ok_or_else(|| not_found(&bucket, &key))?;
                let object = entries.object(&bucket, &key, file.state)?;
                Ok((file, object))
            })
            .await?
        };
        conditions.check_read(key, &object, self.now())?;
        let (start, length) = range.within(object.length)?;
        let share = self.share(length).await?;
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        let content = blocking(move || file.read(start, bytes)).await?;
        Ok((object, start, content, share))
    }

    /// A share of what may be held for readers.
    async fn share(&self, bytes: u64) -> Result<OwnedSemaphorePermit, ObjectError> {
        if bytes > READ_BYTES_MAX {
            return Err(ObjectError::ReadTooLarge { bytes, limit_bytes: READ_BYTES_MAX });
        }
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let acquire = Arc::clone(&self.shared.reads).acquire_many_owned(permits);
        match tokio::time::timeout(READ_WAIT, acquire).await {
            Ok(Ok(share)) => Ok(share),
            Ok(Err(_)) => Err(StorageError::Closed.into()),
            Err(_) => Err(ObjectError::TooManyReads { limit_bytes: READS_BYTES_MAX }),
        }
    }

    /// A page of a bucket's objects.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::Disk`], [`ObjectError::Store`].
    pub async fn list(&self, bucket: &str, select: Select) -> Result<Listing, ObjectError> {
        check_bucket(bucket)?;
        let mut page = Page::new(select);
        let mut walk = page.walk();
        match &self.shared.store {
            Store::Folder(folder) => {
                let (folder, entries) = (Arc::clone(folder), self.shared.entries.clone());
                let bucket = bucket.to_owned();
                blocking(move || {
                    folder.require_bucket(&bucket)?;
                    folder.walk(&bucket, &mut walk, &mut |key| {
                        page.take(key, || match folder.open(&bucket, key)? {
                            Some(file) => Ok(Some(entries.object(&bucket, key, file.state)?)),
                            // Removed since its folder was read.
                            None => Ok(None),
                        })
                    })?;
                    Ok(page.listing())
                })
                .await
            }
            Store::S3(store) => {
                store
                    .walk(bucket, &mut walk, &mut |object| page.take(&object.key.clone(), || Ok(Some(object))))
                    .await?;
                Ok(page.listing())
            }
        }
    }
}

impl ByteRange {
    /// Start and length in an object of so many bytes.
    fn within(self, length: u64) -> Result<(u64, u64), ObjectError> {
        let start = match self {
            Self::All => return Ok((0, length)),
            Self::From(start, _) => start,
            Self::Last(count) => length.saturating_sub(count),
        };
        if start >= length {
            return Err(ObjectError::RangeBehindEnd { start, length });
        }
        let end = match self {
            Self::From(_, Some(last)) => last.saturating_add(1).min(length),
            _ => length,
        };
        Ok((start, end.saturating_sub(start)))
    }
}

/// A page while it fills.
struct Page {
    select: Select,
    limit: usize,
    found: Vec<Listed>,
    more: bool,
}

impl Page {
    fn new(select: Select) -> Self {
        let limit = select.limit.clamp(1, LIST_MAX);
        Self { select, limit, found: Vec::new(), more: false }
    }

    fn walk(&self) -> Walk {
        let Select { prefix, delimiter, after, .. } = &self.select;
        // The last page ended with a common prefix: its keys have been told of.
        let told = delimiter.as_ref().is_some_and(|delimiter| !after.is_empty() && after.ends_with(delimiter));
        Walk { prefix: prefix.clone(), after: after.clone(), skip: told.then(|| after.clone()) }
    }

    fn take(
        &mut self,
        key: &str,
        object: impl FnOnce() -> Result<Option<Object>, ObjectError>,
    ) -> Result<Step, ObjectError> {
        if self.found.len() == self.limit {
            self.more = true;
            return Ok(Step::Stop);
        }
        if let Some(prefix) = self.common_prefix(key) {
            self.found.push(Listed::Prefix(prefix.clone()));
            return Ok(Step::Skip(prefix));
        }
        self.found.extend(object()?.map(|object| Listed::Object(Box::new(object))));
        Ok(Step::Next)
    }

    fn common_prefix(&self, key: &str) -> Option<String> {
        let delimiter = self.select.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
        let begin = self.select.prefix.len();
        let at = key.get(begin..)?.find(delimiter)?;
        key.get(..begin + at + delimiter.len()).map(str::to_owned)
    }

    fn listing(self) -> Listing {
        let last = self.found.last().map(|last| match last {
            Listed::Object(object) => object.key.clone(),
            Listed::Prefix(prefix) => prefix.clone(),
        });
        Listing { next: last.filter(|_| self.more), found: self.found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_with_the_object() {
        for (range, expected) in [
            (ByteRange::All, Some((0, 10))),
            (ByteRange::From(0, None), Some((0, 10))),
            (ByteRange::From(3, Some(5)), Some((3, 3))),
            (ByteRange::From(9, Some(100)), Some((9, 1))),
            (ByteRange::From(10, None), None),
            (ByteRange::Last(4), Some((6, 4))),
            (ByteRange::Last(40), Some((0, 10))),
            (ByteRange::Last(0), None),
        ] {
            assert_eq!(range.within(10).ok(), expected, "{range:?}");
        }
        assert_eq!(ByteRange::All.within(0).ok(), Some((0, 0)));
        assert!(ByteRange::From(0, None).within(0).is_err());
    }
}
