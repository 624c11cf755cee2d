//! What can go wrong with functions before they run. What goes wrong while they run is their outcome.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_types::ErrorKind;

use crate::confinement::Confinement;

/// An error of the function engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FunctionError {
    /// No function of that name.
    #[error("there is no function `{name}`")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("there is a function `{name}` already")]
    Exists {
        /// The name.
        name: String,
    },
    /// The runtime is none that this node has.
    #[error("runtime `{runtime}` is not supported; expected nodejs…, python3…, dotnet… or provided…")]
    Runtime {
        /// The identifier.
        runtime: String,
    },
    /// The runtime is known, but this machine does not have it.
    #[error("runtime `{runtime}` needs {needs}")]
    RuntimeMissing {
        /// The identifier.
        runtime: String,
        /// What is missing, and how it is found.
        needs: String,
    },
    /// The machine confines processes less than is demanded.
    #[error("functions must be confined but are not wholly: {found}; try: another kernel, or no demand for it")]
    Unconfined {
        /// What holds.
        found: Confinement,
    },
    /// The package is no zip, or holds what may not be unpacked.
    #[error("{reason}")]
    Package {
        /// What is wrong.
        reason: String,
    },
    /// Variables that the engine sets itself.
    #[error("variables that the runtime sets itself cannot be set: {names}; take them out")]
    ReservedVariables {
        /// Their names.
        names: String,
    },
    /// The event is too large.
    #[error("expected an event of at most {limit} bytes, found {found}")]
    PayloadTooLarge {
        /// Its size.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A permission of that id is there already.
    #[error("there is a permission `{id}` already")]
    PermissionExists {
        /// The id.
        id: String,
    },
    /// No permission of that id.
    #[error("there is no permission `{id}`")]
    PermissionNotFound {
        /// The id asked for.
        id: String,
    },
    /// Another change came in between.
    #[error("the revision is `{current}`, not `{seen}`; read it again")]
    RevisionDiffers {
        /// What the caller has seen.
        seen: String,
        /// What it is.
        current: String,
    },
    /// The package is another one.
    #[error("the package's hash is `{current}`, not `{seen}`; read it again")]
    CodeDiffers {
        /// What the caller has seen.
        seen: String,
        /// What it is.
        current: String,
    },
    /// An alias points to the version.
    #[error("version {version} is what alias `{alias}` points to; change the alias first")]
    VersionInUse {
        /// The version.
        version: u32,
        /// The alias.
        alias: String,
    },
    /// The alias is there already.
    #[error("there is an alias `{name}` already")]
    AliasExists {
        /// Its name.
        name: String,
    },
    /// No alias of that name.
    #[error("function `{function}` has no alias `{name}`")]
    AliasNotFound {
        /// The function.
        function: String,
        /// The name asked for.
        name: String,
    },
    /// An alias cannot share its invocations so.
    #[error(
        "expected an alias of two published versions that differ, found version {version} besides; publish another"
    )]
    Split {
        /// The second version.
        version: u32,
    },
    /// More of something than a function may have.
    #[error("expected at most {limit} {what}, found {found}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many may be.
        limit: usize,
    },
    /// As many run already as may.
    #[error("{running} invocations run already, the limit is {limit}")]
    Throttled {
        /// How many run.
        running: usize,
        /// How many may.
        limit: usize,
    },
    /// The process could not be started.
    #[error("cannot start `{program}`: {reason}")]
    Start {
        /// The program.
        program: String,
        /// The system's words.
        reason: String,
    },
    /// The node is going down.
    #[error("the node is stopping")]
    Stopping,
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl FunctionError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::PermissionNotFound { .. } | Self::AliasNotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } | Self::PermissionExists { .. } | Self::AliasExists { .. } => ErrorKind::Exists,
            Self::VersionInUse { .. } | Self::RevisionDiffers { .. } | Self::CodeDiffers { .. } => ErrorKind::Conflict,
            Self::Runtime { .. }
            | Self::RuntimeMissing { .. }
            | Self::Package { .. }
            | Self::Split { .. }
            | Self::ReservedVariables { .. }
            | Self::TooMany { .. } => ErrorKind::Invalid,
            Self::PayloadTooLarge { .. } => ErrorKind::TooLarge,
            Self::Throttled { .. } => ErrorKind::Throttled,
            Self::Start { .. } | Self::Unconfined { .. } => ErrorKind::Internal,
            Self::Stopping => ErrorKind::Unavailable,
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for FunctionError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::NotFound { name },
            CatalogError::Exists { name, .. } => Self::Exists { name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}
