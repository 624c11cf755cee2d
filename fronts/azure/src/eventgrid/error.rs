//! The service's errors: `{"error": {"code", "message", "details"}}`.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use millstream_event::EventError;
use millstream_types::ErrorKind;
use serde_json::{Value, json};

use crate::resource_manager::Refusal;

/// An error as clients get it.
#[derive(Debug)]
pub(super) struct EventGridError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl EventGridError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    pub(super) fn not_supported(feature: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NotSupported", format!("{feature} is not supported."))
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
    }

    pub(super) fn method_not_allowed(allowed: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", format!("Expected the method {allowed}."))
    }

    pub(super) fn answer(&self, request_id: &str) -> Response<Bytes> {
        let message = match request_id {
            "" => self.message.clone(),
            id => format!("{} [{id}]", self.message),
        };
        let details = json!([{ "code": self.code, "message": self.message }]);
        json_answer(self.status, &json!({ "error": { "code": self.code, "message": message, "details": details } }))
    }
}

impl From<Refusal> for EventGridError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, refusal.code, refusal.message)
    }
}

impl From<EventError> for EventGridError {
    /// From the engine's facts to the service's errors.
    fn from(error: EventError) -> Self {
        let (status, code) = match (&error, error.kind()) {
            (EventError::Validation { .. }, _) => (StatusCode::BAD_REQUEST, "EndpointValidationFailed"),
            (EventError::NotSupported { .. }, _) => (StatusCode::BAD_REQUEST, "NotSupported"),
            (_, ErrorKind::NotFound) => (StatusCode::NOT_FOUND, "ResourceNotFound"),
            (_, ErrorKind::Exists | ErrorKind::Conflict) => (StatusCode::CONFLICT, "Conflict"),
            (_, ErrorKind::Invalid) => (StatusCode::BAD_REQUEST, "InvalidRequest"),
            (_, ErrorKind::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            (_, ErrorKind::Unauthenticated | ErrorKind::Forbidden) => (StatusCode::FORBIDDEN, "Forbidden"),
            (_, ErrorKind::Throttled | ErrorKind::Unavailable) => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            (_, ErrorKind::Internal) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        };
        if status.is_server_error() {
            tracing::error!(%error, "event grid");
        }
        Self::new(status, code, error.to_string())
    }
}

/// An answer of JSON.
pub(super) fn json_answer(status: StatusCode, document: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
