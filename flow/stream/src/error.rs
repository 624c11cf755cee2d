//! What can go wrong with streams.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_types::{ErrorKind, LogId};

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
    /// The shard was split or merged, and takes no records and no other change any more.
    #[error("shard {shard} of stream `{stream}` was split or merged; use the shards that came of it")]
    ShardClosed {
        /// The stream.
        stream: String,
        /// The shard's number.
        shard: u32,
    },
    /// A shard was closed between the choice of it and the records' way to it.
    #[error("the shard of log {} was split or merged meanwhile; put the records again", log.0)]
    LogClosed {
        /// The shard's log.
        log: LogId,
    },
    /// A shard can only be split at a key well within it.
    #[error(
        "expected a hash key above {start} + 1 and below {end} to split shard {shard} of `{stream}` at, found {found}"
    )]
    SplitPoint {
        /// The stream.
        stream: String,
        /// The shard's number.
        shard: u32,
        /// The first of its hash keys.
        start: u128,
        /// The last of its hash keys.
        end: u128,
        /// What was asked for.
        found: u128,
    },
    /// Only shards side by side can be merged.
    #[error("shards {} and {} of stream `{stream}` do not lie side by side; merge neighbours", shards[0], shards[1])]
    NotAdjacent {
        /// The stream.
        stream: String,
        /// The shards' numbers.
        shards: [u32; 2],
    },
    /// The number of shards may be doubled and halved at most.
    #[error("expected at least half and at most twice as many shards as the {there} there are, found {found}")]
    Scaling {
        /// What was asked for.
        found: u32,
        /// Open shards that there are.
        there: u32,
    },
    /// The number of shards was set too often.
    #[error("the number of shards of stream `{stream}` was set {max} times within a day already; wait")]
    ScaledOften {
        /// The stream.
        stream: String,
        /// The limit.
        max: usize,
    },
    /// The node decides about the stream's shards.
    #[error("stream `{stream}` is on demand; make it provisioned first")]
    OnDemand {
        /// The stream.
        stream: String,
    },
    /// Only where the node decides about a stream's shards, records may go to them in turn.
    #[error("stream `{stream}` is provisioned, so keys decide where its records go; make it on demand first")]
    Provisioned {
        /// The stream.
        stream: String,
    },
    /// The stream belongs to another resource, which knows its shards.
    #[error("the shards of stream `{stream}` belong to the resource whose records it holds")]
    NotReshardable {
        /// The stream.
        stream: String,
    },
    /// The consumer's name is taken.
    #[error("stream `{stream}` has a consumer `{consumer}` already")]
    ConsumerExists {
        /// The stream.
        stream: String,
        /// The consumer's name.
        consumer: String,
    },
    /// No consumer of that name.
    #[error("stream `{stream}` has no consumer `{consumer}`")]
    ConsumerNotFound {
        /// The stream.
        stream: String,
        /// The consumer's name.
        consumer: String,
    },
    /// A stream may not have more consumers than the limit.
    #[error("stream `{stream}` may have at most {max} consumers")]
    TooManyConsumers {
        /// The stream.
        stream: String,
        /// The limit.
        max: usize,
    },
    /// Shards that were split or merged stay until retention is over, and there are too many of them.
    #[error(
        "expected at most {max} shards of a stream, closed ones included, found {found}; wait until retention has taken some"
    )]
    ShardsKept {
        /// How many there would be.
        found: u32,
        /// The limit.
        max: u32,
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
            Self::StreamNotFound { .. } | Self::ShardNotFound { .. } | Self::ConsumerNotFound { .. } => {
                ErrorKind::NotFound
            }
            Self::StreamExists { .. } | Self::ConsumerExists { .. } => ErrorKind::Exists,
            Self::ShardClosed { .. } | Self::LogClosed { .. } => ErrorKind::Conflict,
            Self::ShardCount { .. }
            | Self::ShardsKept { .. }
            | Self::ShardsInAll { .. }
            | Self::TooManyTags { .. }
            | Self::TooManyConsumers { .. }
            | Self::SplitPoint { .. }
            | Self::NotAdjacent { .. }
            | Self::Scaling { .. }
            | Self::ScaledOften { .. }
            | Self::OnDemand { .. }
            | Self::Provisioned { .. }
            | Self::NotReshardable { .. } => ErrorKind::Invalid,
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
    /// The shard was split or merged.
    #[error("the shard was split or merged; use the shards that came of it")]
    ShardClosed,
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AppendError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfSequence { .. }
            | Self::UnknownProducer
            | Self::Repeated { .. }
            | Self::Fenced { .. }
            | Self::ShardClosed => ErrorKind::Conflict,
            Self::Storage(error) => error.kind(),
        }
    }
}
