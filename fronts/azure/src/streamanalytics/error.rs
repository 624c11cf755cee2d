//! The service's errors, from the engines' facts.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_namespace::NamespaceError;
use millstream_query::{PlanError, QueryError};
use millstream_types::ErrorKind;
use serde_json::{Value, json};

use crate::resource_manager::{Refusal, answer, refusal_document};

/// An error as clients get it.
#[derive(Debug)]
pub(super) struct JobError {
    refusal: Refusal,
    /// The mistakes of a query, one by one.
    mistakes: Vec<PlanError>,
}

impl JobError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { refusal: Refusal::new(status, code, message), mistakes: Vec::new() }
    }

    /// Something in the request is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The service has it, this node does not.
    pub(super) fn unsupported(feature: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NotSupported", format!("{feature}: not supported by this node"))
    }

    pub(super) fn not_found(kind: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", format!("there is no {kind} `{name}`"))
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    pub(super) fn precondition(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message)
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let Refusal { status, code, message } = &self.refusal;
        let details: Vec<Value> = self.mistakes.iter().map(detail).collect();
        answer(*status, &refusal_document(code, message, &details))
    }
}

/// A mistake with its place, counted from 1.
fn detail(mistake: &PlanError) -> Value {
    let PlanError { code, message, line, column, hint } = mistake;
    let hint = hint.as_ref().map(|hint| format!("; try: {hint}")).unwrap_or_default();
    json!({
        "code": code.as_str(),
        "target": format!("line {line}, column {column}"),
        "message": format!("{message}{hint}"),
        "line": line,
        "column": column,
    })
}

impl From<Refusal> for JobError {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, mistakes: Vec::new() }
    }
}

impl From<QueryError> for JobError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound { name } => Self::not_found("streaming job", &name),
            QueryError::Plan(mistakes) => {
                let places: Vec<String> = mistakes
                    .iter()
                    .map(|mistake| format!("line {}, column {}: {}", mistake.line, mistake.column, mistake.message))
                    .collect();
                let message = format!("the query has mistakes: {}", places.join("; "));
                Self { refusal: Refusal::new(StatusCode::BAD_REQUEST, "BadRequest", message), mistakes }
            }
            other => of_kind(other.kind(), &other.to_string()),
        }
    }
}

impl From<NamespaceError> for JobError {
    /// A hub that an input or output names and that is not there is a mistake of the request.
    fn from(error: NamespaceError) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::invalid(error.to_string()),
            kind => of_kind(kind, &error.to_string()),
        }
    }
}

fn of_kind(kind: ErrorKind, message: &str) -> JobError {
    let (status, code) = match kind {
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "ResourceNotFound"),
        ErrorKind::Exists | ErrorKind::Conflict => (StatusCode::CONFLICT, "Conflict"),
        ErrorKind::Invalid | ErrorKind::TooLarge => (StatusCode::BAD_REQUEST, "BadRequest"),
        ErrorKind::Throttled => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
    };
    if status.is_server_error() {
        tracing::error!(message, "stream analytics");
    }
    JobError::new(status, code, message)
}
