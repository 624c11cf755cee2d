//! `CreateTable`

use std::collections::{BTreeMap, BTreeSet};

use millstream_catalog::{ChangeView, KeyAttribute, KeyType, TABLE_ITEM_BYTES_MAX, TableIndex, TableOwner};
use millstream_table::{NewTable, TableSize};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::indexes::{self, NewIndex};
use super::{DynamoDb, error, input, table_name, validation};
use crate::dynamodbstreams::record::parse_view_type;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Members of what this node's tables do not have.
const UNSUPPORTED: [&str; 5] = [
    "OnDemandThroughput",
    "WarmThroughput",
    "ResourcePolicy",
    "GlobalTableSourceArn",
    "GlobalTableSettingsReplicationMode",
];

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
    global_secondary_indexes: Option<Vec<NewIndex>>,
    local_secondary_indexes: Option<Vec<NewIndex>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeySchemaElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProvisionedThroughput {
    read_capacity_units: i64,
    write_capacity_units: i64,
}

impl ProvisionedThroughput {
    /// (reads, writes) per second.
    pub(super) fn units(&self) -> (u64, u64) {
        (self.read_capacity_units.unsigned_abs(), self.write_capacity_units.unsigned_abs())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamSpecification {
    stream_enabled: bool,
    stream_view_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

pub(super) async fn call(dynamodb: &DynamoDb, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = input(request)?;
    let members: Map<String, Value> = request.input()?;
    refuse_members(&members, &UNSUPPORTED)?;
    let name = check(&input)?;
    let provisioned = provisioned(&input)?;
    let changes = input.stream_specification.as_ref().map(change_view).transpose()?.flatten();
    let definitions = input.attribute_definitions.unwrap_or_default();
    let schema = input.key_schema.unwrap_or_default();
    let (hash_key, sort_key) = keys(&schema, &definitions)?;
    let global = input.global_secondary_indexes.unwrap_or_default();
    let local = input.local_secondary_indexes.unwrap_or_default();
    let key = (&hash_key, sort_key.as_ref());
    let indexes = indexes::read((&global, &local), &definitions, key, provisioned.is_none())?;
    check_all_used(&definitions, key, &indexes)?;
    let tags = input.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect::<BTreeMap<_, _>>();
    let (owner, item_bytes_max) = (TableOwner::User, TABLE_ITEM_BYTES_MAX);
    let new = NewTable { name, hash_key, sort_key, provisioned, changes, indexes, tags, owner, item_bytes_max };
    let table = dynamodb.tables.create(new).await.map_err(error::of_table)?;
    Ok(json!({ "TableDescription": dynamodb.description(&table, "ACTIVE", &TableSize::default()) }))
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
    check_throughput(&mut constraints, input.provisioned_throughput.as_ref());
    constraints.finish()?;
    Ok(name)
}

pub(super) fn check_throughput(constraints: &mut Constraints, given: Option<&ProvisionedThroughput>) {
    if let Some(given) = given {
        constraints
            .range("provisionedThroughput.readCapacityUnits", Some(given.read_capacity_units), 1, i64::MAX)
            .range("provisionedThroughput.writeCapacityUnits", Some(given.write_capacity_units), 1, i64::MAX);
    }
}

/// Refuses members of what this node's tables do not have. Those that ask for what is so anyway are let through.
pub(super) fn refuse_members(members: &Map<String, Value>, unsupported: &[&str]) -> Result<(), ServiceError> {
    let asked = |member: &&&str| members.get(**member).is_some_and(|value| !value.is_null());
    if let Some(member) = unsupported.iter().find(asked) {
        return Err(validation(format!("{member} is not supported by this node")));
    }
    if members.get("DeletionProtectionEnabled").and_then(Value::as_bool) == Some(true) {
        return Err(validation("DeletionProtectionEnabled is not supported by this node"));
    }
    // Encryption with a key of the owner's; without one the service encrypts with its own, unseen.
    let encryption = members.get("SSESpecification").filter(|value| !value.is_null());
    if encryption.is_some_and(|sse| !is_off(sse)) {
        return Err(validation("SSESpecification is not supported by this node unless it is {\"Enabled\": false}"));
    }
    match members.get("TableClass").and_then(Value::as_str) {
        None | Some("STANDARD") => Ok(()),
        Some(class) => Err(validation(format!("TableClass {class} is not supported by this node"))),
    }
}

fn is_off(sse: &Value) -> bool {
    let other =
        ["SSEType", "KMSMasterKeyId"].iter().any(|member| sse.get(member).is_some_and(|value| !value.is_null()));
    !other && sse.get("Enabled").and_then(Value::as_bool).is_none_or(|enabled| !enabled) && sse.is_object()
}

/// What change records are to show; `None`: no changes are to be told.
pub(super) fn change_view(stream: &StreamSpecification) -> Result<Option<ChangeView>, ServiceError> {
    let mut constraints = Constraints::new();
    let views = ["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"];
    constraints.one_of("streamSpecification.streamViewType", stream.stream_view_type.as_deref(), &views);
    constraints.finish()?;
    match (stream.stream_enabled, stream.stream_view_type.as_deref().and_then(parse_view_type)) {
        (true, Some(view)) => Ok(Some(view)),
        (true, None) => Err(invalid("StreamViewType is required when StreamEnabled is true")),
        (false, Some(_)) => Err(invalid("StreamViewType cannot be specified when StreamEnabled is false")),
        (false, None) => Ok(None),
    }
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
        (Some(given), false) => Ok(Some(given.units())),
    }
}

/// The hash key and the sort key that a schema names.
pub(super) fn keys(
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
    Ok((find(hash)?, sort.map(find).transpose()?))
}

/// Refuses definitions of attributes that no key has.
fn check_all_used(
    definitions: &[AttributeDefinition],
    (hash_key, sort_key): (&KeyAttribute, Option<&KeyAttribute>),
    indexes: &[TableIndex],
) -> Result<(), ServiceError> {
    let of_indexes = indexes.iter().flat_map(millstream_table::index::attributes);
    let used: BTreeSet<&str> =
        std::iter::once(hash_key).chain(sort_key).chain(of_indexes).map(|key| key.name.as_str()).collect();
    if definitions.iter().all(|definition| used.contains(definition.attribute_name.as_str())) {
        return Ok(());
    }
    if indexes.is_empty() {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    let listed = |names: Vec<&str>| format!("[{}]", names.join(", "));
    Err(invalid(&format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
        listed(definitions.iter().map(|definition| definition.attribute_name.as_str()).collect()),
        listed(used.into_iter().collect())
    )))
}

fn invalid(detail: &str) -> ServiceError {
    validation(format!("One or more parameter values were invalid: {detail}"))
}
