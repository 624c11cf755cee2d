//! `PutItem`

use millstream_table::{Put, key};
use serde_json::Value;

use super::single_write::{SingleWrite, Subject};
use super::{DynamoDb, error};
use crate::json_protocol::{JsonRequest, ServiceError};

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let SingleWrite { table: name, subject: item, condition, answer } = SingleWrite::read(request, Subject::Item)?;
    let table = dynamodb.tables.table(&name).map_err(error::of_table)?;
    let key = key::of_item(&table, &item);
    let put = Put { item, condition, return_old: answer.must_look() };
    let written = dynamodb.tables.put(&name, put).await.map_err(|failed| answer.failed(failed))?;
    dynamodb.written(&table, [&key], request);
    Ok(answer.done(&written))
}
