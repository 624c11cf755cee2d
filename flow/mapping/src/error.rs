//! What can go wrong with mappings, as facts; protocols put them in their own words.

use millstream_catalog::{CatalogError, EventSource};
use millstream_storage::StorageError;
use millstream_stream::StreamError;
use millstream_types::ErrorKind;

use crate::check::source_name;

/// An error of the mapping engine.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum MappingError {
    #[error("there is no event source mapping `{id}`")]
    NotFound { id: String },
    // Not a field named `source`: that would be the error's cause.
    #[error("`{}` is mapped to function `{function}` already, by mapping `{id}`; change that one", source_name(.of))]
    Exists { of: EventSource, function: String, id: String },
    #[error("mapping `{id}` is going away")]
    Deleting { id: String },
    #[error("there is no function `{function}`")]
    FunctionNotFound { function: String },
    #[error("there is no stream `{}`", .of.stream().unwrap_or_default())]
    StreamNotFound { of: EventSource },
    #[error("there is no queue `{queue}`")]
    QueueNotFound { queue: String },
    #[error("there is no {kind} `{name}` to tell of failures")]
    TargetNotFound { kind: &'static str, name: String },
    #[error("a mapping of a stream needs a starting position")]
    NoStart,
    #[error("the starting position lies in the future")]
    StartInFuture,
    #[error("expected {setting} from {min} to {max}, found {found}")]
    OutOfRange { setting: &'static str, min: i64, max: i64, found: i64 },
    #[error("{setting} says nothing for a {source_kind}; leave it out")]
    NotForSource { setting: &'static str, source_kind: &'static str },
    #[error("batches of more than {size} messages need a window of at least a second to gather them")]
    WindowNeeded { size: u32 },
    #[error("queue `{queue}` hides messages for {hidden} s, but function `{function}` may run for {timeout} s")]
    HiddenTooShortly { queue: String, hidden: u32, function: String, timeout: u32 },
    #[error("expected at most {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("a filter cannot be read: {reason}")]
    Filter { reason: String },
    #[error("a batch could not be taken from its queue: {reason}")]
    Receive { reason: String },
    /// Windows hand a state from batch to batch.
    #[error(
        "windows with a state need one batch of a shard at once, found a parallelization factor of {parallelization}"
    )]
    WindowsInParallel {
        /// Batches of a shard at once.
        parallelization: u32,
    },
    /// The function's role lacks something.
    #[error("{reason}")]
    NotPermitted { reason: String },
    /// A stored place was written by a later version, or is damaged.
    #[error("the stored place `{key}` cannot be read: a later version wrote it or it is damaged")]
    Unreadable { key: String },
    #[error("the node is stopping")]
    Stopping,
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Catalog(CatalogError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl MappingError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. }
            | Self::FunctionNotFound { .. }
            | Self::StreamNotFound { .. }
            | Self::QueueNotFound { .. }
            | Self::TargetNotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::Deleting { .. } => ErrorKind::Conflict,
            Self::NoStart
            | Self::StartInFuture
            | Self::OutOfRange { .. }
            | Self::NotForSource { .. }
            | Self::WindowNeeded { .. }
            | Self::WindowsInParallel { .. }
            | Self::HiddenTooShortly { .. }
            | Self::TooMany { .. }
            | Self::Filter { .. } => ErrorKind::Invalid,
            Self::NotPermitted { .. } => ErrorKind::Forbidden,
            Self::Receive { .. } | Self::Stopping => ErrorKind::Unavailable,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::Stream(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for MappingError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::NotFound { id: name },
            CatalogError::Storage(error) => Self::Storage(error),
            other => Self::Catalog(other),
        }
    }
}
