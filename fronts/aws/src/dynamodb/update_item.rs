//! `UpdateItem`

use std::collections::BTreeMap;

use millstream_table::expression::UpdateExpression;
use millstream_table::{Item, TableError, Update, Updated};
use serde::Deserialize;
use serde_json::{Value, json};

use super::expressions::Expressions;
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Values of `ReturnValues`, in the order that the service lists them.
pub(super) const RETURN_VALUES: [&str; 5] = ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    key: Option<WireItem>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<WireItem>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request, &["AttributeUpdates", "Expected", "ConditionalOperator"])?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints
        .required("key", input.key.as_ref())
        .one_of("returnValues", input.return_values.as_deref(), &RETURN_VALUES)
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
        .finish()?;
    let key = value::decode_item(input.key.unwrap_or_default())?;
    let mut expressions = Expressions::new(input.expression_attribute_names, input.expression_attribute_values)?;
    let update = expressions.update(input.update_expression.as_deref())?;
    let condition = expressions.condition("ConditionExpression", input.condition_expression.as_deref())?;
    expressions.finish()?;

    let table = dynamodb.tables.table(name).map_err(error::of_table)?;
    let show_item = input.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD");
    let change = Update { key: key.clone(), update: update.clone(), condition };
    let updated = dynamodb.tables.update(name, change).await.map_err(|failed| match failed {
        TableError::ItemTooLarge { .. } => validation("Item size to update has exceeded the maximum allowed size"),
        other => error::of_write(other, show_item),
    })?;
    dynamodb.written(&table, [&key], request);

    let mut answer = json!({});
    let units = updated.units;
    if let Some(shown) = shown(input.return_values.as_deref(), update.as_ref(), updated) {
        answer["Attributes"] = json!(value::encode_item(&shown));
    }
    capacity::tell(&mut answer, input.return_consumed_capacity.as_deref(), name, units);
    Ok(answer)
}

/// What `ReturnValues` asks for; nothing when that is empty.
fn shown(wanted: Option<&str>, update: Option<&UpdateExpression>, updated: Updated) -> Option<Item> {
    let touched = |item: &Item| update.map(|update| update.touched(item));
    let shown = match wanted {
        Some("ALL_OLD") => updated.old,
        Some("ALL_NEW") => Some(updated.new),
        Some("UPDATED_OLD") => updated.old.as_ref().and_then(touched),
        Some("UPDATED_NEW") => touched(&updated.new),
        _ => None,
    };
    shown.filter(|item| !item.is_empty())
}
