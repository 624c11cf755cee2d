//! `Query`

use std::collections::BTreeMap;

use millstream_table::{Page, Query, TableError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::expressions::Expressions;
use super::older::{CONDITIONAL_OPERATORS, WireConditions};
use super::selection::{SELECT, Shown, check_filter, check_select, find_index};
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, older, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    index_name: Option<String>,
    key_conditions: Option<WireConditions>,
    query_filter: Option<WireConditions>,
    attributes_to_get: Option<Vec<String>>,
    conditional_operator: Option<String>,
    key_condition_expression: Option<String>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<WireItem>,
    exclusive_start_key: Option<WireItem>,
    scan_index_forward: Option<bool>,
    limit: Option<i64>,
    select: Option<String>,
    /// Reads are always consistent; it only decides the capacity units.
    consistent_read: Option<bool>,
    return_consumed_capacity: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    older::check_attributes_to_get(&mut constraints, "attributesToGet", input.attributes_to_get.as_ref());
    older::check_conditions(&mut constraints, "keyConditions", input.key_conditions.as_ref());
    older::check_conditions(&mut constraints, "queryFilter", input.query_filter.as_ref());
    constraints
        .one_of("conditionalOperator", input.conditional_operator.as_deref(), &CONDITIONAL_OPERATORS)
        .range("limit", input.limit, 1, i64::from(i32::MAX))
        .one_of("select", input.select.as_deref(), &SELECT)
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
        .finish()?;
    refuse_mixing(&input)?;
    let filters_older = input.query_filter.is_some();
    let older_filter = older::filter(input.query_filter, input.conditional_operator.as_deref())?;
    let older_projection = older::projection(input.attributes_to_get)?;
    let start = input.exclusive_start_key.map(value::decode_item).transpose()?;
    let mut expressions = Expressions::new(input.expression_attribute_names, input.expression_attribute_values)?;
    let filter = expressions.condition("FilterExpression", input.filter_expression.as_deref())?;
    let projection = expressions.projection(input.projection_expression.as_deref())?;
    let shown = Shown::of(projection, older_projection);
    let filter = filter.or(older_filter);
    let table = dynamodb.tables.table(name).map_err(error::of_table)?;
    let consistent = input.consistent_read == Some(true);
    let index = find_index(&table, input.index_name.as_deref(), consistent)?;
    let whole = check_select(input.select.as_deref(), shown.as_ref(), (&table, index))?;
    let key = match index {
        Some(index) => (&index.hash_key, index.sort_key.as_ref()),
        None => (&table.hash_key, table.sort_key.as_ref()),
    };
    let condition = match input.key_conditions {
        Some(conditions) => Some(older::key_condition(conditions, key)?),
        None => expressions.key_condition(input.key_condition_expression.as_deref(), key)?,
    };
    let condition = condition.ok_or_else(|| {
        validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
    })?;
    expressions.finish()?;
    let parameter = if filters_older { "QueryFilter" } else { "FilterExpression" };
    check_filter((parameter, filter.as_ref()), &table, index)?;

    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok());
    let reverse = input.scan_index_forward == Some(false);
    let index = input.index_name;
    let projection = shown.map(|shown| shown.projection);
    let query = Query { condition, reverse, limit, start, filter, projection, consistent, index, whole };
    let page = dynamodb.tables.query(name, query).await.map_err(of_page)?;
    dynamodb.read(name, page.scanned);
    let mut answer = encode_page(&page, input.select.as_deref() == Some("COUNT"));
    capacity::tell(&mut answer, input.return_consumed_capacity.as_deref(), name, page.units);
    Ok(answer)
}

/// Older key conditions may stand beside the other expressions.
fn refuse_mixing(input: &Input) -> Result<(), ServiceError> {
    let two_keys = input.key_conditions.is_some() && input.key_condition_expression.is_some();
    older::refuse_mixing(
        &[
            ("AttributesToGet", input.attributes_to_get.is_some()),
            ("QueryFilter", input.query_filter.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
            ("KeyConditions", two_keys),
        ],
        &[
            ("ProjectionExpression", input.projection_expression.is_some()),
            ("FilterExpression", input.filter_expression.is_some()),
            ("KeyConditionExpression", input.key_condition_expression.is_some()),
        ],
    )
}

/// Errors of queries and scans: a key that does not fit can only be the start key.
pub(super) fn of_page(failed: TableError) -> ServiceError {
    match failed {
        TableError::KeyMismatch => {
            validation("The provided starting key is invalid: The provided key element does not match the schema")
        }
        other => error::of_table(other),
    }
}

pub(super) fn encode_page(page: &Page, count_only: bool) -> Value {
    let mut answer = json!({ "Count": page.items.len(), "ScannedCount": page.scanned });
    if !count_only {
        answer["Items"] = page.items.iter().map(value::encode_item).map(Value::Object).collect();
    }
    if let Some(last) = &page.last_key {
        answer["LastEvaluatedKey"] = json!(value::encode_item(last));
    }
    answer
}
