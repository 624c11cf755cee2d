//! What can go wrong with principals and policies, as facts; protocols put them in their own words.

use millstream_catalog::CatalogError;
use millstream_types::ErrorKind;

use crate::policy::MalformedPolicy;

/// An error of the access engine.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum AccessError {
    #[error("there is no {kind} `{name}`")]
    NotFound { kind: &'static str, name: String },
    #[error("there is a {kind} `{name}` already")]
    Exists { kind: &'static str, name: String },
    /// `reason` completes the sentence.
    #[error("{kind} `{name}` cannot be deleted: {reason}")]
    InUse { kind: &'static str, name: String, reason: &'static str },
    #[error("expected at most {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("{what} of {found} characters is over the limit of {limit}")]
    TooLong { what: &'static str, limit: usize, found: usize },
    #[error("expected {expected} as {what}, found `{found}`")]
    Invalid { what: &'static str, expected: &'static str, found: String },
    #[error(transparent)]
    Malformed(#[from] MalformedPolicy),
    /// The trust policy of the role, or the caller's own policies, say no.
    #[error("the caller may not take on the role `{role}`")]
    NotTrusted { role: String },
    /// Nobody has this key, or the session token is not one of this node's.
    #[error("the access key is not known, or its session token is not the one that was given out with it")]
    UnknownKey,
    #[error("the credentials expired")]
    Expired,
    /// The engine was started without a key for temporary credentials.
    #[error("this node gives out no temporary credentials")]
    NoSessions,
    #[error(transparent)]
    Catalog(CatalogError),
}

impl AccessError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::InUse { .. } => ErrorKind::Conflict,
            Self::TooMany { .. } => ErrorKind::Throttled,
            Self::TooLong { .. } => ErrorKind::TooLarge,
            Self::Invalid { .. } | Self::Malformed(_) => ErrorKind::Invalid,
            Self::NotTrusted { .. } => ErrorKind::Forbidden,
            Self::UnknownKey | Self::Expired => ErrorKind::Unauthenticated,
            Self::NoSessions => ErrorKind::Unavailable,
            Self::Catalog(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for AccessError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { kind, name } => Self::NotFound { kind, name },
            CatalogError::Exists { kind, name } => Self::Exists { kind, name },
            other => Self::Catalog(other),
        }
    }
}
