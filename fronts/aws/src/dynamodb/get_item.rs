//! `GetItem`

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::expressions::Expressions;
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, older, table_name};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    key: Option<WireItem>,
    attributes_to_get: Option<Vec<String>>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    /// Reads are always consistent; it only decides the capacity units.
    consistent_read: Option<bool>,
    return_consumed_capacity: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    older::check_attributes_to_get(&mut constraints, "attributesToGet", input.attributes_to_get.as_ref());
    constraints
        .required("key", input.key.as_ref())
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
        .finish()?;
    older::refuse_mixing(
        &[("AttributesToGet", input.attributes_to_get.is_some())],
        &[("ProjectionExpression", input.projection_expression.is_some())],
    )?;
    let key = value::decode_item(input.key.unwrap_or_default())?;
    let mut expressions = Expressions::new(input.expression_attribute_names, None)?;
    let projection = expressions.projection(input.projection_expression.as_deref())?;
    let projection = projection.or(older::projection(input.attributes_to_get)?);
    expressions.finish()?;

    let consistent = input.consistent_read == Some(true);
    let read = dynamodb.tables.read(name, &key, consistent).await.map_err(error::of_table)?;
    dynamodb.read(name, usize::from(read.item.is_some()));
    let mut answer = json!({});
    if let Some(found) = read.item {
        let shown = projection.map_or_else(|| found.clone(), |projection| projection.apply(&found));
        answer["Item"] = json!(value::encode_item(&shown));
    }
    capacity::tell(&mut answer, input.return_consumed_capacity.as_deref(), name, read.units);
    Ok(answer)
}
