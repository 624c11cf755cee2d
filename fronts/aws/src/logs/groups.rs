//! `CreateLogGroup`, `DeleteLogGroup`, `PutRetentionPolicy`, `DeleteRetentionPolicy`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{CloudWatchLogs, error, invalid, refuse};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// How many days lines may be kept, of the service's list.
const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    log_group_name: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    kms_key_id: Option<Value>,
    log_group_class: Option<String>,
    deletion_protection_enabled: Option<bool>,
    retention_in_days: Option<u32>,
}

pub(super) async fn create(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let input: Input = request.input()?;
    let name = name(&input)?;
    refuse("kmsKeyId", input.kms_key_id.is_some())?;
    refuse("logGroupClass", input.log_group_class.as_deref().is_some_and(|class| class != "STANDARD"))?;
    refuse("deletionProtectionEnabled", input.deletion_protection_enabled == Some(true))?;
    logs.groups.create(name, input.tags.clone()).await.map_err(|found| error(&found))
}

pub(super) async fn delete(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let input: Input = request.input()?;
    logs.groups.delete(name(&input)?).await.map_err(|found| error(&found))
}

pub(super) async fn put_retention(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let input: Input = request.input()?;
    let name = name(&input)?;
    Constraints::new().required("retentionInDays", input.retention_in_days.as_ref()).finish()?;
    let days = input.retention_in_days.unwrap_or_default();
    if !RETENTION_DAYS.contains(&days) {
        return Err(invalid(format!("Expected retentionInDays to be one of {RETENTION_DAYS:?}, found {days}")));
    }
    logs.groups.set_retention(name, Some(days)).await.map_err(|found| error(&found))
}

pub(super) async fn delete_retention(logs: &CloudWatchLogs, request: &JsonRequest) -> Result<(), ServiceError> {
    let input: Input = request.input()?;
    logs.groups.set_retention(name(&input)?, None).await.map_err(|found| error(&found))
}

fn name(input: &Input) -> Result<&str, ServiceError> {
    let name = input.log_group_name.as_deref();
    let valid = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '/' | '.' | '#');
    Constraints::new()
        .required("logGroupName", name.as_ref())
        .length("logGroupName", name, 1, 512)
        .characters("logGroupName", name, valid, "[\\.\\-_/#A-Za-z0-9]+")
        .finish()?;
    Ok(name.unwrap_or_default())
}
