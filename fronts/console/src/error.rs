//! Why a page or an answer of the JSON API cannot be given, and how that is said.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use millstream_document::DocumentError;
use millstream_gateway::GatewayError;
use millstream_namespace::NamespaceError;
use millstream_object::ObjectError;
use millstream_query::QueryError;
use millstream_stream::StreamError;
use millstream_table::TableError;
use millstream_types::ErrorKind;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// No such resource or address.
    #[error("there is no {kind} `{name}`; the lists show what there is")]
    NotFound {
        /// `stream`, `page`, …
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// A parameter is wrong.
    #[error("{0}")]
    Invalid(String),
    /// What changes something needs the node's token.
    #[error("this is not the node's token; `millstream keys` shows it")]
    Forbidden,
    /// Too many viewers, followers or running queries.
    #[error("{limit} {what} are open already; close one and try again")]
    Busy {
        /// What is limited.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// An engine refused or failed.
    #[error("{message}")]
    Engine {
        /// What the asker can do.
        kind: ErrorKind,
        /// The engine's words.
        message: String,
    },
    /// A template failed: a defect of ours.
    #[error("the page cannot be drawn: {0}")]
    Template(#[from] askama::Error),
}

impl ConsoleError {
    /// What the asker can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Forbidden => ErrorKind::Forbidden,
            Self::Busy { .. } => ErrorKind::Throttled,
            Self::Engine { kind, .. } => *kind,
            Self::Template(_) => ErrorKind::Internal,
        }
    }

    /// The status of an answer that tells it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.kind() {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Exists | ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Throttled => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StreamError> for ConsoleError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::StreamNotFound { stream } => Self::NotFound { kind: "stream", name: stream },
            other => Self::Engine { kind: other.kind(), message: other.to_string() },
        }
    }
}

impl From<TableError> for ConsoleError {
    fn from(error: TableError) -> Self {
        Self::Engine { kind: error.kind(), message: error.to_string() }
    }
}

impl From<QueryError> for ConsoleError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Plan(_) => Self::Invalid(error.to_string()),
            QueryError::NotFound { name } => Self::NotFound { kind: "query", name },
            other => Self::Engine { kind: other.kind(), message: other.to_string() },
        }
    }
}

impl From<NamespaceError> for ConsoleError {
    fn from(error: NamespaceError) -> Self {
        Self::Engine { kind: error.kind(), message: error.to_string() }
    }
}

impl From<ObjectError> for ConsoleError {
    fn from(error: ObjectError) -> Self {
        Self::Engine { kind: error.kind(), message: error.to_string() }
    }
}

impl From<GatewayError> for ConsoleError {
    fn from(error: GatewayError) -> Self {
        Self::Engine { kind: error.kind(), message: error.to_string() }
    }
}

impl From<DocumentError> for ConsoleError {
    fn from(error: DocumentError) -> Self {
        Self::Engine { kind: error.kind(), message: error.to_string() }
    }
}

/// As the JSON API says it; pages say it in their own frame, see [`crate::pages::failed`].
impl IntoResponse for ConsoleError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "message": self.to_string() }).to_string();
        (self.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
