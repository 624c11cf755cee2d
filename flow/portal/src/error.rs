//! What can go wrong in the portal, as facts; pages say them to people as they are.

use millstream_catalog::CatalogError;
use millstream_gateway::GatewayError;
use millstream_storage::StorageError;
use millstream_types::ErrorKind;

/// An error of the portal.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum PortalError {
    #[error("there is no {kind} `{name}`")]
    NotFound { kind: &'static str, name: String },
    #[error("there is a {kind} `{name}` already")]
    Exists { kind: &'static str, name: String },
    /// A field of a form; `expected` completes the sentence.
    #[error("{field}: expected {expected}")]
    Field { field: &'static str, expected: String },
    /// Says nothing of which of both is wrong, nor whether there is such an account.
    #[error("the e-mail address or the password is wrong")]
    Credentials,
    #[error("the current password is wrong")]
    CurrentPassword,
    #[error("there were too many attempts; wait {seconds} s and try again")]
    Attempts { seconds: u64 },
    #[error("too many people are logging in at this moment; try again")]
    Busy,
    #[error("the link was used already or is too old; ask the owner for another")]
    Invitation,
    #[error("the account is blocked; ask the owner why")]
    Blocked,
    #[error("there are at most {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("your last subscription to this plan ended in this period; you can subscribe again from {from} (UTC)")]
    TooEarly { from: String },
    /// `reason` is a whole sentence.
    #[error("{reason}")]
    State { reason: &'static str },
    #[error("the document is {bytes} bytes long, {max} are allowed")]
    DocumentTooLarge { bytes: usize, max: usize },
    /// `reason` says what was expected and where.
    #[error("this is no OpenAPI 3 document: {reason}")]
    Document { reason: String },
    /// A task of ours broke; a defect.
    #[error("{what} broke")]
    Broken { what: &'static str },
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Catalog(CatalogError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl PortalError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::Field { .. } | Self::Document { .. } => ErrorKind::Invalid,
            Self::Credentials | Self::CurrentPassword => ErrorKind::Unauthenticated,
            Self::Invitation | Self::Blocked => ErrorKind::Forbidden,
            Self::Attempts { .. } | Self::Busy | Self::TooMany { .. } => ErrorKind::Throttled,
            Self::State { .. } | Self::TooEarly { .. } => ErrorKind::Conflict,
            Self::DocumentTooLarge { .. } => ErrorKind::TooLarge,
            Self::Broken { .. } => ErrorKind::Internal,
            Self::Gateway(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for PortalError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { kind, name } => Self::NotFound { kind, name },
            CatalogError::Exists { kind, name } => Self::Exists { kind, name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}
