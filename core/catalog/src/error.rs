//! What can go wrong with definitions.

use millstream_storage::StorageError;
use millstream_types::ErrorKind;

/// An error of the catalog.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// No definition of that name.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `stream`, `table`, …
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// `stream`, `table`, …
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A stored definition cannot be read: it was written by a newer version or damaged.
    #[error("the stored {kind} `{name}` cannot be read: {reason}")]
    Unreadable {
        /// `stream`, `table`, …
        kind: &'static str,
        /// The name.
        name: String,
        /// The decoder's words.
        reason: String,
    },
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CatalogError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::Storage(error) => error.kind(),
        }
    }
}
