//! `Scan`

use std::collections::BTreeMap;

use millstream_table::Scan;
use serde::Deserialize;
use serde_json::Value;

use super::expressions::Expressions;
use super::older::{CONDITIONAL_OPERATORS, WireConditions};
use super::query::{encode_page, of_page};
use super::selection::{SELECT, Shown, check_select, find_index};
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, older, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    index_name: Option<String>,
    attributes_to_get: Option<Vec<String>>,
    scan_filter: Option<WireConditions>,
    conditional_operator: Option<String>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<WireItem>,
    exclusive_start_key: Option<WireItem>,
    limit: Option<i64>,
    segment: Option<i64>,
    total_segments: Option<i64>,
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
    older::check_conditions(&mut constraints, "scanFilter", input.scan_filter.as_ref());
    constraints
        .one_of("conditionalOperator", input.conditional_operator.as_deref(), &CONDITIONAL_OPERATORS)
        .range("limit", input.limit, 1, i64::from(i32::MAX))
        .range("segment", input.segment, 0, 999_999)
        .range("totalSegments", input.total_segments, 1, 1_000_000)
        .one_of("select", input.select.as_deref(), &SELECT)
        .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
        .finish()?;
    older::refuse_mixing(
        &[
            ("AttributesToGet", input.attributes_to_get.is_some()),
            ("ScanFilter", input.scan_filter.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
        ],
        &[
            ("ProjectionExpression", input.projection_expression.is_some()),
            ("FilterExpression", input.filter_expression.is_some()),
        ],
    )?;
    let older_filter = older::filter(input.scan_filter, input.conditional_operator.as_deref())?;
    let older_projection = older::projection(input.attributes_to_get)?;
    let segment = segment(input.segment, input.total_segments)?;
    let start = input.exclusive_start_key.map(value::decode_item).transpose()?;
    let mut expressions = Expressions::new(input.expression_attribute_names, input.expression_attribute_values)?;
    let filter = expressions.condition("FilterExpression", input.filter_expression.as_deref())?;
    let projection = expressions.projection(input.projection_expression.as_deref())?;
    expressions.finish()?;
    let shown = Shown::of(projection, older_projection);
    let filter = filter.or(older_filter);
    let table = dynamodb.tables.table(name).map_err(error::of_table)?;
    let consistent = input.consistent_read == Some(true);
    let index = find_index(&table, input.index_name.as_deref(), consistent)?;
    let whole = check_select(input.select.as_deref(), shown.as_ref(), (&table, index))?;

    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok());
    let index = input.index_name;
    let projection = shown.map(|shown| shown.projection);
    let scan = Scan { segment, limit, start, filter, projection, consistent, index, whole };
    let page = dynamodb.tables.scan(name, scan).await.map_err(of_page)?;
    dynamodb.read(name, page.scanned);
    let mut answer = encode_page(&page, input.select.as_deref() == Some("COUNT"));
    capacity::tell(&mut answer, input.return_consumed_capacity.as_deref(), name, page.units);
    Ok(answer)
}

fn segment(segment: Option<i64>, total: Option<i64>) -> Result<Option<(u32, u32)>, ServiceError> {
    match (segment, total) {
        (None, None) => Ok(None),
        // Both are inside their constraints.
        (Some(segment), Some(total)) => Ok(Some((segment as u32, total as u32))),
        (None, Some(_)) => Err(validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        )),
        (Some(_), None) => Err(validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        )),
    }
}
