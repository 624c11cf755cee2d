//! From the mapping engine's facts to the service's errors.

use millstream_catalog::EventSource;
use millstream_mapping::MappingError;
use millstream_types::ErrorKind;

use super::super::error::typed;
use super::source;
use crate::json_protocol::ServiceError;
use crate::place::Place;

pub(super) fn told(place: &Place, error: &MappingError) -> ServiceError {
    let invalid = |message: String| typed(400, "InvalidParameterValueException", message);
    match error {
        MappingError::NotFound { .. } => {
            typed(404, "ResourceNotFoundException", "The resource you requested does not exist.".to_owned())
        }
        MappingError::Exists { of, function, id } => {
            let arn = source::arn(place, of);
            let twice = match of {
                EventSource::Queue { .. } => {
                    format!(
                        "An event source mapping with SQS arn (\" {arn} \") and function (\" {function} \") already exists."
                    )
                }
                EventSource::Stream { .. } | EventSource::Table { .. } => {
                    format!(
                        "The event source arn (\" {arn} \") and function (\" {function} \") provided mapping already exists."
                    )
                }
            };
            let what = format!("{twice} Please update or delete the existing mapping with UUID {id}");
            typed(409, "ResourceConflictException", what)
        }
        MappingError::Deleting { .. } => typed(
            400,
            "ResourceInUseException",
            "Cannot change the event source mapping because it is being deleted.".to_owned(),
        ),
        MappingError::FunctionNotFound { .. } => invalid("Function does not exist".to_owned()),
        MappingError::StreamNotFound { of } => invalid(format!("Stream not found: {}", source::arn(place, of))),
        MappingError::QueueNotFound { .. } => invalid(
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. \
             SQS Error Message: The specified queue does not exist."
                .to_owned(),
        ),
        MappingError::NoStart => invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: \
             Member must not be null."
                .to_owned(),
        ),
        MappingError::StartInFuture => invalid("The timestamp must not be in the future.".to_owned()),
        MappingError::NotForSource { setting, .. } => {
            invalid(format!("Unsupported parameter for given event source mapping type: it has no use for {setting}."))
        }
        MappingError::WindowNeeded { size } => invalid(format!(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than {size}"
        )),
        MappingError::HiddenTooShortly { hidden, timeout, .. } => invalid(format!(
            "Queue visibility timeout: {hidden} seconds is less than Function timeout: {timeout} seconds"
        )),
        MappingError::Filter { reason } => invalid(format!("Invalid filter pattern definition: {reason}.")),
        other => match other.kind() {
            ErrorKind::Unavailable | ErrorKind::Throttled => {
                typed(503, "ServiceUnavailableException", other.to_string())
            }
            ErrorKind::Internal => typed(500, "ServiceException", other.to_string()),
            _ => invalid(format!("{other}.")),
        },
    }
}
