//! `BatchGetItem`

use std::collections::BTreeMap;

use millstream_table::expression::Projection;
use millstream_table::{BATCH_GET_MAX, BatchGet};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::expressions::Expressions;
use super::value::{self, WireItem};
use super::{DynamoDb, capacity, error, input, older, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    request_items: Option<Map<String, Value>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeysAndAttributes {
    keys: Vec<WireItem>,
    attributes_to_get: Option<Vec<String>>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    consistent_read: Option<bool>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    constraints.required("requestItems", input.request_items.as_ref()).one_of(
        "returnConsumedCapacity",
        input.return_consumed_capacity.as_deref(),
        &capacity::WANTED,
    );
    if input.request_items.as_ref().is_some_and(Map::is_empty) {
        constraints.broken("requestItems", Some("{}"), "Member must have length greater than or equal to 1");
    }
    constraints.finish()?;

    let mut keys = Vec::new();
    let mut asked: BTreeMap<String, (Value, Option<Projection>)> = BTreeMap::new();
    for (table, members) in input.request_items.unwrap_or_default() {
        let wanted: KeysAndAttributes =
            serde_json::from_value(members.clone()).map_err(|error| ServiceError::serialization(&error.to_string()))?;
        let mut constraints = Constraints::new();
        let name = table_name(&mut constraints, Some(&table)).to_owned();
        check_count(&mut constraints, &name, wanted.keys.len());
        let member = format!("requestItems.{name}.member.attributesToGet");
        older::check_attributes_to_get(&mut constraints, &member, wanted.attributes_to_get.as_ref());
        constraints.finish()?;
        older::refuse_mixing(
            &[("AttributesToGet", wanted.attributes_to_get.is_some())],
            &[("ProjectionExpression", wanted.projection_expression.is_some())],
        )?;
        let mut expressions = Expressions::new(wanted.expression_attribute_names, None)?;
        let projection = expressions.projection(wanted.projection_expression.as_deref())?;
        let projection = projection.or(older::projection(wanted.attributes_to_get)?);
        expressions.finish()?;
        for key in wanted.keys {
            let consistent = wanted.consistent_read == Some(true);
            keys.push(BatchGet { table: name.clone(), key: value::decode_item(key)?, consistent });
        }
        asked.insert(name, (members, projection));
    }
    if keys.len() > BATCH_GET_MAX {
        return Err(validation("Too many items requested for the BatchGetItem call"));
    }

    let got = dynamodb.tables.batch_get(&keys).await.map_err(error::of_table)?;
    let mut responses: BTreeMap<&str, Vec<Value>> = asked.keys().map(|name| (name.as_str(), Vec::new())).collect();
    for (BatchGet { table, .. }, item) in keys.iter().zip(&got.items) {
        let Some(item) = item else { continue };
        let projection = asked.get(table).and_then(|(_, projection)| projection.as_ref());
        let shown = projection.map_or_else(|| value::encode_item(item), |part| value::encode_item(&part.apply(item)));
        responses.entry(table).or_default().push(Value::Object(shown));
    }
    for (name, items) in &responses {
        dynamodb.read(name, items.len());
    }
    let mut unprocessed: BTreeMap<&str, Value> = BTreeMap::new();
    for BatchGet { table, key, .. } in got.unprocessed.iter().map(|&at| &keys[at]) {
        let Some((members, _)) = asked.get(table) else { continue };
        let rest = unprocessed.entry(table).or_insert_with(|| {
            let mut rest = members.clone();
            rest["Keys"] = json!([]);
            rest
        });
        if let Some(list) = rest["Keys"].as_array_mut() {
            list.push(Value::Object(value::encode_item(key)));
        }
    }
    let mut answer = json!({ "Responses": responses, "UnprocessedKeys": unprocessed });
    capacity::tell_all(&mut answer, input.return_consumed_capacity.as_deref(), &got.units, None);
    Ok(answer)
}

fn check_count(constraints: &mut Constraints, table: &str, found: usize) {
    let member = format!("requestItems.{table}.member.keys");
    let shown = format!("[{found} keys]");
    if found == 0 {
        constraints.broken(&member, Some("[]"), "Member must have length greater than or equal to 1");
    } else if found > BATCH_GET_MAX {
        constraints.broken(&member, Some(&shown), "Member must have length less than or equal to 100");
    }
}
