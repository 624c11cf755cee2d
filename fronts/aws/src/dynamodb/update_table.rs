//! `UpdateTable`: capacity, billing mode, global indexes and the stream of changes.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::create_table::{
    AttributeDefinition, ProvisionedThroughput, StreamSpecification, change_view, check_throughput, refuse_members,
};
use super::describe_table::status;
use super::index_updates::{self, IndexChange, IndexUpdate};
use super::{DynamoDb, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Members of what this node's tables do not have.
const UNSUPPORTED: [&str; 5] =
    ["ReplicaUpdates", "OnDemandThroughput", "WarmThroughput", "GlobalTableWitnessUpdates", "MultiRegionConsistency"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    attribute_definitions: Option<Vec<AttributeDefinition>>,
    global_secondary_index_updates: Option<Vec<IndexUpdate>>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<ProvisionedThroughput>,
    stream_specification: Option<StreamSpecification>,
    deletion_protection_enabled: Option<bool>,
    table_class: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let mut input: Input = input(request)?;
    let members: Map<String, Value> = request.input()?;
    refuse_members(&members, &UNSUPPORTED)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints.one_of("billingMode", input.billing_mode.as_deref(), &["PROVISIONED", "PAY_PER_REQUEST"]);
    check_throughput(&mut constraints, input.provisioned_throughput.as_ref());
    constraints.finish()?;
    let mut table = dynamodb.tables.table(name).map_err(error::of_named_table)?;

    let on_demand = match input.billing_mode.as_deref() {
        Some(mode) => mode == "PAY_PER_REQUEST",
        None => table.provisioned.is_none(),
    };
    let updates = input.global_secondary_index_updates.take().unwrap_or_default();
    let definitions = input.attribute_definitions.as_deref().unwrap_or_default();
    let indexes = index_updates::read(updates, definitions, (&table, on_demand))?;
    let throughput = input.billing_mode.is_some() || input.provisioned_throughput.is_some();
    let harmless = input.deletion_protection_enabled == Some(false)
        || input.table_class.as_deref() == Some("STANDARD")
        || members.get("SSESpecification").is_some_and(Value::is_object);
    match (throughput, &input.stream_specification, indexes) {
        (true, Some(_), _) => {
            return Err(invalid("You cannot modify stream status while updating table IOPS"));
        }
        (true, None, Some(IndexChange::Make(_) | IndexChange::Remove(_))) | (false, Some(_), Some(_)) => {
            return Err(invalid("You cannot create or delete an index while modifying anything else of the table"));
        }
        (true, None, indexes) => {
            let provisioned = provisioned(&input, table.provisioned)?;
            table = dynamodb.tables.set_provisioned(name, provisioned).await.map_err(error::of_named_table)?;
            if let Some(change) = indexes {
                table = dynamodb.change_indexes(name, change).await?;
            }
        }
        (false, Some(stream), None) => {
            table = dynamodb.tables.set_changes(name, change_view(stream)?).await.map_err(error::of_named_table)?;
        }
        (false, None, Some(change)) => table = dynamodb.change_indexes(name, change).await?,
        (false, None, None) if harmless => {}
        (false, None, None) => {
            return Err(validation(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or \
                 SSESpecification or ReplicaUpdates is required",
            ));
        }
    }
    let size = dynamodb.tables.size(&table).await.map_err(error::of_named_table)?;
    Ok(json!({ "TableDescription": dynamodb.description(&table, status(&table), &size) }))
}

/// What the table is to have: `now` is what it has.
fn provisioned(input: &Input, now: Option<(u64, u64)>) -> Result<Option<(u64, u64)>, ServiceError> {
    let given = input.provisioned_throughput.as_ref().map(ProvisionedThroughput::units);
    match (input.billing_mode.as_deref(), given, now) {
        (Some("PAY_PER_REQUEST"), Some(_), _) | (None, Some(_), None) => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (Some("PAY_PER_REQUEST"), None, _) => Ok(None),
        (_, Some((reads, writes)), Some(now)) if (reads, writes) == now => Err(validation(format!(
            "The provisioned throughput for the table will not change. The requested value equals the current value. \
             Current ReadCapacityUnits provisioned for the table: {reads}. Requested ReadCapacityUnits: {reads}. Current \
             WriteCapacityUnits provisioned for the table: {writes}. Requested WriteCapacityUnits: {writes}. Refer to the \
             Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        ))),
        (_, Some(given), _) => Ok(Some(given)),
        (_, None, Some(now)) => Ok(Some(now)),
        (_, None, None) => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
    }
}

fn invalid(detail: &str) -> ServiceError {
    validation(format!("One or more parameter values were invalid: {detail}"))
}
