//! `UpdateItem`

use std::collections::BTreeMap;

use millstream_table::expression::UpdateExpression;
use millstream_table::{Item, TableError, Update, Updated};
use serde::Deserialize;
use serde_json::{Value, json};

use super::expressions::Expressions;
use super::older::{CONDITIONAL_OPERATORS, WireExpectations, WireUpdates};
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, older, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Values of `ReturnValues`, in the order that the service lists them.
pub(super) const RETURN_VALUES: [&str; 5] = ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    key: Option<WireItem>,
    attribute_updates: Option<WireUpdates>,
    expected: Option<WireExpectations>,
    conditional_operator: Option<String>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<WireItem>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    older::check_updates(&mut constraints, input.attribute_updates.as_ref());
    older::check_expected(&mut constraints, input.expected.as_ref());
    constraints
        .required("key", input.key.as_ref())
        .one_of("conditionalOperator", input.conditional_operator.as_deref(), &CONDITIONAL_OPERATORS)
        .one_of("returnValues", input.return_values.as_deref(), &RETURN_VALUES)
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
        .finish()?;
    older::refuse_mixing(
        &[
            ("AttributeUpdates", input.attribute_updates.is_some()),
            ("Expected", input.expected.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
        ],
        &[
            ("UpdateExpression", input.update_expression.is_some()),
            ("ConditionExpression", input.condition_expression.is_some()),
        ],
    )?;
    let is_older = input.attribute_updates.is_some();
    let attribute_updates = older::update(input.attribute_updates)?;
    let expected = older::expected(input.expected, input.conditional_operator.as_deref())?;
    let key = value::decode_item(input.key.unwrap_or_default())?;
    let mut expressions = Expressions::new(input.expression_attribute_names, input.expression_attribute_values)?;
    let update = expressions.update(input.update_expression.as_deref())?.or(attribute_updates);
    let condition = expressions.condition("ConditionExpression", input.condition_expression.as_deref())?.or(expected);
    expressions.finish()?;

    let table = dynamodb.tables.table(name).map_err(error::of_table)?;
    let show_item = input.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD");
    let change = Update { key: key.clone(), update: update.clone(), condition };
    let updated = dynamodb.tables.update(name, change).await.map_err(|failed| match failed {
        TableError::ItemTooLarge { .. } => validation("Item size to update has exceeded the maximum allowed size"),
        TableError::OperandType if is_older => validation("Type mismatch for attribute to update"),
        other => error::of_write(other, show_item),
    })?;
    if updated.new.is_some() {
        dynamodb.written(&table, [&key], request);
    }

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
        Some("ALL_NEW") => updated.new,
        Some("UPDATED_OLD") => updated.old.as_ref().and_then(touched),
        Some("UPDATED_NEW") => updated.new.as_ref().and_then(touched),
        _ => None,
    };
    shown.filter(|item| !item.is_empty())
}
