//! The engine's facts in the service's codes.
//!
//! Source: the Azure Storage REST reference, "Queue service error codes".

use http::StatusCode;
use millstream_queue::QueueError;
use millstream_types::ErrorKind;

use super::ServiceError;

/// A feature of the service that this node does not have.
pub(super) fn unsupported(feature: &str) -> ServiceError {
    let message = format!("{feature} is not supported by this node.");
    ServiceError::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
}

pub(super) fn out_of_range(name: &str, found: i64, (min, max): (i64, i64)) -> ServiceError {
    let message = "One of the query parameters specified in the request URI is outside the permissible range.";
    ServiceError::bad_request("OutOfRangeQueryParameterValue", message)
        .with("QueryParameterName", name)
        .with("QueryParameterValue", found.to_string())
        .with("MinimumAllowed", min.to_string())
        .with("MaximumAllowed", max.to_string())
}

/// A message, a receipt: what the address says it is cannot be.
pub(super) fn message_not_found() -> ServiceError {
    ServiceError::new(StatusCode::NOT_FOUND, "MessageNotFound", "The specified message does not exist.")
}

pub(super) fn old_receipt() -> ServiceError {
    let message = "The specified pop receipt did not match the pop receipt for a dequeued message.";
    ServiceError::bad_request("PopReceiptMismatch", message)
}

pub(super) fn queue_exists() -> ServiceError {
    ServiceError::new(StatusCode::CONFLICT, "QueueAlreadyExists", "The specified queue already exists.")
}

pub(super) fn bad_name() -> ServiceError {
    let message = "The specified resource name contains invalid characters.";
    ServiceError::bad_request("InvalidResourceName", message)
}

impl From<QueueError> for ServiceError {
    fn from(error: QueueError) -> Self {
        match &error {
            QueueError::QueueNotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "QueueNotFound", "The specified queue does not exist.")
            }
            QueueError::QueueExists { .. } => queue_exists(),
            QueueError::BadName { .. } => bad_name(),
            QueueError::MessageNotFound { .. } => message_not_found(),
            QueueError::OldReceipt { .. } => old_receipt(),
            QueueError::MessageTooLarge { max, .. } => Self::body_too_large(*max),
            _ => match error.kind() {
                ErrorKind::Throttled | ErrorKind::Unavailable => {
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", format!("The server is busy: {error}."))
                }
                ErrorKind::Internal => {
                    let message = format!("The server encountered an internal error: {error}.");
                    Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
                }
                _ => Self::bad_request("InvalidInput", format!("One of the request inputs is not valid: {error}.")),
            },
        }
    }
}
