//! What can go wrong with delivery streams.

use millstream_catalog::CatalogError;
use millstream_object::ObjectError;
use millstream_storage::StorageError;
use millstream_stream::StreamError;
use millstream_types::ErrorKind;

/// An error of the delivery engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliveryError {
    /// No delivery stream of that name.
    #[error("there is no delivery stream `{name}`")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("there is a delivery stream `{name}` already")]
    Exists {
        /// The name.
        name: String,
    },
    /// Records cannot be put into it, since it reads a stream.
    #[error("delivery stream `{name}` reads the stream `{stream}`; put records there")]
    ReadsStream {
        /// The delivery stream.
        name: String,
        /// What it reads.
        stream: String,
    },
    /// The bucket's name would lead out of the object root.
    #[error("expected a bucket name of letters, digits, `.`, `-` and `_`, found `{bucket}`")]
    BadBucket {
        /// The name.
        bucket: String,
    },
    /// Objects could not be named so.
    #[error("the {what} `{found}` cannot be used: {reason}")]
    BadNaming {
        /// `prefix` or `time zone`.
        what: &'static str,
        /// What was given.
        found: String,
        /// What was expected.
        reason: String,
    },
    /// It was changed since the caller looked at it.
    #[error("delivery stream `{name}` is at version {version}, expected {expected}; look at it again")]
    Changed {
        /// The delivery stream.
        name: String,
        /// What it is at.
        version: u32,
        /// What the caller expected.
        expected: u32,
    },
    /// A delivery stream may not have more labels than the limit.
    #[error("delivery stream `{name}` may have at most {max} labels")]
    TooManyTags {
        /// The delivery stream.
        name: String,
        /// The limit.
        max: usize,
    },
    /// The object store refused or could not be reached.
    #[error("writing `{object}` to bucket `{bucket}`: {error}")]
    Object {
        /// The bucket.
        bucket: String,
        /// The object.
        object: String,
        /// Why.
        error: Box<ObjectError>,
    },
    /// The role that its maker named does not allow it.
    #[error("{reason}")]
    NotAllowed {
        /// What the role lacks.
        reason: String,
    },
    /// The stream engine refused.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl DeliveryError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::ReadsStream { .. } | Self::BadBucket { .. } | Self::BadNaming { .. } | Self::TooManyTags { .. } => {
                ErrorKind::Invalid
            }
            Self::Changed { .. } => ErrorKind::Conflict,
            Self::Object { error, .. } => error.kind(),
            Self::NotAllowed { .. } => ErrorKind::Forbidden,
            Self::Stream(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for DeliveryError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::NotFound { name },
            CatalogError::Exists { name, .. } => Self::Exists { name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}
