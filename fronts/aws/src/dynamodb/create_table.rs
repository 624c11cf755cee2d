//! `CreateTable`

use std::collections::BTreeMap;

use millstream_catalog::{KeyAttribute, KeyType, TABLE_ITEM_BYTES_MAX, TableOwner};
use millstream_table::NewTable;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DynamoDb, error, input, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    attribute_definitions: Option<Vec<AttributeDefinition>>,
    key_schema: Option<Vec<KeySchemaElement>>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<ProvisionedThroughput>,
    stream_specification: Option<StreamSpecification>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeySchemaElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProvisionedThroughput {
    read_capacity_units: i64,
    write_capacity_units: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamSpecification {
    stream_enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request, &[])?;
    let members: Value = request.input()?;
    for index in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        if members.get(index).is_some_and(|indexes| !indexes.is_null()) {
            return Err(validation(format!("{index} are not supported by this node")));
        }
    }
    if input.stream_specification.as_ref().is_some_and(|stream| stream.stream_enabled) {
        return Err(validation("StreamSpecification is not supported by this node"));
    }
    let name = check(&input)?;
    let provisioned = provisioned(&input)?;
    let definitions = input.attribute_definitions.unwrap_or_default();
    let schema = input.key_schema.unwrap_or_default();
    let (hash_key, sort_key) = keys(&schema, &definitions)?;
    let tags = input.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect::<BTreeMap<_, _>>();
    let (owner, item_bytes_max) = (TableOwner::User, TABLE_ITEM_BYTES_MAX);
    let new = NewTable { name, hash_key, sort_key, provisioned, tags, owner, item_bytes_max };
    let table = dynamodb.tables.create(new).await.map_err(error::of_table)?;
    Ok(json!({ "TableDescription": dynamodb.description(&table, "ACTIVE") }))
}

/// The members' constraints; gives the table's name.
fn check(input: &Input) -> Result<String, ServiceError> {
    let mut constraints = Constraints::new();
    let name = table_name(&mut constraints, input.table_name.as_deref()).to_owned();
    constraints
        .required("attributeDefinitions", input.attribute_definitions.as_ref())
        .required("keySchema", input.key_schema.as_ref())
        .one_of("billingMode", input.billing_mode.as_deref(), &["PROVISIONED", "PAY_PER_REQUEST"]);
    for (at, definition) in (1..).zip(input.attribute_definitions.iter().flatten()) {
        let member = format!("attributeDefinitions.{at}.member");
        constraints.length(&format!("{member}.attributeName"), Some(&definition.attribute_name), 1, 255).one_of(
            &format!("{member}.attributeType"),
            Some(&definition.attribute_type),
            &["B", "N", "S"],
        );
    }
    for (at, element) in (1..).zip(input.key_schema.iter().flatten()) {
        let member = format!("keySchema.{at}.member.keyType");
        constraints.one_of(&member, Some(&element.key_type), &["HASH", "RANGE"]);
    }
    if let Some(throughput) = &input.provisioned_throughput {
        constraints
            .range("provisionedThroughput.readCapacityUnits", Some(throughput.read_capacity_units), 1, i64::MAX)
            .range("provisionedThroughput.writeCapacityUnits", Some(throughput.write_capacity_units), 1, i64::MAX);
    }
    constraints.finish()?;
    Ok(name)
}

fn provisioned(input: &Input) -> Result<Option<(u64, u64)>, ServiceError> {
    let on_demand = input.billing_mode.as_deref() == Some("PAY_PER_REQUEST");
    match (&input.provisioned_throughput, on_demand) {
        (Some(_), true) => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (None, false) => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        (None, true) => Ok(None),
        (Some(given), false) => {
            Ok(Some((given.read_capacity_units.unsigned_abs(), given.write_capacity_units.unsigned_abs())))
        }
    }
}

/// The hash key and the sort key that a schema names.
fn keys(
    schema: &[KeySchemaElement],
    definitions: &[AttributeDefinition],
) -> Result<(KeyAttribute, Option<KeyAttribute>), ServiceError> {
    let (hash, sort) = match schema {
        [hash] => (hash, None),
        [hash, sort] => (hash, Some(sort)),
        _ => return Err(invalid("expected one or two elements in the key schema")),
    };
    if hash.key_type != "HASH" {
        return Err(invalid("The first KeySchemaElement is not a HASH key type"));
    }
    if sort.is_some_and(|sort| sort.key_type != "RANGE") {
        return Err(invalid("The second KeySchemaElement is not a RANGE key type"));
    }
    if sort.is_some_and(|sort| sort.attribute_name == hash.attribute_name) {
        return Err(invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name"));
    }
    let listed = |names: Vec<&str>| format!("[{}]", names.join(", "));
    let names = || schema.iter().map(|element| element.attribute_name.as_str()).collect::<Vec<_>>();
    let defined = || definitions.iter().map(|definition| definition.attribute_name.as_str()).collect::<Vec<_>>();
    let find = |element: &KeySchemaElement| -> Result<KeyAttribute, ServiceError> {
        let found = definitions.iter().find(|definition| definition.attribute_name == element.attribute_name);
        let definition = found.ok_or_else(|| {
            invalid(&format!(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, AttributeDefinitions: {}",
                listed(names()),
                listed(defined())
            ))
        })?;
        let key_type = match definition.attribute_type.as_str() {
            "N" => KeyType::Number,
            "B" => KeyType::Binary,
            _ => KeyType::String,
        };
        Ok(KeyAttribute { name: element.attribute_name.clone(), key_type })
    };
    let keys = (find(hash)?, sort.map(find).transpose()?);
    if definitions.len() != schema.len() {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    Ok(keys)
}

fn invalid(detail: &str) -> ServiceError {
    validation(format!("One or more parameter values were invalid: {detail}"))
}
