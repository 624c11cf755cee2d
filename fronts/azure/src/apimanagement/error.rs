//! Errors of management requests, in the resource manager's form.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_gateway::GatewayError;
use serde_json::{Value, json};

use crate::resource_manager::{Refusal, answer, refusal_document};

/// An error as the resource manager writes it.
#[derive(Debug)]
pub(super) struct ArmError {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Vec<String>,
}

impl ArmError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new() }
    }

    /// Something in the request is wrong; what, is a detail.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        let message = "One or more fields contain incorrect values:".to_owned();
        Self { status: StatusCode::BAD_REQUEST, code: "ValidationError", message, details: vec![detail.into()] }
    }

    /// The service has it, this node does not.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NotSupported", format!("{what} is not supported by this node"))
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let detail = |message: &String| json!({ "code": self.code, "target": "representation", "message": message });
        let details: Vec<Value> = self.details.iter().map(detail).collect();
        answer(self.status, &refusal_document(self.code, &self.message, &details))
    }
}

impl From<Refusal> for ArmError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, refusal.code, refusal.message)
    }
}

impl From<GatewayError> for ArmError {
    fn from(error: GatewayError) -> Self {
        match &error {
            GatewayError::NotFound { kind: "managed service", name } => Self::new(
                StatusCode::NOT_FOUND,
                "ResourceNotFound",
                format!("The Resource 'Microsoft.ApiManagement/service/{name}' was not found."),
            ),
            GatewayError::NotFound { kind, .. } => {
                let kind = format!("{}{}", kind[..1].to_uppercase(), &kind[1..]);
                Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", format!("{kind} not found."))
            }
            GatewayError::Exists { .. }
            | GatewayError::Conflict { .. }
            | GatewayError::Invalid { .. }
            | GatewayError::Policy(_) => Self::invalid(error.to_string()),
            GatewayError::TooMany { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "QuotaExceeded", format!("There may be no more: {error}"))
            }
            GatewayError::Catalog(_) | GatewayError::Storage(_) | GatewayError::AccessLog(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", error.to_string())
            }
        }
    }
}
