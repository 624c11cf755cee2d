//! The engine's facts in the service's errors.

use millstream_event::{EventError, FilterError};
use millstream_types::ErrorKind;

use crate::json_protocol::ServiceError;

/// A parameter is missing or wrong.
pub(super) fn invalid(parameter: &str) -> ServiceError {
    ServiceError::new("InvalidParameter", format!("Invalid parameter: {parameter}"))
}

/// The same with what is wrong.
pub(super) fn invalid_because(parameter: &str, reason: &str) -> ServiceError {
    ServiceError::new("InvalidParameter", format!("Invalid parameter: {parameter} Reason: {reason}"))
}

pub(super) fn unsupported(feature: &str) -> ServiceError {
    ServiceError::new("InvalidParameter", format!("Invalid parameter: {feature} is not supported by this node"))
}

pub(super) fn unsupported_operation(action: &str) -> ServiceError {
    let action: String = action.chars().take(80).collect();
    ServiceError::new("InvalidAction", format!("The action {action} is not supported by this node."))
}

pub(super) fn topic_missing() -> ServiceError {
    not_found("Topic does not exist")
}

pub(super) fn subscription_missing() -> ServiceError {
    not_found("Subscription does not exist")
}

fn not_found(message: &str) -> ServiceError {
    ServiceError { status: 404, ..ServiceError::new("NotFound", message) }
}

fn limit(code: &str, message: String) -> ServiceError {
    ServiceError { status: 403, ..ServiceError::new(code, message) }
}

impl From<EventError> for ServiceError {
    fn from(error: EventError) -> Self {
        match &error {
            EventError::TopicNotFound { .. } => topic_missing(),
            EventError::SubscriptionNotFound { .. } => subscription_missing(),
            EventError::BadName { .. } => invalid("Topic Name"),
            EventError::TopicExists { .. } => {
                invalid_because("Name", "Event Grid has a topic of that name on this node")
            }
            EventError::SubscriptionDiffers { .. } => {
                invalid_because("Attributes", "Subscription already exists with different attributes")
            }
            EventError::NothingToConfirm => invalid("Token"),
            EventError::Endpoint { reason, .. } => invalid_because("Endpoint", reason),
            EventError::Filter(FilterError::TooComplex) => invalid("FilterPolicy: Filter policy is too complex"),
            EventError::Filter(filter) => invalid(&format!("FilterPolicy: {filter}")),
            EventError::TooMany { what: "topics", .. } => limit("TopicLimitExceeded", error.to_string()),
            EventError::TooMany { .. } => limit("SubscriptionLimitExceeded", error.to_string()),
            EventError::NotSupported { feature } => unsupported(feature),
            _ => match error.kind() {
                ErrorKind::Throttled => Self { status: 429, ..Self::new("Throttled", error.to_string()) },
                ErrorKind::Unavailable => Self { status: 503, ..Self::new("ServiceUnavailable", error.to_string()) },
                ErrorKind::Internal => Self::internal("InternalError", error.to_string()),
                _ => invalid(&error.to_string()),
            },
        }
    }
}
