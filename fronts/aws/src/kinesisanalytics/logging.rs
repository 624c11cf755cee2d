//! `AddApplicationCloudWatchLoggingOption` and `DeleteApplicationCloudWatchLoggingOption`: the log stream in which an
//! application's errors are told.

use millstream_catalog::QueryErrorLog;
use serde::Deserialize;
use serde_json::{Value, json};

use super::change_application::{current, put};
use super::{KinesisAnalytics, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::resource;

/// The id of an application's only option.
const ID: &str = "1.1";

/// An option as requests give it.
#[derive(Debug, Deserialize)]
pub(super) struct LoggingOption {
    #[serde(rename = "LogStreamARN")]
    log_stream_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
}

impl LoggingOption {
    pub(super) fn definition(self) -> Result<QueryErrorLog, ServiceError> {
        let (arn, role) = (self.log_stream_arn, self.role_arn);
        Constraints::new().required("logStreamARN", arn.as_ref()).required("roleARN", role.as_ref()).finish()?;
        let arn = arn.unwrap_or_default();
        let (group, stream) = resource(&arn, "logs", "log-group:")
            .and_then(|named| named.split_once(":log-stream:"))
            .filter(|(group, stream)| !group.is_empty() && !stream.is_empty())
            .ok_or_else(|| invalid(format!("{arn} is not the ARN of a log stream")))?;
        Ok(QueryErrorLog { group: group.to_owned(), stream: stream.to_owned(), role: role.unwrap_or_default() })
    }
}

/// The one option that an application may be made with.
pub(super) fn one(options: Option<Vec<LoggingOption>>) -> Result<Option<QueryErrorLog>, ServiceError> {
    let mut options = options.unwrap_or_default();
    if options.len() > 1 {
        return Err(invalid("An application can have at most one CloudWatchLoggingOption"));
    }
    options.pop().map(LoggingOption::definition).transpose()
}

/// `CloudWatchLoggingOptionDescriptions`
pub(super) fn described(front: &KinesisAnalytics, log: Option<&QueryErrorLog>) -> Value {
    let option = |log: &QueryErrorLog| {
        let stream = format!("log-group:{}:log-stream:{}", log.group, log.stream);
        json!({ "CloudWatchLoggingOptionId": ID, "LogStreamARN": front.place.arn("logs", &stream), "RoleARN": log.role })
    };
    json!(log.map(option).as_slice())
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "CloudWatchLoggingOption")]
    added: Option<LoggingOption>,
    #[serde(rename = "CloudWatchLoggingOptionId")]
    removed: Option<String>,
}

pub(super) async fn add(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    Constraints::new().required("cloudWatchLoggingOption", input.added.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &request.input()?)?;
    let described = changed.resource.get_or_insert_default();
    if described.error_log.is_some() {
        return Err(invalid("An application can have at most one CloudWatchLoggingOption"));
    }
    described.error_log = input.added.map(LoggingOption::definition).transpose()?;
    put(front, &seen, changed).await
}

pub(super) async fn delete(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Request = request.input()?;
    let id = input.removed.as_deref();
    Constraints::new().required("cloudWatchLoggingOptionId", id.as_ref()).finish()?;
    let (seen, mut changed) = current(front, &request.input()?)?;
    let log = changed.resource.as_mut().and_then(|resource| resource.error_log.take());
    if log.is_none() || id != Some(ID) {
        let message = format!("The application has no CloudWatchLoggingOption {}", id.unwrap_or_default());
        return Err(ServiceError::new("ResourceNotFoundException", message));
    }
    put(front, &seen, changed).await
}
