//! Facts of the engine in the service's words: status, code, sub-status and message.
//!
//! Source: "HTTP status codes for Azure Cosmos DB", and the sub-status codes that the SDKs act on.

use http::StatusCode;
use millstream_document::DocumentError;
use millstream_types::ErrorKind;
use serde_json::json;

use super::answer::Answer;
use crate::request::AzureRequest;

/// What the client is told.
#[derive(Debug)]
pub(super) struct CosmosError {
    status: StatusCode,
    /// The service's name of it.
    code: &'static str,
    /// Tells cases of one status apart.
    sub_status: Option<u32>,
    message: String,
}

/// The header's partition key is not the document's.
const PARTITION_KEY_MISMATCH: u32 = 1001;
/// The container or the database is not there.
const OWNER_NOT_FOUND: u32 = 1003;
/// The client means a container of that name that was removed since.
const CONTAINER_MISMATCH: u32 = 1024;

impl CosmosError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, sub_status: None, message: message.into() }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// `feature`: in the plural, as a sentence begins.
    pub fn unsupported(feature: &str) -> Self {
        Self::bad_request(format!("{feature} are not supported by this node."))
    }

    pub fn container_mismatch() -> Self {
        let error = Self::bad_request("The container's resource id is another one; read the container again.");
        Self { sub_status: Some(CONTAINER_MISMATCH), ..error }
    }

    pub fn resource_not_found() -> Self {
        not_found("Entity with the specified id does not exist in the system.")
    }

    /// What a request for a document is told when its container is not there.
    pub fn of_owner(error: DocumentError) -> Self {
        match error {
            DocumentError::DatabaseNotFound { .. } | DocumentError::ContainerNotFound { .. } => {
                Self { sub_status: Some(OWNER_NOT_FOUND), ..not_found("Owner resource does not exist.") }
            }
            other => other.into(),
        }
    }

    pub fn answer(&self, request: &AzureRequest) -> Answer {
        let message = format!("{}\r\nActivityId: {}", self.message, super::answer::activity_id(request));
        let answer = Answer::of(self.status, &json!({ "code": self.code, "message": message }));
        match self.sub_status {
            Some(sub_status) => answer.header("x-ms-substatus", &sub_status.to_string()),
            None => answer,
        }
    }
}

impl From<DocumentError> for CosmosError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::DatabaseNotFound { .. }
            | DocumentError::ContainerNotFound { .. }
            | DocumentError::DocumentNotFound { .. } => {
                not_found("Entity with the specified id does not exist in the system.")
            }
            DocumentError::DatabaseExists { .. }
            | DocumentError::ContainerExists { .. }
            | DocumentError::DocumentExists { .. } => Self::new(
                StatusCode::CONFLICT,
                "Conflict",
                "Entity with the specified id already exists in the system.",
            ),
            DocumentError::NotUnique => {
                Self::new(StatusCode::CONFLICT, "Conflict", "Unique index constraint violation.")
            }
            DocumentError::EtagMismatch => precondition("One of the specified pre-condition is not met."),
            DocumentError::PatchCondition => precondition("The condition of the patch is not met."),
            DocumentError::DocumentTooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "Request size is too large.")
            }
            DocumentError::IdMissing => Self::bad_request(
                "The input content is invalid because the required properties - 'id; ' - are missing.",
            ),
            DocumentError::PartitionKeyMismatch => Self {
                sub_status: Some(PARTITION_KEY_MISMATCH),
                ..Self::bad_request(
                    "PartitionKey extracted from document doesn't match the one specified in the header.",
                )
            },
            DocumentError::Query(error) => Self::bad_request(error.to_string()),
            other => {
                let message = other.to_string();
                match other.kind() {
                    ErrorKind::Unavailable => Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message),
                    ErrorKind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message),
                    // Overtaken by other writers again and again.
                    ErrorKind::Conflict => precondition(&message),
                    ErrorKind::Internal => {
                        tracing::error!(error = message, "a document request failed");
                        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
                    }
                    _ => Self::bad_request(message),
                }
            }
        }
    }
}

fn not_found(message: &str) -> CosmosError {
    CosmosError::new(StatusCode::NOT_FOUND, "NotFound", message)
}

fn precondition(message: &str) -> CosmosError {
    CosmosError::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message)
}
