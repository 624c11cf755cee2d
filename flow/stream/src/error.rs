//! What can go wrong with streams.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_types::ErrorKind;

/// An error of the stream engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// No stream of that name.
    #[error("there is no stream `{stream}`")]
    StreamNotFound {
        /// The name asked for.
        stream: String,
    },
    /// The name is taken.
    #[error("there is a stream `{stream}` already")]
    StreamExists {
        /// The name.
        stream: String,
    },
    /// No shard of that number.
    #[error("stream `{stream}` has no shard {shard}")]
    ShardNotFound {
        /// The stream.
        stream: String,
        /// What was asked for.
        shard: String,
    },
    /// A stream needs at least one shard and may not have more than the limit.
    #[error("expected 1 to {max} shards, found {found}")]
    ShardCount {
        /// What was asked for.
        found: u32,
        /// The limit.
        max: u32,
    },
    /// All streams together may not have more shards than the limit.
    #[error("there are {there} shards already, and with {wanted} more there would be over {max}; delete streams first")]
    ShardsInAll {
        /// Shards that there are.
        there: usize,
        /// Shards that were asked for.
        wanted: u32,
        /// The limit.
        max: u32,
    },
    /// A stream may not have more labels than the limit.
    #[error("stream `{stream}` may have at most {max} labels")]
    TooManyTags {
        /// The stream.
        stream: String,
        /// The limit.
        max: usize,
    },
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl StreamError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::StreamNotFound { .. } | Self::ShardNotFound { .. } => ErrorKind::NotFound,
            Self::StreamExists { .. } => ErrorKind::Exists,
            Self::ShardCount { .. } | Self::ShardsInAll { .. } | Self::TooManyTags { .. } => ErrorKind::Invalid,
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for StreamError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::StreamNotFound { stream: name },
            CatalogError::Exists { name, .. } => Self::StreamExists { stream: name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}

/// Why a batch of a producer is not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Records are missing before it.
    #[error("expected the producer's record number {expected}, found number {found}; send what is missing first")]
    OutOfSequence {
        /// The number of its first record.
        found: i32,
        /// The number that comes next.
        expected: i32,
    },
    /// It has not announced itself, or was silent for too long.
    #[error("the producer is not known any more; it has to announce itself again")]
    UnknownProducer,
    /// It came before; where it is, is not known any more.
    #[error("the record of number {found} was taken before")]
    Repeated {
        /// The number of its first record.
        found: i32,
    },
    /// The producer has begun anew since.
    #[error("expected a batch of the producer's epoch {known}, found epoch {found}")]
    Fenced {
        /// The batch's epoch.
        found: i16,
        /// The latest one.
        known: i16,
    },
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AppendError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfSequence { .. } | Self::UnknownProducer | Self::Repeated { .. } | Self::Fenced { .. } => {
                ErrorKind::Conflict
            }
            Self::Storage(error) => error.kind(),
        }
    }
}
