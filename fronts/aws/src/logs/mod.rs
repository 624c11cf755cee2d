//! CloudWatch Logs over what functions print. Source: the CloudWatch Logs API reference (2014-03-28).

mod describe;
mod filter_log_events;
mod get_log_events;
mod pattern;

use bytes::Bytes;
use millstream_insight::{Insight, LogEvent};

use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::{Place, resource};

/// The service.
pub struct CloudWatchLogs {
    insight: Insight,
    place: Place,
}

impl CloudWatchLogs {
    /// The service over the node's logs.
    #[must_use]
    pub fn new(insight: Insight, place: Place) -> Self {
        Self { insight, place }
    }

    /// Answers a request: every operation that there is.
    pub(crate) fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        let document = match request.operation.as_str() {
            "DescribeLogGroups" => describe::groups(self, request)?,
            "DescribeLogStreams" => describe::streams(self, request)?,
            "GetLogEvents" => get_log_events::call(self, request)?,
            "FilterLogEvents" => filter_log_events::call(self, request)?,
            other => return Err(ServiceError::unknown_operation("CloudWatch Logs", other)),
        };
        Ok(Bytes::from(document.to_string()))
    }

    /// Events of a group that exists, see [`millstream_insight::Logs::events`].
    fn events(
        &self,
        group: &str,
        stream: Option<&str>,
        range: (i64, i64),
        after: u64,
        limit: usize,
    ) -> Result<Vec<(String, LogEvent)>, ServiceError> {
        self.insight.logs.events(group, stream, range, after, limit).ok_or_else(no_group)
    }
}

fn no_group() -> ServiceError {
    ServiceError::new("ResourceNotFoundException", "The specified log group does not exist.")
}

fn no_stream() -> ServiceError {
    ServiceError::new("ResourceNotFoundException", "The specified log stream does not exist.")
}

/// A group by its name or by the identifier that newer clients send, which may be an ARN.
fn group_name(name: Option<String>, identifier: Option<String>) -> Result<String, ServiceError> {
    let from_arn =
        |text: String| resource(&text, "logs", "log-group:").unwrap_or(&text).trim_end_matches(":*").to_owned();
    name.or_else(|| identifier.map(from_arn))
        .ok_or_else(|| ServiceError::new("InvalidParameterException", "Expected logGroupName or logGroupIdentifier"))
}
