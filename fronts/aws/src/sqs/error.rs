//! The engine's facts in the service's errors.

use millstream_queue::QueueError;
use millstream_types::ErrorKind;

use crate::json_protocol::ServiceError;

pub(super) fn missing(parameter: &str) -> ServiceError {
    ServiceError::new("MissingParameter", format!("The request must contain the parameter {parameter}."))
}

pub(super) fn invalid(message: String) -> ServiceError {
    ServiceError::new("InvalidParameterValue", message)
}

pub(super) fn unsupported(feature: &str) -> ServiceError {
    ServiceError::new("UnsupportedOperation", format!("{feature} is not supported by this node."))
}

pub(super) fn bad_receipt(handle: &str) -> ServiceError {
    ServiceError::new(
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

/// The name of an error in the query protocol, where it is another.
pub(super) fn query_code(code: &str) -> String {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
        "AccessDeniedException" => "AccessDenied".to_owned(),
        "QueueNameExists" => "QueueAlreadyExists".to_owned(),
        "EmptyBatchRequest"
        | "TooManyEntriesInBatchRequest"
        | "BatchEntryIdsNotDistinct"
        | "InvalidBatchEntryId"
        | "BatchRequestTooLong"
        | "MessageNotInflight"
        | "PurgeQueueInProgress"
        | "UnsupportedOperation" => {
            format!("AWS.SimpleQueueService.{code}")
        }
        other => other.to_owned(),
    }
}

impl From<QueueError> for ServiceError {
    fn from(error: QueueError) -> Self {
        match &error {
            QueueError::QueueNotFound { .. } => Self::new("QueueDoesNotExist", "The specified queue does not exist."),
            QueueError::QueueExists { queue } => Self::new(
                "QueueNameExists",
                format!("A queue named {queue} already exists with a different value for an attribute."),
            ),
            QueueError::BadName { .. } => invalid(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length".to_owned(),
            ),
            QueueError::DeadLetterQueue { .. } | QueueError::OutOfRange { .. } => {
                Self::new("InvalidAttributeValue", error.to_string())
            }
            QueueError::MessageTooLarge { max, .. } => invalid(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {max} bytes."
            )),
            QueueError::PurgedLately { queue, seconds } => Self::new(
                "PurgeQueueInProgress",
                format!("Only one PurgeQueue operation on {queue} is allowed every {seconds} seconds."),
            ),
            QueueError::TooManyInFlight { .. } => Self::new("OverLimit", error.to_string()),
            QueueError::NotInFlight { .. } => Self::new("MessageNotInflight", "The specified message isn't in flight."),
            QueueError::NotDeadLetters { .. } | QueueError::NoOrigin { .. } => invalid(format!("{error}.")),
            QueueError::NoRedrive => Self::new("ResourceNotFoundException", "The task does not exist or does not run."),
            QueueError::Redriving { .. } => Self::new(
                "UnsupportedOperation",
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            ),
            QueueError::MessageNotFound { .. } | QueueError::OldReceipt { .. } => {
                invalid(format!("Value for parameter ReceiptHandle is invalid. Reason: {error}."))
            }
            _ => match error.kind() {
                ErrorKind::Throttled => Self::new("OverLimit", error.to_string()),
                ErrorKind::Unavailable => Self { status: 503, ..Self::new("ServiceUnavailable", error.to_string()) },
                ErrorKind::Internal => Self::internal("InternalError", error.to_string()),
                _ => invalid(error.to_string()),
            },
        }
    }
}
