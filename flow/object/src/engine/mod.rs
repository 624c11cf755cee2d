//! The operations on buckets and objects.
//!
//! Read next: `bucket`, `write` (whole objects, appends, copies, changes), `block` (objects from staged blocks),
//! `note` (leases and tags), `snapshot`, `remove`, `read`, `list`.

mod block;
mod bucket;
mod list;
mod note;
mod read;
mod remove;
mod snapshot;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use millstream_catalog::Catalog;
use millstream_storage::{Storage, StorageError};
use millstream_types::{
    BoxFuture, Clock, ErrorKind, Millis, NewObject, PutObject, PutObjectError, ReadObject, ReadObjectError,
};
use tokio::sync::Semaphore;

pub use block::{BlockSource, CommitBlocks, NewBlock, ObjectBlocks, WhichBlocks};
pub use bucket::Bucket;
pub use list::{Listed, Listing, Select};
pub use note::{TAGS_MAX, check_tags};
pub use read::{ByteRange, Reading};
pub use remove::Removal;
pub use write::{Append, Copy, Put};

use crate::condition::Conditions;
use crate::entry::Entries;
use crate::error::ObjectError;
use crate::lock::Locks;
use crate::object::Properties;
use crate::store::{Folder, ObjectStoreOptions, Store};

/// The object engine. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    entries: Entries,
    storage: Storage,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    locks: Locks,
    last_etag: AtomicU64,
    reads: Arc<Semaphore>,
}

impl Objects {
    /// The engine over a store of bytes; entries and definitions are kept in `storage` and `catalog`.
    #[must_use]
    pub fn new(options: ObjectStoreOptions, storage: Storage, catalog: Catalog, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            store: Store::new(options),
            entries: Entries::new(storage.clone()),
            storage,
            catalog,
            clock,
            locks: Locks::new(),
            last_etag: AtomicU64::new(0),
            reads: Arc::new(Semaphore::new(read::READS_BYTES_MAX)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Removes staged blocks, unfinished files and files of no snapshot that nobody touched for a week.
    ///
    /// # Errors
    /// [`ObjectError::Disk`]; the next call goes on.
    pub fn sweep(&self) -> BoxFuture<'_, Result<(), ObjectError>> {
        Box::pin(async move {
            let Store::Folder(folder) = &self.shared.store else { return Ok(()) };
            let folder = Arc::clone(folder);
            let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.now()).unwrap_or_default());
            let entries = self.shared.entries.clone();
            blocking(move || {
                folder.sweep(now)?;
                folder.sweep_snapshots(now, |bucket, hash, id| entries.has_snapshot(bucket, hash, id))
            })
            .await
        })
    }

    fn now(&self) -> Millis {
        self.shared.clock.now()
    }

    /// A new ETag: rises with the clock, and always.
    fn new_etag(&self) -> String {
        format!("{:016X}", self.new_stamp())
    }

    /// A time in microseconds that no other is given.
    fn new_stamp(&self) -> u64 {
        let by_clock = u64::try_from(self.now()).unwrap_or_default().saturating_mul(1_000);
        let next = |last: u64| Some(by_clock.max(last.saturating_add(1)));
        let last = self.shared.last_etag.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        by_clock.max(last.unwrap_or_default().saturating_add(1))
    }

    /// The folder, for what an S3-class store cannot do.
    fn folder(&self, operation: &'static str) -> Result<Arc<Folder>, ObjectError> {
        match &self.shared.store {
            Store::Folder(folder) => Ok(Arc::clone(folder)),
            Store::S3(_) => Err(ObjectError::Unsupported { operation }),
        }
    }
}

impl PutObject for Objects {
    fn put_object(&self, object: NewObject) -> BoxFuture<'_, Result<(), PutObjectError>> {
        let put = Put {
            properties: Properties { content_type: Some(object.content_type), ..Properties::default() },
            make_bucket: true,
            ..Put::new(object.bucket, object.key, vec![object.body])
        };
        Box::pin(async move {
            match self.put(put).await {
                Ok(_) => Ok(()),
                Err(error) => Err(PutObjectError { kind: error.kind(), message: error.to_string() }),
            }
        })
    }
}

impl ReadObject for Objects {
    fn read_object<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        bytes_max: u64,
    ) -> BoxFuture<'a, Result<Bytes, ReadObjectError>> {
        let refused = |error: ObjectError| ReadObjectError { kind: error.kind(), message: error.to_string() };
        Box::pin(async move {
            let conditions = Conditions::default();
            let length = self.head(bucket, key, &conditions).await.map_err(refused)?.length;
            if length > bytes_max {
                let message = format!("expected an object of at most {bytes_max} bytes, `{bucket}/{key}` has {length}");
                return Err(ReadObjectError { kind: ErrorKind::Invalid, message });
            }
            // What it has grown by meanwhile is not read.
            let range = if length == 0 { ByteRange::All } else { ByteRange::From(0, Some(length - 1)) };
            let read = self.read(bucket, key, range, &conditions).await.map_err(refused)?;
            Ok(read.content)
        })
    }

    fn list_objects<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: &'a str,
        count_max: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, ReadObjectError>> {
        let refused = |error: ObjectError| ReadObjectError { kind: error.kind(), message: error.to_string() };
        Box::pin(async move {
            let (mut names, mut after) = (Vec::new(), Some(after.to_owned()));
            while let Some(behind) = after.filter(|_| names.len() < count_max) {
                let limit = count_max - names.len();
                let select = Select { prefix: prefix.to_owned(), after: behind, limit, ..Select::default() };
                let page = self.list(bucket, select).await.map_err(refused)?;
                names.extend(page.found.into_iter().filter_map(|found| match found {
                    Listed::Object(object) => Some(object.key),
                    Listed::Prefix(_) => None,
                }));
                after = page.next;
            }
            Ok(names)
        })
    }
}

/// Runs work on the disk off the async workers.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(StorageError::Closed.into()))
}

/// Bytes of all parts.
fn length(parts: &[Bytes]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}
