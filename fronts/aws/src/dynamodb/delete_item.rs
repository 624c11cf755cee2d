//! `DeleteItem`

use millstream_table::Deletion;
use serde_json::Value;

use super::single_write::{SingleWrite, Subject};
use super::{DynamoDb, error};
use crate::json_protocol::{JsonRequest, ServiceError};

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let SingleWrite { table: name, subject: key, condition, answer } = SingleWrite::read(request, Subject::Key)?;
    let table = dynamodb.tables.table(&name).map_err(error::of_table)?;
    let deletion = Deletion { key: key.clone(), condition, return_old: answer.must_look() };
    let written = dynamodb.tables.delete_item(&name, deletion).await.map_err(|failed| answer.failed(failed))?;
    dynamodb.written(&table, [&key], request);
    Ok(answer.done(&written))
}
