//! `CreateLogStream`, `DeleteLogStream`

use serde::Deserialize;

use super::{CloudWatchLogs, error};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
}

pub(super) async fn create(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let (group, stream) = names(request)?;
    logs.groups.create_stream(&group, &stream).await.map_err(|found| error(&found))
}

pub(super) async fn delete(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let (group, stream) = names(request)?;
    logs.groups.delete_stream(&group, &stream).await.map_err(|found| error(&found))
}

fn names(request: &JsonRequest) -> Result<(String, String), ServiceError> {
    let Input { log_group_name: group, log_stream_name: stream } = request.input()?;
    let valid = |char: char| !matches!(char, ':' | '*' | '\0');
    Constraints::new()
        .required("logGroupName", group.as_ref())
        .required("logStreamName", stream.as_ref())
        .length("logStreamName", stream.as_deref(), 1, 512)
        .characters("logStreamName", stream.as_deref(), valid, "[^:*]*")
        .finish()?;
    Ok((group.unwrap_or_default(), stream.unwrap_or_default()))
}
