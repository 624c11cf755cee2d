//! `UpdateTimeToLive` and `DescribeTimeToLive`

use serde::Deserialize;
use serde_json::{Value, json};

use super::{DynamoDb, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    time_to_live_specification: Option<Specification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Specification {
    enabled: Option<bool>,
    attribute_name: Option<String>,
}

pub(super) async fn update(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints.required("timeToLiveSpecification", input.time_to_live_specification.as_ref());
    if let Some(given) = &input.time_to_live_specification {
        constraints
            .required("timeToLiveSpecification.enabled", given.enabled.as_ref())
            .required("timeToLiveSpecification.attributeName", given.attribute_name.as_ref())
            .length("timeToLiveSpecification.attributeName", given.attribute_name.as_deref(), 1, 255);
    }
    constraints.finish()?;
    let given = input.time_to_live_specification;
    let (enabled, attribute) = given
        .and_then(|given| Some((given.enabled?, given.attribute_name?)))
        .ok_or_else(|| validation("TimeToLiveSpecification is required"))?;
    let table = dynamodb.tables.table(name).map_err(error::of_named_table)?;
    match (&table.expiry, enabled) {
        (Some(_), true) => return Err(validation("TimeToLive is already enabled")),
        (None, false) => return Err(validation("TimeToLive is already disabled")),
        (Some(now), false) if *now != attribute => {
            return Err(validation(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is {now}"
            )));
        }
        _ => {}
    }
    let expiry = enabled.then(|| attribute.clone());
    dynamodb.tables.set_expiry(name, expiry).await.map_err(error::of_named_table)?;
    Ok(json!({ "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": attribute } }))
}

pub(super) fn describe(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints.finish()?;
    let table = dynamodb.tables.table(name).map_err(error::of_named_table)?;
    let description = match &table.expiry {
        Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
        None => json!({ "TimeToLiveStatus": "DISABLED" }),
    };
    Ok(json!({ "TimeToLiveDescription": description }))
}
