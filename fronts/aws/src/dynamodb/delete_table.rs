//! `DeleteTable`

use millstream_table::TableSize;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DynamoDb, error, input, table_name};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints.finish()?;
    let table = dynamodb.tables.delete(name).await.map_err(error::of_named_table)?;
    Ok(json!({ "TableDescription": dynamodb.description(&table, "DELETING", &TableSize::default()) }))
}
