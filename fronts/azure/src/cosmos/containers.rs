//! Containers: `/dbs/NAME/colls`, `/dbs/NAME/colls/NAME`, and the one range of partition keys that each has.

use http::{Method, StatusCode};
use millstream_catalog::DocumentContainerDefinition;
use millstream_document::{ContainerSettings, Documents, NewContainer, check_throughput, container_rid, database_rid};
use serde_json::{Value, json};

use super::answer::Answer;
use super::error::CosmosError;
use super::{databases, method_not_allowed, offers, queries};
use crate::request::AzureRequest;

/// Settings of a container that would change what the node does, and what people call them. They are refused unless they
/// ask for nothing.
const UNSUPPORTED: [(&str, &str); 7] = [
    ("computedProperties", "Computed properties"),
    ("changeFeedPolicy", "Change feeds of all versions and deletes"),
    ("analyticalStorageTtl", "Analytical stores"),
    ("vectorEmbeddingPolicy", "Vector embeddings"),
    ("fullTextPolicy", "Full text policies"),
    ("clientEncryptionPolicy", "Encryption policies"),
    ("materializedViewDefinition", "Materialized views"),
];

pub(super) async fn of_database(
    documents: &Documents,
    request: &AzureRequest,
    database: &str,
) -> Result<Answer, CosmosError> {
    let owner = documents.database(database)?;
    let rid = database_rid(owner.number);
    let all = || -> Result<Vec<Value>, CosmosError> {
        Ok(documents.containers(database)?.iter().map(|container| description(container)).collect())
    };
    match request.method {
        Method::GET => Ok(Answer::feed(&rid, "DocumentCollections", all()?)),
        Method::POST if queries::is_query(request) => {
            Ok(Answer::feed(&rid, "DocumentCollections", queries::over(request, &all()?)?))
        }
        Method::POST => {
            let body = queries::body(request)?;
            check_settings(&body)?;
            let throughput = offers::of_request(request)?;
            throughput.map(check_throughput).transpose()?;
            let name = databases::name(&body)?;
            let new = NewContainer {
                database: database.to_owned(),
                name: name.to_owned(),
                partition_key_paths: partition_key_paths(&body)?,
                unique_keys: unique_keys(&body)?,
                settings: settings(&body)?,
            };
            let mut container = documents.create_container(new).await?;
            if let Some(throughput) = throughput {
                documents.set_throughput(database, Some(name), throughput, None).await?;
                container = documents.container(database, name)?;
            }
            Ok(Answer::resource(StatusCode::CREATED, &description(&container)))
        }
        _ => Err(method_not_allowed(request)),
    }
}

pub(super) async fn one(
    documents: &Documents,
    request: &AzureRequest,
    database: &str,
    name: &str,
) -> Result<Answer, CosmosError> {
    let container = documents.container(database, name)?;
    match request.method {
        Method::GET => Ok(Answer::resource(StatusCode::OK, &description(&container))),
        Method::PUT => {
            let body = queries::body(request)?;
            check_settings(&body)?;
            if databases::name(&body)? != name || partition_key_paths(&body)? != container.partition_key_paths {
                return Err(CosmosError::bad_request("The id and the partition key of a container cannot be changed."));
            }
            if body.get("uniqueKeyPolicy").is_some() && unique_keys(&body)? != container.unique_keys {
                return Err(CosmosError::bad_request("The unique keys of a container cannot be changed."));
            }
            let if_match = request.header("if-match");
            let changed = documents.set_settings(database, name, settings(&body)?, if_match).await?;
            Ok(Answer::resource(StatusCode::OK, &description(&changed)))
        }
        Method::DELETE => {
            documents.delete_container(database, name, request.header("if-match")).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        _ => Err(method_not_allowed(request)),
    }
}

/// One range holds all partition keys, and it never splits.
pub(super) fn partition_key_ranges(
    documents: &Documents,
    request: &AzureRequest,
    database: &str,
    name: &str,
) -> Result<Answer, CosmosError> {
    let container = documents.container(database, name)?;
    // Clients read this as a feed of changes: what they have seen once never changes.
    if request.header("if-none-match").is_some_and(|known| known == container.etag) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED).header("etag", &container.etag));
    }
    let rid = container_rid(&container);
    let range = json!({
        "_rid": rid,
        "id": "0",
        "_etag": container.etag,
        "minInclusive": "",
        "maxExclusive": "FF",
        "ridPrefix": 0,
        "_self": format!("{}pkranges/0/", link(&container)),
        "throughputFraction": 1,
        "status": "online",
        "parents": [],
        "_ts": container.created.div_euclid(1000),
    });
    Ok(Answer::feed(&rid, "PartitionKeyRanges", vec![range]).header("etag", &container.etag))
}

