//! `DescribeLogGroups` and `DescribeLogStreams`

use millstream_insight::{LogGroupSummary, LogStreamSummary};
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{of_list, with_next};
use super::{CloudWatchLogs, error, group_name, invalid, refuse};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupsInput {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_class: Option<String>,
    log_group_identifiers: Option<Value>,
    account_identifiers: Option<Value>,
    include_linked_accounts: Option<bool>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamsInput {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    descending: Option<bool>,
    next_token: Option<String>,
    limit: Option<i64>,
}

pub(super) fn groups(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: GroupsInput = request.input()?;
    let limit = limit(input.limit)?;
    refuse("logGroupClass", input.log_group_class.as_deref().is_some_and(|class| class != "STANDARD"))?;
    refuse("logGroupIdentifiers", input.log_group_identifiers.is_some())?;
    refuse("accountIdentifiers", input.account_identifiers.is_some())?;
    refuse("includeLinkedAccounts", input.include_linked_accounts == Some(true))?;
    let mut groups = logs.groups.list();
    groups.retain(|LogGroupSummary { name, .. }| {
        input.log_group_name_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix))
            && input.log_group_name_pattern.as_ref().is_none_or(|pattern| name.contains(pattern))
    });
    let (page, next) = of_list(groups, input.next_token.as_deref(), limit)?;
    let shown: Vec<Value> = page.iter().map(|group| shown_group(logs, group)).collect();
    Ok(with_next(json!({ "logGroups": shown }), next))
}

fn shown_group(logs: &CloudWatchLogs, group: &LogGroupSummary) -> Value {
    let arn = logs.place.arn("logs", &format!("log-group:{}", group.name));
    let mut shown = json!({
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "storedBytes": group.bytes,
        "logGroupClass": "STANDARD",
        "arn": format!("{arn}:*"),
        "logGroupArn": arn,
    });
    if let Some(days) = group.retention_days {
        shown["retentionInDays"] = json!(days);
    }
    shown
}

pub(super) fn streams(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: StreamsInput = request.input()?;
    let limit = limit(input.limit)?;
    Constraints::new().one_of("orderBy", input.order_by.as_deref(), &["LogStreamName", "LastEventTime"]).finish()?;
    let by_time = input.order_by.as_deref() == Some("LastEventTime");
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let group = group_name(input.log_group_name, input.log_group_identifier)?;
    let mut streams = logs.groups.streams(&group).map_err(|found| error(&found))?;
    streams.retain(|stream| input.log_stream_name_prefix.as_ref().is_none_or(|prefix| stream.name.starts_with(prefix)));
    if by_time {
        streams.sort_by_key(|stream| stream.events.map(|(_, last)| last));
    }
    if input.descending == Some(true) {
        streams.reverse();
    }
    let (page, next) = of_list(streams, input.next_token.as_deref(), limit)?;
    let shown: Vec<Value> = page.iter().map(|stream| shown_stream(logs, &group, stream)).collect();
    Ok(with_next(json!({ "logStreams": shown }), next))
}

fn shown_stream(logs: &CloudWatchLogs, group: &str, stream: &LogStreamSummary) -> Value {
    let mut shown = json!({
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "uploadSequenceToken": "0",
        "arn": logs.place.arn("logs", &format!("log-group:{group}:log-stream:{}", stream.name)),
        "storedBytes": 0,
    });
    if let Some((first, last)) = stream.events {
        shown["firstEventTimestamp"] = json!(first);
        shown["lastEventTimestamp"] = json!(last);
        shown["lastIngestionTime"] = json!(last);
    }
    shown
}

fn limit(limit: Option<i64>) -> Result<usize, ServiceError> {
    Constraints::new().range("limit", limit, 1, 50).finish()?;
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50))
}
