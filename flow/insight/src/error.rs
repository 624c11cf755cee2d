//! What can go wrong with log groups and with what clients measure.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_types::ErrorKind;

use crate::metrics::TooManyMetrics;

/// An error of the log groups.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// No such group.
    #[error("there is no log group `{0}`")]
    GroupNotFound(String),
    /// The name is taken.
    #[error("there is a log group `{0}` already")]
    GroupExists(String),
    /// No such stream.
    #[error("there is no log stream `{0}`")]
    StreamNotFound(String),
    /// The name is taken in its group.
    #[error("there is a log stream `{0}` already")]
    StreamExists(String),
    /// More of something than there may be.
    #[error("expected at most {limit} {what}: there are as many already")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may be.
        limit: usize,
    },
    /// More lines wait for the disk than there is room for.
    #[error("too many lines wait for the disk; send them again a little later")]
    Busy,
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl LogError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::GroupNotFound(_) | Self::StreamNotFound(_) => ErrorKind::NotFound,
            Self::GroupExists(_) | Self::StreamExists(_) => ErrorKind::Exists,
            Self::TooMany { .. } => ErrorKind::Invalid,
            Self::Busy => ErrorKind::Throttled,
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

/// An error of what clients measure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetricError {
    /// There are as many metrics as are kept.
    #[error(transparent)]
    TooMany(#[from] TooManyMetrics),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl MetricError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooMany(_) => ErrorKind::TooLarge,
            Self::Storage(error) => error.kind(),
        }
    }
}
