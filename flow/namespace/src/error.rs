//! What can go wrong with namespaces and hubs.

use millstream_catalog::CatalogError;
use millstream_stream::StreamError;
use millstream_types::ErrorKind;

/// An error of the namespace engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NamespaceError {
    /// Nothing of that name.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `namespace`, `hub`, `consumer group`, `policy`.
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// As above.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A name that cannot be.
    #[error("expected a {kind}'s name of {rule}, found `{name}`")]
    Name {
        /// As above.
        kind: &'static str,
        /// What would be one.
        rule: &'static str,
        /// What came.
        name: String,
    },
    /// A hub needs at least one partition and may not have more than the limit.
    #[error("expected 1 to {max} partitions, found {found}")]
    PartitionCount {
        /// What was asked for.
        found: u32,
        /// The limit.
        max: u32,
    },
    /// A key that no hub takes.
    #[error("expected a partition key of at most {max} characters, found {found}")]
    KeyTooLong {
        /// Its length.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Partitions of a hub stay as they are.
    #[error("hub `{hub}` has {partitions} partitions, and their number cannot be changed")]
    PartitionsFixed {
        /// The hub.
        hub: String,
        /// How many it has.
        partitions: usize,
    },
    /// Throughput units that cannot be.
    #[error(
        "expected 1 to {max} throughput units, and to grow to no fewer than there are; found {units}, growing to {units_max}"
    )]
    Units {
        /// What was asked for.
        units: u32,
        /// How many it may grow to.
        units_max: u32,
        /// The limit.
        max: u32,
    },
    /// One more than there may be.
    #[error("expected at most {max} of {kind}")]
    TooMany {
        /// What.
        kind: &'static str,
        /// The limit.
        max: usize,
    },
    /// A right that needs others.
    #[error("expected at least one right, and those to send and to listen beside the one to manage")]
    Rights,
    /// What every hub or namespace has cannot be removed.
    #[error("{kind} `{name}` cannot be removed")]
    Fixed {
        /// What.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The namespace still has hubs.
    #[error("namespace `{0}` still has hubs: remove them first")]
    NotEmpty(String),
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The hub's stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl NamespaceError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::Name { .. }
            | Self::PartitionCount { .. }
            | Self::Units { .. }
            | Self::TooMany { .. }
            | Self::KeyTooLong { .. }
            | Self::Rights => ErrorKind::Invalid,
            Self::PartitionsFixed { .. } | Self::Fixed { .. } | Self::NotEmpty(_) => ErrorKind::Conflict,
            Self::Catalog(error) => error.kind(),
            Self::Stream(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for NamespaceError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { kind, name } => Self::NotFound { kind, name },
            CatalogError::Exists { kind, name } => Self::Exists { kind, name },
            other @ (CatalogError::Unreadable { .. } | CatalogError::Storage(_)) => Self::Catalog(other),
        }
    }
}
