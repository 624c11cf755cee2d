//! `TagResource`, `UntagResource`, `ListTagsForResource`, and the older `TagLogGroup`, `UntagLogGroup`, `ListTagsLogGroup`: of
//! log groups, by their ARN or their name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CloudWatchLogs, error, group_name};
use crate::json_protocol::{JsonRequest, ServiceError};

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "logGroupName")]
    name: Option<String>,
    #[serde(rename = "resourceArn")]
    arn: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(flatten)]
    group: Group,
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Keys {
    #[serde(flatten)]
    group: Group,
    #[serde(alias = "tagKeys")]
    tags: Vec<String>,
}

pub(super) async fn tag(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let Tags { group, tags } = request.input()?;
    logs.groups.tag(&named(group)?, tags).await.map_err(|found| error(&found))
}

pub(super) async fn untag(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let Keys { group, tags } = request.input()?;
    logs.groups.untag(&named(group)?, &tags).await.map_err(|found| error(&found))
}

pub(super) fn list(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let tags = logs.groups.tags(&named(request.input()?)?).map_err(|found| error(&found))?;
    Ok(json!({ "tags": tags }))
}

fn named(group: Group) -> Result<String, ServiceError> {
    group_name(group.name, group.arn)
}
