//! DynamoDB over the table engine. Source: the DynamoDB API reference (2012-08-10).
//!
//! The order of checks: operation, JSON and types, constraints of members, attribute values, expressions, then the state
//! of tables and items. Read next: `value.rs` (attribute values), `expressions.rs`, `older/`
//! (the parameters from before expressions), `error.rs` (the service's words).

mod batch_get_item;
mod batch_write_item;
mod capacity;
mod create_table;
mod delete_item;
mod delete_table;
mod describe_limits;
mod describe_table;
mod error;
mod expressions;
mod get_item;
mod index_updates;
mod indexes;
mod list_tables;
mod older;
mod put_item;
mod query;
mod scan;
mod selection;
mod single_write;
mod tags;
#[cfg(test)]
mod tests;
mod time_to_live;
mod transact_get_items;
mod transact_write_items;
mod update_item;
mod update_table;
pub(crate) mod value;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use millstream_catalog::TableDefinition;
use millstream_insight::{Insight, Step};
use millstream_table::{Item, Tables, key};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use describe_table::key_schema;

use crate::front::json_answer;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::{Place, resource};

/// The service.
pub struct DynamoDb {
    tables: Tables,
    insight: Insight,
    place: Place,
}

impl DynamoDb {
    /// The service over the table engine.
    #[must_use]
    pub fn new(tables: Tables, insight: Insight, place: Place) -> Self {
        Self { tables, insight, place }
    }

    /// Answers a request: every operation that there is.
    ///
    /// # Errors
    /// The service's own.
    pub async fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        let answer = match request.operation.as_str() {
            "PutItem" => put_item::call(self, request).await,
            "GetItem" => get_item::call(self, request).await,
            "DeleteItem" => delete_item::call(self, request).await,
            "UpdateItem" => update_item::call(self, request).await,
            "Query" => query::call(self, request).await,
            "Scan" => scan::call(self, request).await,
            "BatchWriteItem" => batch_write_item::call(self, request).await,
            "BatchGetItem" => batch_get_item::call(self, request).await,
            "CreateTable" => create_table::call(self, request).await,
            "DescribeTable" => describe_table::call(self, request).await,
            "DeleteTable" => delete_table::call(self, request).await,
            "ListTables" => list_tables::call(self, request),
            "UpdateTable" => update_table::call(self, request).await,
            "TransactWriteItems" => transact_write_items::call(self, request).await,
            "TransactGetItems" => transact_get_items::call(self, request).await,
            "UpdateTimeToLive" => time_to_live::update(self, request).await,
            "DescribeTimeToLive" => time_to_live::describe(self, request),
            "TagResource" => tags::add(self, request).await,
            "UntagResource" => tags::remove(self, request).await,
            "ListTagsOfResource" => tags::list(self, request),
            "DescribeLimits" => Ok(describe_limits::limits()),
            "DescribeEndpoints" => Ok(describe_limits::endpoints(self)),
            other => Err(ServiceError::unknown_operation("DynamoDB", other)),
        };
        answer.map(|document| Bytes::from(document.to_string()))
    }

    /// Counts items and, for written ones, marks them in the trail.
    fn written<'i>(&self, table: &TableDefinition, keys: impl IntoIterator<Item = &'i Item>, request: &JsonRequest) {
        let mut count = 0;
        for item in keys {
            count += 1;
            self.insight.trail.mark(Step::ItemWritten {
                table: table.name.clone(),
                key: key::text(table, item),
                invocation: request.invocation(),
            });
        }
        self.insight.metrics.counter("items_written", &format!("table/{}", table.name)).add(count);
    }

    fn read(&self, table: &str, count: usize) {
        self.insight.metrics.counter("items_read", &format!("table/{table}")).add(count as u64);
    }
}

/// The HTTP answer: the checksum lets clients find bodies that were damaged on their way.
#[must_use]
pub fn answer(outcome: Result<Bytes, ServiceError>) -> Response<Bytes> {
    let (status, body) = match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST), error_body(error)),
    };
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &body);
    let mut response = json_answer(status, "application/x-amz-json-1.0", body);
    response.headers_mut().insert("x-amz-crc32", HeaderValue::from(checksum));
    response
}

/// Names errors with the namespace that the service puts before them.
fn error_body(mut error: ServiceError) -> Bytes {
    let namespace = match error.code.as_str() {
        "ValidationException" => "com.amazon.coral.validate",
        "SerializationException" | "UnknownOperationException" => "com.amazon.coral.service",
        _ => "com.amazonaws.dynamodb.v20120810",
    };
    error.code = format!("{namespace}#{}", error.code);
    error.body()
}

/// A request's input.
fn input<T: DeserializeOwned>(request: &JsonRequest) -> Result<T, ServiceError> {
    let members: Map<String, Value> = request.input()?;
    if members.get("ReturnItemCollectionMetrics").and_then(Value::as_str) == Some("SIZE") {
        return Err(validation("ReturnItemCollectionMetrics SIZE is not supported by this node"));
    }
    serde_json::from_value(Value::Object(members)).map_err(|error| ServiceError::serialization(&error.to_string()))
}

/// A table's name, given as such or as an ARN.
fn table_name<'a>(constraints: &mut Constraints, name: Option<&'a str>) -> &'a str {
    let name = name.map(|name| resource(name, "dynamodb", "table/").unwrap_or(name));
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    constraints.required("tableName", name.as_ref());
    constraints.length("tableName", name, 3, 255).characters("tableName", name, allowed, "[a-zA-Z0-9_.-]+");
    name.unwrap_or_default()
}

fn validation(message: impl Into<String>) -> ServiceError {
    ServiceError::new("ValidationException", message)
}
