//! The header `x-ms-documentdb-partitionkey`: a JSON list with a value for each path, `{}` for one that is not there.

use millstream_catalog::DocumentContainerDefinition;
use millstream_document::PartitionKey;
use serde_json::Value;

use super::error::CosmosError;
use crate::request::AzureRequest;

/// The key that a request names, if it names one.
pub(super) fn of_request(
    request: &AzureRequest,
    container: &DocumentContainerDefinition,
) -> Result<Option<PartitionKey>, CosmosError> {
    request.header("x-ms-documentdb-partitionkey").map(|text| read(text, container)).transpose()
}

/// The key that a text of the header's form names.
pub(super) fn read(text: &str, container: &DocumentContainerDefinition) -> Result<PartitionKey, CosmosError> {
    let values: Vec<Value> = serde_json::from_str(text)
        .map_err(|_| CosmosError::bad_request(format!("Partition key {text} is invalid: expected a JSON list.")))?;
    // An empty list is how clients name documents without a partition key in containers of old.
    if values.is_empty() {
        let nothing = container.partition_key_paths.iter().map(|_| None).collect();
        return Ok(PartitionKey::new(nothing)?);
    }
    if values.len() < container.partition_key_paths.len() {
        return Err(CosmosError::unsupported("Prefixes of hierarchical partition keys"));
    }
    let value = |value: Value| match value {
        Value::Object(members) if members.is_empty() => None,
        other => Some(other),
    };
    Ok(PartitionKey::new(values.into_iter().map(value).collect())?)
}

/// The key that a request must name.
pub(super) fn required(
    request: &AzureRequest,
    container: &DocumentContainerDefinition,
) -> Result<PartitionKey, CosmosError> {
    of_request(request, container)?
        .ok_or_else(|| CosmosError::bad_request("PartitionKey value must be supplied for this operation."))
}
