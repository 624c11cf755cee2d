//! What can go wrong with buckets and objects.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_types::ErrorKind;

use crate::condition::Condition;
use crate::lease::LeaseRefusal;
use crate::object::ObjectKind;

/// An error of the object engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectError {
    /// No bucket of that name.
    #[error("there is no bucket `{bucket}`")]
    BucketNotFound {
        /// The name asked for.
        bucket: String,
    },
    /// The name is taken.
    #[error("there is a bucket `{bucket}` already")]
    BucketExists {
        /// The name.
        bucket: String,
    },
    /// The object's lease does not allow it.
    #[error("object `{key}`: {refusal}")]
    Lease {
        /// The object.
        key: String,
        /// Why not.
        refusal: LeaseRefusal,
    },
    /// Tags that cannot be.
    #[error("the tags cannot be set: {reason}")]
    Tags {
        /// Why not.
        reason: &'static str,
    },
    /// Only an empty bucket may be deleted so.
    #[error("bucket `{bucket}` still has objects; delete them first")]
    BucketNotEmpty {
        /// The name.
        bucket: String,
    },
    /// The name would lead out of the root, or no store takes it.
    #[error(
        "expected a bucket name of 1 to 200 letters, digits, `.`, `-` and `_` that begins with no `.`, found `{bucket}`"
    )]
    BadBucket {
        /// The name.
        bucket: String,
    },
    /// No object of that name.
    #[error("there is no object `{key}` in bucket `{bucket}`")]
    NotFound {
        /// The bucket.
        bucket: String,
        /// The key asked for.
        key: String,
    },
    /// The key cannot be that of a file in the bucket's folder.
    #[error("an object cannot have the key `{key}`: {reason}")]
    BadKey {
        /// The key.
        key: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A part of the key is an object, or the key is the beginning of other objects' keys: a file cannot be a folder.
    #[error(
        "`{key}` and another object of bucket `{bucket}` need the same name for a file and a folder; choose another key"
    )]
    KeyClash {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// A condition of the request does not hold.
    #[error("the condition {condition} does not hold for `{key}`")]
    ConditionFailed {
        /// The key.
        key: String,
        /// Which one.
        condition: Condition,
    },
    /// The object is of another kind than the operation needs.
    #[error("`{key}` is {found} object, but the operation needs {expected} object")]
    WrongKind {
        /// The key.
        key: String,
        /// What the operation works on.
        expected: ObjectKind,
        /// What is there.
        found: ObjectKind,
    },
    /// What came has another MD5 than was promised.
    #[error("the content's MD5 is {found}, but {expected} was promised; send it again")]
    Md5Mismatch {
        /// What the request said, hexadecimal.
        expected: String,
        /// What came, hexadecimal.
        found: String,
    },
    /// The range begins behind the end.
    #[error("expected a range that begins before byte {length}, found one that begins at {start}")]
    RangeBehindEnd {
        /// Where the range begins.
        start: u64,
        /// The object's length.
        length: u64,
    },
    /// More would have to be read into memory at once than a read may.
    #[error("the read is of {bytes} bytes, more than {limit_bytes}; read by ranges")]
    ReadTooLarge {
        /// Bytes asked for.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// Readers that take their bytes slowly hold all that may be held for them.
    #[error("{limit_bytes} bytes of objects wait for their readers already; try again")]
    TooManyReads {
        /// The limit.
        limit_bytes: usize,
    },
    /// The append was to happen at another position.
    #[error("expected an append at byte {expected}, but the object has {found} bytes")]
    AppendPosition {
        /// The position that the request names.
        expected: u64,
        /// The object's length.
        found: u64,
    },
    /// The append would make the object longer than the request allows.
    #[error("the object would have {bytes} bytes, more than the {limit_bytes} that the request allows")]
    AppendTooLong {
        /// The length it would have.
        bytes: u64,
        /// The limit that the request names.
        limit_bytes: u64,
    },
    /// More blocks than an object may have.
    #[error("`{key}` would have more than {limit} blocks")]
    TooManyBlocks {
        /// The key.
        key: String,
        /// The limit.
        limit: usize,
    },
    /// The object cannot go without its snapshots.
    #[error("`{key}` has snapshots; delete them with it, or before it")]
    HasSnapshots {
        /// The key.
        key: String,
    },
    /// More snapshots than an object may have.
    #[error("`{key}` has {limit} snapshots; delete some")]
    TooManySnapshots {
        /// The key.
        key: String,
        /// The limit.
        limit: usize,
    },
    /// The ids of an object's blocks must be of one length.
    #[error("expected a block id of 1 to {limit_bytes} bytes, as long as the ids staged before, found `{id}`")]
    BadBlockId {
        /// The id.
        id: String,
        /// Bytes of an id.
        limit_bytes: usize,
    },
    /// A block of the list is not there.
    #[error("the list names the block `{id}`, which is not there")]
    BlockNotFound {
        /// The id.
        id: String,
    },
    /// The store behind the root cannot do this.
    #[error("an S3-class store cannot {operation}; keep objects in a folder for that")]
    Unsupported {
        /// What was asked for.
        operation: &'static str,
    },
    /// The disk is full, or would be too full for everything else that the node writes.
    #[error("the disk of the objects has less than {needed_bytes} bytes left; make room")]
    DiskFull {
        /// What the write needs, with the reserve.
        needed_bytes: u64,
    },
    /// The disk refused.
    #[error("{action} {file}: {reason}")]
    Disk {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        file: String,
        /// The system's words.
        reason: String,
    },
    /// The S3-class store refused or could not be reached.
    #[error("{action} `{key}` in bucket `{bucket}`: {reason}")]
    Store {
        /// What was attempted.
        action: &'static str,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The store's words.
        reason: String,
    },
    /// An entry cannot be read.
    #[error("the entry of `{key}` in bucket `{bucket}` cannot be read: {reason}")]
    Unreadable {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The parser's words.
        reason: String,
    },
    /// A definition could not be written or read.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ObjectError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::BucketNotFound { .. } | Self::NotFound { .. } => ErrorKind::NotFound,
            Self::BucketExists { .. } => ErrorKind::Exists,
            Self::BucketNotEmpty { .. }
            | Self::KeyClash { .. }
            | Self::ConditionFailed { .. }
            | Self::Lease { .. }
            | Self::HasSnapshots { .. }
            | Self::TooManySnapshots { .. }
            | Self::WrongKind { .. }
            | Self::AppendPosition { .. }
            | Self::AppendTooLong { .. } => ErrorKind::Conflict,
            Self::BadBucket { .. }
            | Self::BadKey { .. }
            | Self::Md5Mismatch { .. }
            | Self::RangeBehindEnd { .. }
            | Self::BadBlockId { .. }
            | Self::BlockNotFound { .. }
            | Self::Tags { .. }
            | Self::Unsupported { .. } => ErrorKind::Invalid,
            Self::ReadTooLarge { .. } | Self::TooManyBlocks { .. } => ErrorKind::TooLarge,
            Self::TooManyReads { .. } => ErrorKind::Throttled,
            Self::DiskFull { .. } | Self::Disk { .. } | Self::Store { .. } => ErrorKind::Unavailable,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for ObjectError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::BucketNotFound { bucket: name },
            CatalogError::Exists { name, .. } => Self::BucketExists { bucket: name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}
