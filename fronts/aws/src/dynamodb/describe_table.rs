//! `DescribeTable`, and a table's description as all table operations answer it.

use std::collections::BTreeMap;

use millstream_catalog::{IndexState, KeyAttribute, TableDefinition};
use millstream_table::{TableSize, index, key};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DynamoDb, error, input, table_name};
use crate::dynamodbstreams::name;
use crate::dynamodbstreams::record::view_type;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref());
    constraints.finish()?;
    let table = dynamodb.tables.table(name).map_err(error::of_named_table)?;
    let size = dynamodb.tables.size(&table).await.map_err(error::of_named_table)?;
    Ok(json!({ "Table": dynamodb.description(&table, status(&table), &size) }))
}

impl DynamoDb {
    /// A table's description, with what it held when it was last counted.
    pub(super) fn description(&self, table: &TableDefinition, status: &str, size: &TableSize) -> Value {
        let definition = |attribute: &KeyAttribute| {
            json!({
                "AttributeName": attribute.name,
                "AttributeType": key::attribute_type(attribute.key_type).letters(),
            })
        };
        let of_indexes = table.indexes.iter().flat_map(index::attributes);
        let defined: BTreeMap<&str, &KeyAttribute> =
            key::attributes(table).chain(of_indexes).map(|attribute| (attribute.name.as_str(), attribute)).collect();
        let (reads, writes) = table.provisioned.unwrap_or_default();
        let mut description = json!({
            "TableName": table.name,
            "TableStatus": status,
            "TableArn": self.place.arn("dynamodb", &format!("table/{}", table.name)),
            "TableId": table.uuid,
            "CreationDateTime": table.created as f64 / 1000.0,
            "AttributeDefinitions": defined.values().map(|attribute| definition(attribute)).collect::<Vec<_>>(),
            "KeySchema": key_schema(table),
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": reads,
                "WriteCapacityUnits": writes,
            },
            "ItemCount": size.table.items,
            "TableSizeBytes": size.table.bytes,
            "DeletionProtectionEnabled": false,
        });
        if table.provisioned.is_none() {
            description["BillingModeSummary"] = json!({ "BillingMode": "PAY_PER_REQUEST" });
        }
        if let Some(changes) = &table.changes {
            description["LatestStreamLabel"] = json!(name::label(changes.created));
            description["LatestStreamArn"] = json!(name::stream_arn(&self.place, &table.name, changes.created));
        }
        self.describe_indexes(table, size, &mut description);
        if let Some(view) = table.change_view() {
            description["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": view_type(view) });
        }
        description
    }
}

/// The status of a table that is there.
pub(super) fn status(table: &TableDefinition) -> &'static str {
    let settled = table.indexes.iter().all(|index| index.state == IndexState::Active);
    if settled { "ACTIVE" } else { "UPDATING" }
}

/// A table's keys as descriptions show them.
pub(crate) fn key_schema(table: &TableDefinition) -> Vec<Value> {
    let element =
        |(attribute, role): (&KeyAttribute, &str)| json!({ "AttributeName": attribute.name, "KeyType": role });
    key::attributes(table).zip(["HASH", "RANGE"]).map(element).collect()
}
