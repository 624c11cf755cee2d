//! Documents: `/dbs/NAME/colls/NAME/docs` and `…/docs/ID`.

use std::sync::Arc;

use http::{Method, StatusCode};
use millstream_catalog::DocumentContainerDefinition;
use millstream_document::{Document, Documents, container_rid};
use serde_json::{Map, Value};

use super::answer::Answer;
use super::error::CosmosError;
use super::{batch, changes, method_not_allowed, partition_key, patch, queries};
use crate::request::AzureRequest;

pub(super) async fn of_container(
    documents: &Documents,
    request: &AzureRequest,
    database: &str,
    name: &str,
) -> Result<Answer, CosmosError> {
    let container = container(documents, request, database, name)?;
    match request.method {
        Method::GET if changes::is_meant(request) => changes::page(documents, request, &container).await,
        Method::GET => queries::list(documents, request, &container).await,
        Method::POST if is_set(request, "x-ms-cosmos-is-batch-request") => {
            batch::carry_out(documents, request, &container).await
        }
        Method::POST if is_set(request, "x-ms-cosmos-is-query-plan-request") => queries::plan(request),
        Method::POST if queries::is_query(request) => queries::query(documents, request, &container).await,
        Method::POST => write(documents, request, &container).await,
        _ => Err(method_not_allowed(request)),
    }
}

pub(super) async fn one(
    documents: &Documents,
    request: &AzureRequest,
    database: &str,
    name: &str,
    id: &str,
) -> Result<Answer, CosmosError> {
    let container = container(documents, request, database, name)?;
    let partition = partition_key::required(request, &container)?;
    let if_match = request.header("if-match").map(str::to_owned);
    match request.method {
        Method::GET => {
            let document = documents.read(&container, &partition, id).await?;
            if request.header("if-none-match").is_some_and(|known| known == document.etag) {
                return Ok(Answer::empty(StatusCode::NOT_MODIFIED).header("etag", &document.etag));
            }
            Ok(Answer::resource(StatusCode::OK, &document.value))
        }
        Method::PUT => {
            refuse_triggers(request)?;
            let body = object(request)?;
            let document = documents.replace(&container, Some(partition), id, body, if_match).await?;
            Ok(written(request, StatusCode::OK, &document))
        }
        Method::PATCH => {
            refuse_triggers(request)?;
            let patch = patch::read(&queries::body(request)?)?;
            let document = documents.patch(&container, &partition, id, &patch, if_match).await?;
            Ok(written(request, StatusCode::OK, &document))
        }
        Method::DELETE => {
            refuse_triggers(request)?;
            documents.delete(&container, &partition, id, if_match).await?;
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        _ => Err(method_not_allowed(request)),
    }
}

/// Removes all documents of a partition key.
pub(super) async fn delete_partition(
    documents: &Documents,
    request: &AzureRequest,
    database: &str,
    name: &str,
) -> Result<Answer, CosmosError> {
    let container = container(documents, request, database, name)?;
    let partition = partition_key::required(request, &container)?;
    documents.delete_partition(&container, &partition).await?;
    Ok(Answer::empty(StatusCode::OK))
}

async fn write(
    documents: &Documents,
    request: &AzureRequest,
    container: &Arc<DocumentContainerDefinition>,
) -> Result<Answer, CosmosError> {
    refuse_triggers(request)?;
    let partition = partition_key::of_request(request, container)?;
    let body = object(request)?;
    if !is_set(request, "x-ms-documentdb-is-upsert") {
        let document = documents.create(container, partition, body).await?;
        return Ok(written(request, StatusCode::CREATED, &document));
    }
    let if_match = request.header("if-match").map(str::to_owned);
    let upserted = documents.upsert(container, partition, body, if_match).await?;
    let status = if upserted.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(written(request, status, &upserted.document))
}

/// The container, which must be the one that the client knows under that name.
fn container(
    documents: &Documents,
    request: &AzureRequest,
    database: &str,
    name: &str,
) -> Result<Arc<DocumentContainerDefinition>, CosmosError> {
    let container = documents.container(database, name).map_err(CosmosError::of_owner)?;
    let intended = request.header("x-ms-cosmos-intended-collection-rid");
    if intended.is_some_and(|rid| rid != container_rid(&container)) {
        return Err(CosmosError::container_mismatch());
    }
    Ok(container)
}

/// The written document, or only its etag for clients that want no more.
fn written(request: &AzureRequest, status: StatusCode, document: &Document) -> Answer {
    match request.header("prefer") {
        Some("return=minimal") => Answer::empty(status).header("etag", &document.etag),
        _ => Answer::resource(status, &document.value),
    }
}

fn object(request: &AzureRequest) -> Result<Map<String, Value>, CosmosError> {
    match queries::body(request)? {
        Value::Object(object) => Ok(object),
        _ => Err(CosmosError::bad_request("The input content is invalid: expected a JSON object.")),
    }
}

fn refuse_triggers(request: &AzureRequest) -> Result<(), CosmosError> {
    let named = |header| request.header(header).is_some();
    if named("x-ms-documentdb-pre-trigger-include") || named("x-ms-documentdb-post-trigger-include") {
        return Err(CosmosError::unsupported("Triggers"));
    }
    Ok(())
}

/// Whether a header says yes.
pub(super) fn is_set(request: &AzureRequest, header: &str) -> bool {
    request.header(header).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