fn check_settings(body: &Value) -> Result<(), CosmosError> {
    let asks = |value: &Value| match value {
        Value::Null => false,
        Value::Object(members) => {
            members.values().any(|member| !matches!(member, Value::Array(list) if list.is_empty()))
        }
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let asked = |(name, _): &&(&str, &str)| body.get(*name).is_some_and(asks);
    match UNSUPPORTED.iter().find(asked) {
        Some((_, feature)) => Err(CosmosError::unsupported(feature)),
        None => Ok(()),
    }
}

fn partition_key_paths(body: &Value) -> Result<Vec<String>, CosmosError> {
    let paths = body["partitionKey"]["paths"].as_array();
    let paths = paths.and_then(|paths| paths.iter().map(|path| path.as_str().map(str::to_owned)).collect());
    paths.ok_or_else(|| {
        CosmosError::bad_request("The partition key of a container must be given as `partitionKey.paths`.")
    })
}

fn unique_keys(body: &Value) -> Result<Vec<Vec<String>>, CosmosError> {
    let keys = match &body["uniqueKeyPolicy"]["uniqueKeys"] {
        Value::Null => return Ok(Vec::new()),
        keys => keys,
    };
    let path = |path: &Value| path.as_str().map(str::to_owned);
    let paths = |key: &Value| key["paths"].as_array().and_then(|paths| paths.iter().map(path).collect());
    let found = keys.as_array().and_then(|keys| keys.iter().map(paths).collect());
    found.ok_or_else(|| {
        CosmosError::bad_request("Unique keys must be given as `uniqueKeys` with a list of `paths` each.")
    })
}

fn settings(body: &Value) -> Result<ContainerSettings, CosmosError> {
    let default_ttl = match &body["defaultTtl"] {
        Value::Null => None,
        value => Some(value.as_i64().ok_or_else(|| {
            CosmosError::bad_request(format!("The input defaultTtl '{value}' is invalid: expected a whole number."))
        })?),
    };
    let indexing_policy = body.get("indexingPolicy").filter(|policy| policy.is_object()).map(Value::to_string);
    Ok(ContainerSettings { indexing_policy, default_ttl })
}

pub(super) fn link(container: &DocumentContainerDefinition) -> String {
    format!("dbs/{}/colls/{}/", database_rid(container.database_number), container_rid(container))
}

fn description(container: &DocumentContainerDefinition) -> Value {
    let kept = container.indexing_policy.as_deref().and_then(|policy| serde_json::from_str(policy).ok());
    let policy: Value = kept.unwrap_or_else(|| {
        json!({
            "indexingMode": "consistent",
            "automatic": true,
            "includedPaths": [{ "path": "/*" }],
            "excludedPaths": [{ "path": "/\"_etag\"/?" }],
        })
    });
    let kind = if container.partition_key_paths.len() == 1 { "Hash" } else { "MultiHash" };
    let mut description = json!({
        "id": container.name(),
        "indexingPolicy": policy,
        "partitionKey": { "paths": container.partition_key_paths, "kind": kind, "version": 2 },
        "conflictResolutionPolicy": {
            "mode": "LastWriterWins",
            "conflictResolutionPath": "/_ts",
            "conflictResolutionProcedure": "",
        },
        "geospatialConfig": { "type": "Geography" },
        "_rid": container_rid(container),
        "_ts": container.created.div_euclid(1000),
        "_self": link(container),
        "_etag": container.etag,
        "_docs": "docs/",
        "_sprocs": "sprocs/",
        "_triggers": "triggers/",
        "_udfs": "udfs/",
        "_conflicts": "conflicts/",
    });
    if !container.unique_keys.is_empty() {
        let keys: Vec<Value> = container.unique_keys.iter().map(|paths| json!({ "paths": paths })).collect();
        description["uniqueKeyPolicy"] = json!({ "uniqueKeys": keys });
    }
    if let Some(seconds) = container.default_ttl {
        description["defaultTtl"] = seconds.into();
    }
    description
}
