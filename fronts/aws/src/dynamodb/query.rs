//! `Query`

use std::collections::BTreeMap;

use millstream_table::{Page, Query, TableError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::expressions::{Expressions, check_filter};
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Values of `Select`, in the order that the service lists them.
pub(super) const SELECT: [&str; 4] = ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    index_name: Option<String>,
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
    let input: Input = input(request, &["KeyConditions", "QueryFilter", "AttributesToGet", "ConditionalOperator"])?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints
        .range("limit", input.limit, 1, i64::from(i32::MAX))
        .one_of("select", input.select.as_deref(), &SELECT)
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
        .finish()?;
    let start = input.exclusive_start_key.map(value::decode_item).transpose()?;
    let mut expressions = Expressions::new(input.expression_attribute_names, input.expression_attribute_values)?;
    let filter = expressions.condition("FilterExpression", input.filter_expression.as_deref())?;
    let projection = expressions.projection(input.projection_expression.as_deref())?;
    check_select(input.select.as_deref(), projection.is_some())?;
    let table = dynamodb.tables.table(name).map_err(error::of_table)?;
    check_index(input.index_name.as_deref())?;
    let condition = expressions.key_condition(input.key_condition_expression.as_deref(), &table)?.ok_or_else(|| {
        validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
    })?;
    expressions.finish()?;
    check_filter(filter.as_ref(), &table)?;

    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok());
    let reverse = input.scan_index_forward == Some(false);
    let consistent = input.consistent_read == Some(true);
    let query = Query { condition, reverse, limit, start, filter, projection, consistent };
    let page = dynamodb.tables.query(name, query).await.map_err(of_page)?;
    dynamodb.read(name, page.scanned);
    let mut answer = encode_page(&page, input.select.as_deref() == Some("COUNT"));
    capacity::tell(&mut answer, input.return_consumed_capacity.as_deref(), name, page.units);
    Ok(answer)
}

/// Refuses a `Select` that contradicts the projection.
pub(super) fn check_select(select: Option<&str>, projected: bool) -> Result<(), ServiceError> {
    match (select, projected) {
        (Some("ALL_PROJECTED_ATTRIBUTES"), _) => Err(validation(
            "One or more parameter values were invalid: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        )),
        (Some("SPECIFIC_ATTRIBUTES"), false) => Err(validation(
            "One or more parameter values were invalid: Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        )),
        (Some(select @ ("COUNT" | "ALL_ATTRIBUTES")), true) => {
            Err(validation(format!("Cannot specify the ProjectionExpression when choosing to get {select}")))
        }
        _ => Ok(()),
    }
}

/// No table has an index.
pub(super) fn check_index(index: Option<&str>) -> Result<(), ServiceError> {
    match index {
        Some(index) => Err(validation(format!("The table does not have the specified index: {index}"))),
        None => Ok(()),
    }
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
