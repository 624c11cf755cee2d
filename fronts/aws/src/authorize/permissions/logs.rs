//! CloudWatch Logs: log groups, and log streams where an operation is about one.

use super::{Member, UNKNOWN};
use crate::place::Place;

pub(super) fn resource(place: &Place, operation: &str, member: Member<'_>) -> String {
    let identified = || {
        let given = member("logGroupIdentifier").or_else(|| member("resourceArn"))?;
        let name = crate::place::resource(&given, "logs", "log-group:").unwrap_or(&given);
        Some(name.trim_end_matches(":*").to_owned())
    };
    let group = match operation {
        "DescribeLogGroups" => Some(String::new()),
        _ => member("logGroupName").or_else(identified),
    };
    let Some(group) = group else { return UNKNOWN.to_owned() };
    let stream = match operation {
        "GetLogEvents" | "PutLogEvents" | "CreateLogStream" | "DeleteLogStream" => member("logStreamName"),
        _ => None,
    };
    place.arn("logs", &format!("log-group:{group}:log-stream:{}", stream.unwrap_or_default()))
}
