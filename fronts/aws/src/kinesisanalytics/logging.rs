//! Logging options as requests give and change them: the log stream in which an application's errors are told.

use millstream_catalog::QueryErrorLog;
use millstream_query::NewQuery;
use serde::Deserialize;

use super::{invalid, missing_part, part_of};
use crate::json_protocol::{Constraints, ServiceError};
use crate::place::resource;

/// An option as requests give it.
#[derive(Debug, Deserialize)]
pub(super) struct LoggingOption {
    #[serde(rename = "LogStreamARN")]
    log_stream_arn: Option<String>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
}

/// One of `CloudWatchLoggingOptionUpdates`: what is not given stays.
#[derive(Debug, Deserialize)]
pub(super) struct LoggingUpdate {
    #[serde(rename = "CloudWatchLoggingOptionId")]
    id: Option<String>,
    #[serde(rename = "LogStreamARNUpdate")]
    log_stream_arn: Option<String>,
    #[serde(rename = "RoleARNUpdate")]
    role_arn: Option<String>,
}

impl LoggingOption {
    /// The log stream; `role` where the request names none, which the API of 2015 does not know.
    pub(super) fn definition(self, role: &str) -> Result<QueryErrorLog, ServiceError> {
        let (arn, role) =
            (self.log_stream_arn, self.role_arn.or_else(|| Some(role.to_owned()).filter(|role| !role.is_empty())));
        Constraints::new()
            .required("cloudWatchLoggingOption.logStreamARN", arn.as_ref())
            .required("cloudWatchLoggingOption.roleARN", role.as_ref())
            .finish()?;
        let (group, stream) = log_stream(&arn.unwrap_or_default())?;
        Ok(QueryErrorLog { group, stream, role: role.unwrap_or_default() })
    }
}

impl LoggingUpdate {
    /// Changes the option that it names.
    pub(super) fn apply(self, query: &mut NewQuery) -> Result<(), ServiceError> {
        let id = self.id;
        Constraints::new()
            .required("cloudWatchLoggingOptionUpdates.cloudWatchLoggingOptionId", id.as_ref())
            .finish()?;
        let log = query.resource.as_mut().and_then(|resource| resource.error_log.as_mut());
        let log = part_of(id.as_deref(), log.map(std::slice::from_mut).unwrap_or_default());
        let log = log.ok_or_else(|| missing_part("CloudWatchLoggingOption", id.as_deref()))?;
        if let Some(arn) = self.log_stream_arn {
            (log.group, log.stream) = log_stream(&arn)?;
        }
        log.role = self.role_arn.unwrap_or_else(|| std::mem::take(&mut log.role));
        Ok(())
    }
}

/// The group and the stream of an ARN.
fn log_stream(arn: &str) -> Result<(String, String), ServiceError> {
    let named = resource(arn, "logs", "log-group:").and_then(|named| named.split_once(":log-stream:"));
    let named = named.filter(|(group, stream)| !group.is_empty() && !stream.is_empty());
    let (group, stream) = named.ok_or_else(|| invalid(format!("{arn} is not the ARN of a log stream")))?;
    Ok((group.to_owned(), stream.to_owned()))
}

/// The one option that an application may be made with.
pub(super) fn one(options: Option<Vec<LoggingOption>>, role: &str) -> Result<Option<QueryErrorLog>, ServiceError> {
    let mut options = options.unwrap_or_default();
    if options.len() > 1 {
        return Err(invalid("An application can have at most one CloudWatchLoggingOption"));
    }
    options.pop().map(|option| option.definition(role)).transpose()
}
