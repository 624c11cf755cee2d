//! Queries and lists: the body of a query, its page, and the plan that clients ask for.

use std::sync::Arc;

use http::{StatusCode, header};
use millstream_catalog::DocumentContainerDefinition;
use millstream_document::{DocumentError, Documents, Feed, HashRange, PageRequest, PartitionKey, Query, container_rid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::documents::is_set;
use super::error::CosmosError;
use super::partition_key;
use crate::request::AzureRequest;

#[derive(Deserialize)]
struct QueryBody {
    query: String,
    #[serde(default)]
    parameters: Option<Vec<Parameter>>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(default)]
    value: Value,
}

/// Whether a POST is a query and not a new resource.
pub(super) fn is_query(request: &AzureRequest) -> bool {
    let content_type = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    is_set(request, "x-ms-documentdb-isquery") || content_type.starts_with("application/query+json")
}

/// A page of a query's rows.
pub(super) async fn query(
    documents: &Documents,
    request: &AzureRequest,
    container: &Arc<DocumentContainerDefinition>,
) -> Result<Answer, CosmosError> {
    let (text, parameters) = read(request)?;
    let partition = partition_key::of_request(request, container)?;
    let one_range = request.header("x-ms-documentdb-partitionkeyrangeid") == Some("0");
    if partition.is_none() && !one_range && !is_set(request, "x-ms-documentdb-query-enablecrosspartition") {
        let query = Query::parse(&text, &parameters).map_err(DocumentError::from)?;
        if PartitionKey::of_query(&query, &container.partition_key_paths).is_none() {
            return Err(CosmosError::bad_request(
                "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception.",
            ));
        }
    }
    let feed = documents.query(container, &text, &parameters, page(request, partition)?).await?;
    Ok(answer(container, feed))
}

/// A page of a container's documents.
pub(super) async fn list(
    documents: &Documents,
    request: &AzureRequest,
    container: &Arc<DocumentContainerDefinition>,
) -> Result<Answer, CosmosError> {
    let partition = partition_key::of_request(request, container)?;
    let feed = documents.list(container, page(request, partition)?).await?;
    Ok(answer(container, feed))
}

/// The plan of a query: there is one range of partition keys, so it is sent there as it is, and nothing is merged.
pub(super) fn plan(request: &AzureRequest) -> Result<Answer, CosmosError> {
    let (text, parameters) = read(request)?;
    Query::parse(&text, &parameters).map_err(DocumentError::from)?;
    Ok(Answer::of(
        StatusCode::OK,
        &json!({
            "partitionedQueryExecutionInfoVersion": 2,
            "queryInfo": {
                "distinctType": "None",
                "top": null,
                "offset": null,
                "limit": null,
                "orderBy": [],
                "orderByExpressions": [],
                "groupByExpressions": [],
                "groupByAliases": [],
                "aggregates": [],
                "groupByAliasToAggregateType": {},
                "rewrittenQuery": "",
                "hasSelectValue": false,
                "hasNonStreamingOrderBy": false,
            },
            "queryRanges": [{ "min": "", "max": "FF", "isMinInclusive": true, "isMaxInclusive": false }],
        }),
    ))
}

/// A query's rows over descriptions of databases or containers.
pub(super) fn over(request: &AzureRequest, resources: &[Value]) -> Result<Vec<Value>, CosmosError> {
    let (text, parameters) = read(request)?;
    let rows = Query::parse(&text, &parameters).and_then(|query| query.over(resources));
    Ok(rows.map_err(DocumentError::from)?)
}

/// A body as JSON.
pub(super) fn body(request: &AzureRequest) -> Result<Value, CosmosError> {
    serde_json::from_slice(&request.body)
        .map_err(|error| CosmosError::bad_request(format!("The input content is no JSON: {error}.")))
}

fn read(request: &AzureRequest) -> Result<(String, Vec<(String, Value)>), CosmosError> {
    let body: QueryBody = serde_json::from_slice(&request.body)
        .map_err(|error| CosmosError::bad_request(format!("The body is no query: {error}.")))?;
    let parameters = body.parameters.unwrap_or_default();
    Ok((body.query, parameters.into_iter().map(|parameter| (parameter.name, parameter.value)).collect()))
}

fn page(request: &AzureRequest, partition: Option<PartitionKey>) -> Result<PageRequest, CosmosError> {
    let continuation = request.header("x-ms-continuation").map(str::to_owned);
    Ok(PageRequest { partition, range: range(request), rows_max: rows_max(request)?, continuation })
}

/// How many rows a page may have, if the client says it.
pub(super) fn rows_max(request: &AzureRequest) -> Result<Option<usize>, CosmosError> {
    match request.header("x-ms-max-item-count") {
        // -1: as many as the service likes.
        None | Some("-1") => Ok(None),
        Some(text) => text.parse().ok().filter(|count| *count > 0).map(Some).ok_or_else(|| {
            CosmosError::bad_request(format!("The page size `{text}` is neither -1 nor a number of rows."))
        }),
    }
}

/// The part of the hashes of partition keys that a client asks for: a feed range, or a prefix of a hierarchical key.
pub(super) fn range(request: &AzureRequest) -> Option<HashRange> {
    let bound = |header, whole| request.header(header).filter(|value| !value.is_empty()).unwrap_or(whole);
    HashRange::new(bound("x-ms-start-epk", ""), bound("x-ms-end-epk", "FF"))
}

fn answer(container: &DocumentContainerDefinition, feed: Feed) -> Answer {
    let answer = Answer::feed(&container_rid(container), "Documents", feed.rows);
    match feed.continuation {
        Some(continuation) => answer.header("x-ms-continuation", &continuation),
        None => answer,
    }
}
