//! CloudWatch Logs over what functions print and clients put in. Source: the CloudWatch Logs API reference (2014-03-28).

mod describe;
mod filter_log_events;
mod get_log_events;
mod groups;
mod page;
mod pattern;
mod put_log_events;
mod streams;
mod tags;

use std::sync::Arc;

use bytes::Bytes;
use millstream_insight::{LogError, LogGroups};
use millstream_types::{Clock, ErrorKind};
use serde_json::{Value, json};

use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::{Place, resource};

/// The service.
pub struct CloudWatchLogs {
    groups: LogGroups,
    clock: Arc<dyn Clock>,
    place: Place,
}

impl CloudWatchLogs {
    /// The service over the node's logs.
    #[must_use]
    pub fn new(groups: LogGroups, clock: Arc<dyn Clock>, place: Place) -> Self {
        Self { groups, clock, place }
    }

    /// Answers a request: every operation that there is.
    pub(crate) async fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        let document = match request.operation.as_str() {
            "CreateLogGroup" => none(groups::create(self, request).await?),
            "DeleteLogGroup" => none(groups::delete(self, request).await?),
            "PutRetentionPolicy" => none(groups::put_retention(self, request).await?),
            "DeleteRetentionPolicy" => none(groups::delete_retention(self, request).await?),
            "DescribeLogGroups" => describe::groups(self, request)?,
            "CreateLogStream" => none(streams::create(self, request).await?),
            "DeleteLogStream" => none(streams::delete(self, request).await?),
            "DescribeLogStreams" => describe::streams(self, request)?,
            "PutLogEvents" => put_log_events::call(self, request).await?,
            "GetLogEvents" => get_log_events::call(self, request)?,
            "FilterLogEvents" => filter_log_events::call(self, request)?,
            "TagResource" | "TagLogGroup" => none(tags::tag(self, request).await?),
            "UntagResource" | "UntagLogGroup" => none(tags::untag(self, request).await?),
            "ListTagsForResource" | "ListTagsLogGroup" => tags::list(self, request)?,
            other => return Err(ServiceError::unknown_operation("CloudWatch Logs", other)),
        };
        Ok(Bytes::from(document.to_string()))
    }
}

/// The answer of operations that say nothing.
fn none((): ()) -> Value {
    json!({})
}

/// An error in the service's words.
fn error(error: &LogError) -> ServiceError {
    match error {
        LogError::GroupNotFound(_) => no_such("The specified log group does not exist."),
        LogError::StreamNotFound(_) => no_such("The specified log stream does not exist."),
        LogError::GroupExists(_) => exists("The specified log group already exists"),
        LogError::StreamExists(_) => exists("The specified log stream already exists"),
        LogError::TooMany { .. } => ServiceError::new("LimitExceededException", error.to_string()),
        LogError::Busy => ServiceError::new("ThrottlingException", error.to_string()),
        LogError::Catalog(_) | LogError::Storage(_) if error.kind() == ErrorKind::Throttled => {
            ServiceError::new("ThrottlingException", error.to_string())
        }
        LogError::Catalog(_) | LogError::Storage(_) => {
            ServiceError::internal("ServiceUnavailableException", error.to_string())
        }
    }
}

fn no_such(message: &str) -> ServiceError {
    ServiceError::new("ResourceNotFoundException", message)
}

fn exists(message: &str) -> ServiceError {
    ServiceError::new("ResourceAlreadyExistsException", message)
}

fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidParameterException", message)
}

/// Refuses a member whose meaning this node does not have.
fn refuse(member: &str, is_there: bool) -> Result<(), ServiceError> {
    if is_there { Err(invalid(format!("{member} is not supported by this node"))) } else { Ok(()) }
}

/// A group by its name or by the identifier that newer clients send, which may be an ARN.
fn group_name(name: Option<String>, identifier: Option<String>) -> Result<String, ServiceError> {
    if name.is_some() && identifier.is_some() {
        return Err(invalid("Expected one of logGroupName and logGroupIdentifier, found both"));
    }
    let from_arn =
        |text: String| resource(&text, "logs", "log-group:").unwrap_or(&text).trim_end_matches(":*").to_owned();
    name.or_else(|| identifier.map(from_arn)).ok_or_else(|| invalid("Expected logGroupName or logGroupIdentifier"))
}
