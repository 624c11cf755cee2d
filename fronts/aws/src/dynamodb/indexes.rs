//! Secondary indexes as `CreateTable` and `UpdateTable` take them and descriptions show them.

use std::collections::BTreeSet;

use millstream_catalog::{IndexProjection, IndexState, KeyAttribute, TableDefinition, TableIndex};
use millstream_table::{TableSize, index, key};
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_table::{AttributeDefinition, KeySchemaElement, ProvisionedThroughput, keys};
use super::{DynamoDb, validation};
use crate::json_protocol::{Constraints, ServiceError};

/// Indexes of a table: the service's own limits.
const GLOBAL_MAX: usize = 20;
const LOCAL_MAX: usize = 5;

/// An index to be.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NewIndex {
    index_name: Option<String>,
    key_schema: Option<Vec<KeySchemaElement>>,
    projection: Option<Projection>,
    provisioned_throughput: Option<ProvisionedThroughput>,
    on_demand_throughput: Option<Value>,
    warm_throughput: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projection {
    projection_type: Option<String>,
    non_key_attributes: Option<Vec<String>>,
}

/// Reads the indexes of a table with that hash key; `on_demand`: nothing is provisioned.
pub(super) fn read(
    (global, local): (&[NewIndex], &[NewIndex]),
    definitions: &[AttributeDefinition],
    (hash_key, sort_key): (&KeyAttribute, Option<&KeyAttribute>),
    on_demand: bool,
) -> Result<Vec<TableIndex>, ServiceError> {
    if global.len() > GLOBAL_MAX || local.len() > LOCAL_MAX {
        return Err(invalid(&format!(
            "a table can have {GLOBAL_MAX} GlobalSecondaryIndexes and {LOCAL_MAX} LocalSecondaryIndexes"
        )));
    }
    let mut indexes: Vec<TableIndex> = Vec::with_capacity(global.len() + local.len());
    for (new, local) in global.iter().map(|new| (new, false)).chain(local.iter().map(|new| (new, true))) {
        let number = u32::try_from(indexes.len()).unwrap_or_default();
        let made = one(new, definitions, number, local)?;
        check_throughput(&made, on_demand)?;
        if indexes.iter().any(|index| index.name == made.name) {
            return Err(invalid(&format!("Duplicate index name: {}", made.name)));
        }
        if local {
            check_local(&made, hash_key, sort_key)?;
        }
        indexes.push(made);
    }
    Ok(indexes)
}

/// Reads an index to be added to a table.
pub(super) fn read_added(
    new: &NewIndex,
    definitions: &[AttributeDefinition],
    (table, on_demand): (&TableDefinition, bool),
) -> Result<TableIndex, ServiceError> {
    if table.indexes.iter().filter(|index| !index.local).count() >= GLOBAL_MAX {
        let message = format!("Subscriber limit exceeded: a table can have {GLOBAL_MAX} GlobalSecondaryIndexes");
        return Err(ServiceError::new("LimitExceededException", message));
    }
    let made = one(new, definitions, 0, false)?;
    check_throughput(&made, on_demand)?;
    let known = || key::attributes(table).chain(table.indexes.iter().flat_map(index::attributes));
    let conflicts =
        |part: &&KeyAttribute| known().any(|other| other.name == part.name && other.key_type != part.key_type);
    if let Some(part) = index::attributes(&made).find(conflicts) {
        return Err(invalid(&format!("Attribute {} is a key of another type already", part.name)));
    }
    Ok(made)
}

/// `on_demand`: nothing of the table is provisioned.
fn check_throughput(index: &TableIndex, on_demand: bool) -> Result<(), ServiceError> {
    if index.local || on_demand == index.provisioned.is_none() {
        return Ok(());
    }
    Err(invalid(&format!(
        "ProvisionedThroughput must be specified for an index of a table with it, and for no other: {}",
        index.name
    )))
}

fn one(
    new: &NewIndex,
    definitions: &[AttributeDefinition],
    number: u32,
    local: bool,
) -> Result<TableIndex, ServiceError> {
    let member = if local { "localSecondaryIndexes" } else { "globalSecondaryIndexes" };
    let mut constraints = Constraints::new();
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    let name = new.index_name.as_deref();
    constraints
        .required(&format!("{member}.member.indexName"), name.as_ref())
        .length(&format!("{member}.member.indexName"), name, 3, 255)
        .characters(&format!("{member}.member.indexName"), name, allowed, "[a-zA-Z0-9_.-]+")
        .required(&format!("{member}.member.keySchema"), new.key_schema.as_ref())
        .required(&format!("{member}.member.projection"), new.projection.as_ref());
    constraints.finish()?;
    if new.on_demand_throughput.is_some() || new.warm_throughput.is_some() {
        return Err(validation("OnDemandThroughput and WarmThroughput are not supported by this node"));
    }
    let name = name.unwrap_or_default().to_owned();
    let (hash_key, sort_key) = keys(new.key_schema.as_deref().unwrap_or_default(), definitions)?;
    let projection = projection(new.projection.as_ref(), &name)?;
    let provisioned = new.provisioned_throughput.as_ref().map(ProvisionedThroughput::units);
    let state = IndexState::Active;
    Ok(TableIndex { name, number, hash_key, sort_key, projection, local, provisioned, state })
}

