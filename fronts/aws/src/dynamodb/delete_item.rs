//! `DeleteItem`

use std::collections::BTreeMap;

use millstream_table::Deletion;
use serde::Deserialize;
use serde_json::{Value, json};

use super::expressions::Expressions;
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    key: Option<WireItem>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<WireItem>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request, &["Expected", "ConditionalOperator"])?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints
        .required("key", input.key.as_ref())
        .one_of("returnValues", input.return_values.as_deref(), &super::update_item::RETURN_VALUES)
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
        .finish()?;
    let return_old = match input.return_values.as_deref() {
        None | Some("NONE") => false,
        Some("ALL_OLD") => true,
        Some(_) => return Err(validation("Return values set to invalid value")),
    };
    let key = value::decode_item(input.key.unwrap_or_default())?;
    let mut expressions = Expressions::new(input.expression_attribute_names, input.expression_attribute_values)?;
    let condition = expressions.condition("ConditionExpression", input.condition_expression.as_deref())?;
    expressions.finish()?;

    let table = dynamodb.tables.table(name).map_err(error::of_table)?;
    let show_item = input.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD");
    let deletion = Deletion { key: key.clone(), condition, return_old };
    let written =
        dynamodb.tables.delete_item(name, deletion).await.map_err(|failed| error::of_write(failed, show_item))?;
    dynamodb.written(&table, [&key], request);

    let mut answer = json!({});
    if return_old && let Some(old) = &written.old {
        answer["Attributes"] = json!(value::encode_item(old));
    }
    let units = capacity::write_units(written.old.as_ref().map_or(0, millstream_table::item::size));
    capacity::tell(&mut answer, input.return_consumed_capacity.as_deref(), name, units);
    Ok(answer)
}
