//! `DescribeLogGroups` and `DescribeLogStreams`

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CloudWatchLogs, group_name, no_group};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupsInput {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
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
    let mut names = logs.insight.logs.groups();
    names.retain(|name| {
        input.log_group_name_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix))
            && input.log_group_name_pattern.as_ref().is_none_or(|pattern| name.contains(pattern))
    });
    let (page, next) = page(names, input.next_token.as_deref(), limit)?;
    let groups: Vec<Value> = page
        .iter()
        .map(|name| {
            let arn = logs.place.arn("logs", &format!("log-group:{name}"));
            let streams = logs.insight.logs.streams(name).unwrap_or_default();
            let created = streams.iter().map(|stream| stream.created).min().unwrap_or_default();
            json!({
                "logGroupName": name, "creationTime": created, "metricFilterCount": 0, "storedBytes": 0,
                "arn": format!("{arn}:*"), "logGroupArn": arn,
            })
        })
        .collect();
    Ok(with_next(json!({ "logGroups": groups }), next))
}

pub(super) fn streams(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: StreamsInput = request.input()?;
    let limit = limit(input.limit)?;
    Constraints::new().one_of("orderBy", input.order_by.as_deref(), &["LogStreamName", "LastEventTime"]).finish()?;
    let group = group_name(input.log_group_name, input.log_group_identifier)?;
    let mut streams = logs.insight.logs.streams(&group).ok_or_else(no_group)?;
    streams.retain(|stream| input.log_stream_name_prefix.as_ref().is_none_or(|prefix| stream.name.starts_with(prefix)));
    if input.order_by.as_deref() == Some("LastEventTime") {
        streams.sort_by_key(|stream| stream.last_event);
    }
    if input.descending == Some(true) {
        streams.reverse();
    }
    let (page, next) = page(streams, input.next_token.as_deref(), limit)?;
    let shown: Vec<Value> = page
        .iter()
        .map(|stream| {
            json!({
                "logStreamName": stream.name,
                "creationTime": stream.created,
                "firstEventTimestamp": stream.first_event,
                "lastEventTimestamp": stream.last_event,
                "lastIngestionTime": stream.last_event,
                "uploadSequenceToken": "0",
                "arn": logs.place.arn("logs", &format!("log-group:{group}:log-stream:{}", stream.name)),
                "storedBytes": 0,
            })
        })
        .collect();
    Ok(with_next(json!({ "logStreams": shown }), next))
}

fn limit(limit: Option<i64>) -> Result<usize, ServiceError> {
    Constraints::new().range("limit", limit, 1, 50).finish()?;
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50))
}

/// A page of a list; the token is where the next one begins.
fn page<T>(mut all: Vec<T>, token: Option<&str>, limit: usize) -> Result<(Vec<T>, Option<usize>), ServiceError> {
    let wrong = || ServiceError::new("InvalidParameterException", "The specified nextToken is invalid.");
    let start: usize = token.map(|token| token.parse().map_err(|_| wrong())).transpose()?.unwrap_or(0);
    let mut rest = all.split_off(start.min(all.len()));
    let next = (rest.len() > limit).then_some(start + limit);
    rest.truncate(limit);
    Ok((rest, next))
}

fn with_next(mut answer: Value, next: Option<usize>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = json!(next.to_string());
    }
    answer
}
