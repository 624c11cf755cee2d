//! What can go wrong: with definitions ([`GatewayError`]), and with a request on its way ([`Refusal`]).

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
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
    /// There are as many as there may be.
    #[error("there are at most {limit} {what}")]
    TooMany {
        /// `deployments`, `resources`, …
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// It stands against something else that is there.
    #[error("{reason}")]
    Conflict {
        /// What stands against what.
        reason: String,
    },
    /// The stream of the access log could not be had; the text says why.
    #[error("the access log cannot be kept: {0}")]
    AccessLog(String),
    /// What is counted could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A policy was not understood.
    #[error(transparent)]
    Policy(#[from] crate::policy::PolicyError),
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
            Self::Invalid { .. } | Self::Policy(_) => ErrorKind::Invalid,
            Self::TooMany { .. } => ErrorKind::Throttled,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::AccessLog(_) => ErrorKind::Unavailable,
            Self::Storage(error) => error.kind(),
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

/// Why a request got no answer of its API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such API or stage.
    #[error("there is no such stage")]
    UnknownStage,
    /// The stage has no method for this path.
    #[error("the stage has no such method")]
    UnknownMethod,
    /// The method needs a key, and there is none that opens the stage.
    #[error("there is no key that opens the stage")]
    KeyRefused,
    /// A throttle has no call left at the moment.
    #[error("there are more calls than a throttle allows")]
    Throttled,
    /// The quota of the key's plan is used up.
    #[error("the quota is used up")]
    QuotaUsedUp,
    /// The request could not be counted; the text says why.
    #[error("the request cannot be counted: {0}")]
    NotCounted(String),
    /// The body is larger than a request may be.
    #[error("the body is larger than a request may be")]
    TooLarge,
    /// Parameters that the method requires.
    #[error("required parameters are missing: {}", .0.join(", "))]
    MissingParameters(Vec<String>),
    /// No template for the body's media type, and it may not pass without one.
    #[error("there is no template for the body's media type")]
    UnsupportedMediaType,
    /// A function takes JSON.
    #[error("the body is no JSON")]
    BodyNotJson,
    /// The API cannot do what its definition says; the text says why.
    #[error("{0}")]
    Misconfigured(String),
    /// The function could not be run; the text says why.
    #[error("{0}")]
    FunctionNotRun(String),
    /// The function failed, or its answer is not of the form that whole-request integrations have.
    #[error("the function failed or its answer has another form")]
    FunctionAnswer,
    /// The backend was not reached or broke off; the text says why.
    #[error("{0}")]
    Backend(String),
    /// The integration took too long.
    #[error("the integration took too long")]
    TimedOut,
}
