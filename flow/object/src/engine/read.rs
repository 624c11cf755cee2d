//! Reading: the content and properties of an object or a snapshot.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_storage::StorageError;
use millstream_types::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::{Objects, blocking};
use crate::condition::Conditions;
use crate::error::ObjectError;
use crate::name::{check_bucket, check_key};
use crate::object::{Object, Version};
use crate::store::Store;

/// Bytes that one read gives at most; larger objects are read by ranges.
pub const READ_BYTES_MAX: u64 = 256 << 20;

/// Bytes of objects that the process holds at once for its readers; further reads wait.
pub(super) const READS_BYTES_MAX: usize = 512 << 20;

/// How long a read waits for others to let their bytes go.
const READ_WAIT: Duration = Duration::from_secs(30);

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
    pub fn head<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        conditions: &'a Conditions,
    ) -> BoxFuture<'a, Result<Object, ObjectError>> {
        Box::pin(async move { self.head_version(Version::current(bucket, key), conditions).await })
    }

    /// The same of an object or a snapshot.
    ///
    /// # Errors
    /// As [`Objects::head`]; [`ObjectError::Unsupported`].
    pub fn head_version<'a>(
        &'a self,
        version: Version<'a>,
        conditions: &'a Conditions,
    ) -> BoxFuture<'a, Result<Object, ObjectError>> {
        Box::pin(async move {
            let Version { bucket, key, snapshot } = version;
            check_bucket(bucket)?;
            check_key(key)?;
            let object = match (&self.shared.store, snapshot) {
                (Store::Folder(folder), _) => self.open(folder, version).await?.1,
                (Store::S3(store), None) => store.head(bucket, key).await?,
                (Store::S3(_), Some(_)) => return Err(ObjectError::Unsupported { operation: "keep snapshots" }),
            };
            conditions.check_read(key, &object, self.now())?;
            Ok(object)
        })
    }

    /// Reads an object, or bytes of it.
    ///
    /// # Errors
    /// As [`Objects::head`]; [`ObjectError::RangeBehindEnd`], [`ObjectError::ReadTooLarge`], [`ObjectError::Disk`].
    pub fn read<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        range: ByteRange,
        conditions: &'a Conditions,
    ) -> BoxFuture<'a, Result<Reading, ObjectError>> {
        Box::pin(async move { self.read_version(Version::current(bucket, key), range, conditions).await })
    }

    /// The same of an object or a snapshot.
    ///
    /// # Errors
    /// As [`Objects::read`]; [`ObjectError::Unsupported`].
    pub fn read_version<'a>(
        &'a self,
        version: Version<'a>,
        range: ByteRange,
        conditions: &'a Conditions,
    ) -> BoxFuture<'a, Result<Reading, ObjectError>> {
        Box::pin(async move {
            check_bucket(version.bucket)?;
            check_key(version.key)?;
            let (object, start, content, share) = match &self.shared.store {
                Store::Folder(folder) => {
                    let (file, object) = self.open(folder, version).await?;
                    conditions.check_read(version.key, &object, self.now())?;
                    let (start, length) = range.within(object.length)?;
                    let share = self.share(length).await?;
                    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
                    let content = blocking(move || file.read(start, bytes)).await?;
                    (object, start, content, share)
                }
                Store::S3(store) => {
                    let object = self.head_version(version, conditions).await?;
                    let (start, length) = range.within(object.length)?;
                    let share = self.share(length).await?;
                    let content = store.read(version.bucket, &object, start, length).await?;
                    (object, start, content, share)
                }
            };
            Ok(Reading { object, start, content: Bytes::from_owner(Held { content, _share: share }) })
        })
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