fn projection(given: Option<&Projection>, name: &str) -> Result<IndexProjection, ServiceError> {
    let kind = given.and_then(|given| given.projection_type.as_deref());
    let attributes: BTreeSet<String> =
        given.and_then(|given| given.non_key_attributes.clone()).unwrap_or_default().into_iter().collect();
    match (kind, attributes.is_empty()) {
        (Some("ALL"), true) => Ok(IndexProjection::All),
        (Some("KEYS_ONLY"), true) => Ok(IndexProjection::KeysOnly),
        (Some("INCLUDE"), false) => Ok(IndexProjection::Include { attributes }),
        (Some("INCLUDE"), true) => Err(invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")),
        (Some(kind @ ("ALL" | "KEYS_ONLY")), false) => {
            Err(invalid(&format!("ProjectionType is {kind}, but NonKeyAttributes is specified")))
        }
        (None, _) => Err(invalid(&format!("Unknown ProjectionType: null of index {name}"))),
        (Some(other), _) => Err(invalid(&format!("Unknown ProjectionType: {other} of index {name}"))),
    }
}

fn check_local(
    index: &TableIndex,
    hash_key: &KeyAttribute,
    sort_key: Option<&KeyAttribute>,
) -> Result<(), ServiceError> {
    if sort_key.is_none() {
        return Err(invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ));
    }
    if index.sort_key.is_none() {
        return Err(invalid(&format!("Index KeySchema does not have a range key for index: {}", index.name)));
    }
    if index.hash_key != *hash_key {
        return Err(invalid(&format!(
            "Index KeySchema does not have the same leading hash key as table KeySchema for index: {}",
            index.name
        )));
    }
    Ok(())
}

impl DynamoDb {
    /// Adds a table's indexes to its description.
    pub(super) fn describe_indexes(&self, table: &TableDefinition, size: &TableSize, description: &mut Value) {
        for (member, local) in [("GlobalSecondaryIndexes", false), ("LocalSecondaryIndexes", true)] {
            let indexes = table.indexes.iter().filter(|index| index.local == local);
            let described: Vec<Value> = indexes.map(|index| self.describe_index(table, index, size)).collect();
            if !described.is_empty() {
                description[member] = Value::Array(described);
            }
        }
    }

    fn describe_index(&self, table: &TableDefinition, index: &TableIndex, size: &TableSize) -> Value {
        let size = size.indexes.get(&index.number).copied().unwrap_or_default();
        let element =
            |(attribute, role): (&KeyAttribute, &str)| json!({ "AttributeName": attribute.name, "KeyType": role });
        let mut described = json!({
            "IndexName": index.name,
            "IndexArn": self.place.arn("dynamodb", &format!("table/{}/index/{}", table.name, index.name)),
            "KeySchema": index::attributes(index).zip(["HASH", "RANGE"]).map(element).collect::<Vec<_>>(),
            "Projection": match &index.projection {
                IndexProjection::All => json!({ "ProjectionType": "ALL" }),
                IndexProjection::KeysOnly => json!({ "ProjectionType": "KEYS_ONLY" }),
                IndexProjection::Include { attributes } => {
                    json!({ "ProjectionType": "INCLUDE", "NonKeyAttributes": attributes })
                }
            },
            "IndexSizeBytes": size.bytes,
            "ItemCount": size.items,
        });
        if !index.local {
            let (reads, writes) = index.provisioned.unwrap_or_default();
            described["IndexStatus"] = json!(match index.state {
                IndexState::Active => "ACTIVE",
                IndexState::Filling => "CREATING",
                IndexState::Going => "DELETING",
            });
            if index.state == IndexState::Filling {
                described["Backfilling"] = json!(true);
            }
            described["ProvisionedThroughput"] =
                json!({ "NumberOfDecreasesToday": 0, "ReadCapacityUnits": reads, "WriteCapacityUnits": writes });
        }
        described
    }
}

fn invalid(detail: &str) -> ServiceError {
    validation(format!("One or more parameter values were invalid: {detail}"))
}
