//! `TransactGetItems`

use std::collections::BTreeMap;

use millstream_table::TableError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::capacity::Transacted;
use super::expressions::Expressions;
use super::transact_write_items::{cancelled, check_count};
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    transact_items: Option<Vec<TransactItem>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TransactItem {
    get: Option<Get>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    table_name: Option<String>,
    key: Option<WireItem>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    constraints.required("transactItems", input.transact_items.as_ref()).one_of(
        "returnConsumedCapacity",
        input.return_consumed_capacity.as_deref(),
        &capacity::WANTED,
    );
    check_count(&mut constraints, input.transact_items.as_ref().map(Vec::len));
    constraints.finish()?;
    let (mut keys, mut projections) = (Vec::new(), Vec::new());
    for item in input.transact_items.unwrap_or_default() {
        let get = item.get.ok_or_else(|| validation("The Get of a part of the transaction is required"))?;
        let mut constraints = Constraints::new();
        let table = table_name(&mut constraints, get.table_name.as_deref()).to_owned();
        constraints.required("key", get.key.as_ref()).finish()?;
        let mut expressions = Expressions::new(get.expression_attribute_names, None)?;
        projections.push(expressions.projection(get.projection_expression.as_deref())?);
        expressions.finish()?;
        keys.push((table, value::decode_item(get.key.unwrap_or_default())?));
    }
    let tables: Vec<String> = keys.iter().map(|(table, _)| table.clone()).collect();
    let got = dynamodb.tables.transact_get(keys).await.map_err(|failed| match failed {
        TableError::Cancelled { reasons } => cancelled(reasons, &[]),
        other => error::of_table(other),
    })?;
    for (table, item) in tables.iter().zip(&got.items) {
        dynamodb.read(table, usize::from(item.is_some()));
    }
    let shown = got.items.iter().zip(&projections).map(|(item, projection)| match (item, projection) {
        (None, _) => json!({}),
        (Some(item), None) => json!({ "Item": value::encode_item(item) }),
        (Some(item), Some(projection)) => json!({ "Item": value::encode_item(&projection.apply(item)) }),
    });
    let mut answer = json!({ "Responses": shown.collect::<Vec<_>>() });
    let wanted = input.return_consumed_capacity.as_deref();
    capacity::tell_all(&mut answer, wanted, &got.units, Some(Transacted::Read));
    Ok(answer)
}
