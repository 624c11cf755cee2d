//! `ListTables`

use millstream_catalog::TableOwner;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DynamoDb, input};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Names of one answer.
const NAMES_MAX: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    exclusive_start_table_name: Option<String>,
    limit: Option<i64>,
}

pub(super) fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    Constraints::new()
        .length("exclusiveStartTableName", input.exclusive_start_table_name.as_deref(), 3, 255)
        .range("limit", input.limit, 1, NAMES_MAX)
        .finish()?;
    let after = input.exclusive_start_table_name.unwrap_or_default();
    let limit = input.limit.unwrap_or(NAMES_MAX) as usize;
    let tables = dynamodb.tables.list();
    let mut names: Vec<&str> = tables
        .iter()
        .filter(|table| table.owner == TableOwner::User)
        .map(|table| table.name.as_str())
        .filter(|name| **name > *after)
        .collect();
    let more = names.len() > limit;
    names.truncate(limit);
    let mut answer = json!({ "TableNames": names });
    if more && let Some(last) = names.last() {
        answer["LastEvaluatedTableName"] = json!(last);
    }
    Ok(answer)
}
