//! Batches: a POST of a list of operations, either on one partition key and all or none (transactional), or each for
//! itself (bulk).
//!
//! Source: the requests of the service's SDKs; the answer is 207 when an operation failed, and 424 stands for those that
//! were not done because of it.

use std::sync::Arc;

use http::StatusCode;
use millstream_catalog::DocumentContainerDefinition;
use millstream_document::{BATCH_OPERATIONS_MAX, BatchAction, BatchOperation, BatchResult, DocumentError, Documents};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::documents::is_set;
use super::error::CosmosError;
use super::{partition_key, patch, queries};
use crate::request::AzureRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    operation_type: String,
    id: Option<String>,
    #[serde(default)]
    resource_body: Value,
    if_match: Option<String>,
    if_none_match: Option<String>,
    /// In the form of the header, where operations have one each.
    partition_key: Option<String>,
}

pub(super) async fn carry_out(
    documents: &Documents,
    request: &AzureRequest,
    container: &Arc<DocumentContainerDefinition>,
) -> Result<Answer, CosmosError> {
    let operations: Vec<Operation> = serde_json::from_value(queries::body(request)?)
        .map_err(|error| CosmosError::bad_request(format!("The batch is invalid: {error}.")))?;
    if is_set(request, "x-ms-cosmos-batch-atomic") {
        as_one(documents, request, container, operations).await
    } else {
        one_by_one(documents, request, container, operations).await
    }
}

/// All operations, or none.
async fn as_one(
    documents: &Documents,
    request: &AzureRequest,
    container: &Arc<DocumentContainerDefinition>,
    operations: Vec<Operation>,
) -> Result<Answer, CosmosError> {
    let partition = partition_key::required(request, container)?;
    let count = operations.len();
    let operations = operations.into_iter().map(operation).collect::<Result<Vec<_>, _>>()?;
    match documents.batch(container, partition, operations).await {
        Ok(results) => Ok(Answer::of(StatusCode::OK, &results.iter().map(result).collect())),
        Err(DocumentError::Batch { at, error }) => {
            let error = CosmosError::from(*error);
            let status = |place: usize| if place == at { error.status() } else { StatusCode::FAILED_DEPENDENCY };
            Ok(Answer::of(StatusCode::MULTI_STATUS, &(0..count).map(|place| failure(status(place))).collect()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Each operation for itself, with a partition key of its own.
async fn one_by_one(
    documents: &Documents,
    request: &AzureRequest,
    container: &Arc<DocumentContainerDefinition>,
    operations: Vec<Operation>,
) -> Result<Answer, CosmosError> {
    if operations.len() > BATCH_OPERATIONS_MAX {
        let message = format!("Expected at most {BATCH_OPERATIONS_MAX} operations, found {}.", operations.len());
        return Err(CosmosError::bad_request(message));
    }
    let goes_on = is_set(request, "x-ms-cosmos-batch-continue-on-error");
    let (mut answers, mut failed) = (Vec::with_capacity(operations.len()), false);
    for operation in operations {
        if failed && !goes_on {
            answers.push(failure(StatusCode::FAILED_DEPENDENCY));
            continue;
        }
        answers.push(match alone(documents, container, operation).await {
            Ok(done) => result(&done),
            Err(error) => {
                failed = true;
                failure(error.status())
            }
        });
    }
    let status = if failed { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    Ok(Answer::of(status, &Value::Array(answers)))
}

async fn alone(
    documents: &Documents,
    container: &Arc<DocumentContainerDefinition>,
    given: Operation,
) -> Result<BatchResult, CosmosError> {
    let partition = partition_key::read(given.partition_key.as_deref().unwrap_or("[]"), container)?;
    match documents.batch(container, partition, vec![operation(given)?]).await {
        Ok(results) => results.into_iter().next().ok_or_else(|| CosmosError::bad_request("The batch is empty.")),
        Err(DocumentError::Batch { error, .. }) => Err((*error).into()),
        Err(error) => Err(error.into()),
    }
}

fn failure(status: StatusCode) -> Value {
    json!({ "statusCode": status.as_u16(), "requestCharge": 0 })
}

fn operation(operation: Operation) -> Result<BatchOperation, CosmosError> {
    let Operation { operation_type, id, resource_body, if_match, if_none_match, .. } = operation;
    if if_none_match.is_some() {
        return Err(CosmosError::unsupported("Operations of a batch with `ifNoneMatch`"));
    }
    let id = || id.ok_or_else(|| CosmosError::bad_request(format!("The operation {operation_type} needs an id.")));
    let action = match operation_type.as_str() {
        "Create" => BatchAction::Create(object(resource_body)?),
        "Upsert" => BatchAction::Upsert(object(resource_body)?),
        "Replace" => BatchAction::Replace(id()?, object(resource_body)?),
        "Patch" => BatchAction::Patch(id()?, Box::new(patch::read(&resource_body)?)),
        "Read" => BatchAction::Read(id()?),
        "Delete" => BatchAction::Delete(id()?),
        other => return Err(CosmosError::bad_request(format!("There is no batch operation `{other}`."))),
    };
    Ok(BatchOperation { action, if_match })
}

fn object(body: Value) -> Result<Map<String, Value>, CosmosError> {
    match body {
        Value::Object(object) => Ok(object),
        _ => Err(CosmosError::bad_request("The input content is invalid: expected a JSON object.")),
    }
}

fn result(result: &BatchResult) -> Value {
    let (status, document) = match result {
        BatchResult::Created(document) => (StatusCode::CREATED, Some(document)),
        BatchResult::There(document) => (StatusCode::OK, Some(document)),
        BatchResult::Deleted => (StatusCode::NO_CONTENT, None),
    };
    let mut answer = json!({ "statusCode": status.as_u16(), "requestCharge": 0 });
    if let Some(document) = document {
        answer["eTag"] = document.etag.as_str().into();
        answer["resourceBody"] = document.value.clone();
    }
    answer
}
