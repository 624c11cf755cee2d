//! What the role of a function must let a mapping do with its source.
//! Source: the Lambda developer guide, "Required execution role permissions" of each kind of source.

use millstream_catalog::{EventSource, FailureTarget, MappingSettings};
use millstream_mapping::SourcePermits;

use super::super::Lambda;
use super::super::error::typed;
use super::source;
use crate::authorize::Authorizer;
use crate::json_protocol::ServiceError;

/// The actions on a stream, a queue and a table's changes.
const READ_STREAM: [&str; 3] = ["kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:DescribeStream"];
const TAKE_MESSAGES: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
const READ_CHANGES: [&str; 3] = ["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"];

/// What functions' roles say.
pub struct RolePermits {
    authorizer: Authorizer,
}

impl RolePermits {
    /// Asks an authorizer.
    #[must_use]
    pub fn new(authorizer: Authorizer) -> Self {
        Self { authorizer }
    }
}

impl SourcePermits for RolePermits {
    fn check(&self, function: &str, source: &EventSource) -> Result<(), String> {
        first_missing(&self.authorizer, function, source).map_or(Ok(()), |(_, message)| Err(message))
    }
}

/// A mapping can be made only when its function's role lets it read, and tell of what it gives up.
pub(super) fn check(
    lambda: &Lambda,
    function: &str,
    source: &EventSource,
    settings: &MappingSettings,
) -> Result<(), ServiceError> {
    check_source(&lambda.authorizer, function, source)?;
    let Some(target) = &settings.on_failure else { return Ok(()) };
    if let FailureTarget::Bucket { name } = target {
        // All that it gets begins so.
        let objects = format!("arn:aws:s3:::{name}/aws/lambda/");
        let permitted = lambda.authorizer.function_may(function, "s3:PutObject", &objects);
        return permitted.map_err(|_| missing("PutObject", "S3"));
    }
    let target = source::target_arn(&lambda.place, target);
    let service = target.split(':').nth(2).unwrap_or_default().to_ascii_uppercase();
    lambda.check_target(function, &target, |operation| missing(operation, &service).message)
}

fn missing(operation: &str, service: &str) -> ServiceError {
    let message = format!("The provided execution role does not have permissions to call {operation} on {service}");
    typed(400, "InvalidParameterValueException", message)
}

fn check_source(authorizer: &Authorizer, function: &str, source: &EventSource) -> Result<(), ServiceError> {
    let Some((action, _)) = first_missing(authorizer, function, source) else { return Ok(()) };
    let operation = action.split(':').next_back().unwrap_or(action);
    let message = match source {
        EventSource::Queue { .. } => {
            format!("The provided execution role does not have permissions to call {operation} on SQS")
        }
        EventSource::Stream { .. } | EventSource::Table { .. } => format!(
            "Cannot access stream {}. Please ensure the role can perform the GetRecords, GetShardIterator and \
             DescribeStream Actions on your stream in IAM.",
            source::arn(&authorizer.place, source),
        ),
    };
    Err(typed(400, "InvalidParameterValueException", message))
}

/// The first action that the role does not allow, and what is said of it.
fn first_missing(authorizer: &Authorizer, function: &str, source: &EventSource) -> Option<(&'static str, String)> {
    let actions = match source {
        EventSource::Stream { .. } => READ_STREAM,
        EventSource::Queue { .. } => TAKE_MESSAGES,
        EventSource::Table { .. } => READ_CHANGES,
    };
    let arn = source::arn(&authorizer.place, source);
    actions.into_iter().find_map(|action| Some((action, authorizer.function_may(function, action, &arn).err()?)))
}
