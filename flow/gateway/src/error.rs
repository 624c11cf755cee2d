//! What can go wrong with APIs.

use millstream_catalog::CatalogError;
use millstream_types::ErrorKind;

/// An error of the gateway.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    /// No API, resource, method, deployment or stage of that name.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `api`, `resource`, …
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// It is there already.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// `resource`, `stage`, …
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It may not be so.
    #[error("{reason}")]
    Invalid {
        /// What was expected and what was found.
        reason: String,
    },
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
}

impl GatewayError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Catalog(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for GatewayError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { kind, name } => Self::NotFound { kind, name },
            CatalogError::Exists { kind, name } => Self::Exists { kind, name },
            other @ (CatalogError::Unreadable { .. } | CatalogError::Storage(_)) => Self::Catalog(other),
        }
    }
}
