//! DynamoDB Streams over the stream engine: the changes that tables tell. Source: the DynamoDB Streams API reference
//! (2012-08-10).
//!
//! The order of checks: operation, JSON and types, constraints of members, then the state of tables and their streams. Read
//! next: `name.rs` (how streams, shards and records are named), `record.rs` (a change as clients and functions see it).

mod describe_stream;
mod get_records;
mod get_shard_iterator;
mod iterator;
mod list_streams;
pub mod name;
pub mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{ShardDefinition, TableChanges, TableDefinition};
use millstream_stream::{StreamError, Streams};
use millstream_table::{Change, Tables};
use millstream_types::Clock;

use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::Place;
use crate::seal::Seal;

/// The service.
pub struct DynamoDbStreams {
    tables: Tables,
    streams: Streams,
    clock: Arc<dyn Clock>,
    place: Place,
    seal: Seal,
}

impl DynamoDbStreams {
    /// The service over both engines; `seal` keeps its iterators from being made up.
    #[must_use]
    pub fn new(tables: Tables, streams: Streams, clock: Arc<dyn Clock>, place: Place, seal: Seal) -> Self {
        Self { tables, streams, clock, place, seal }
    }

    /// Answers a request: every operation that there is.
    ///
    /// # Errors
    /// The service's own.
    pub async fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        let answer = match request.operation.as_str() {
            "GetRecords" => get_records::call(self, request).await,
            "GetShardIterator" => get_shard_iterator::call(self, request).await,
            "DescribeStream" => describe_stream::call(self, request),
            "ListStreams" => list_streams::call(self, request),
            other => Err(ServiceError::unknown_operation("DynamoDB Streams", other)),
        };
        answer.map(|document| Bytes::from(document.to_string()))
    }

    /// The ARN of the stream that an iterator was made for; `None` for other texts and for old ones.
    pub(crate) fn stream_of(&self, iterator: &str) -> Option<String> {
        let iterator = iterator::ShardIterator::decode(iterator, &self.seal, self.clock.now()).ok()?;
        Some(iterator.stream_arn)
    }

    /// The stream that an ARN names.
    fn find(&self, arn: &str) -> Result<Found, ServiceError> {
        let not_found = || not_found(&format!("Stream: {arn}"));
        let (table, label) = name::parse_stream_arn(arn).ok_or_else(not_found)?;
        let table = self.tables.table(table).map_err(|_| not_found())?;
        let changes = table.changes.clone().filter(|changes| name::label(changes.created) == label);
        let changes = changes.ok_or_else(not_found)?;
        let stream = self.streams.get(&Change::stream(&table.name)).map_err(|error| of_stream(&error))?;
        Ok(Found { table, changes, shards: stream.shards.clone() })
    }
}

/// A stream of changes with what it belongs to.
struct Found {
    table: Arc<TableDefinition>,
    changes: TableChanges,
    shards: Vec<ShardDefinition>,
}

impl Found {
    fn shard_id(&self, shard: &ShardDefinition) -> String {
        name::shard_id(self.changes.created, shard.log())
    }

    fn shard(&self, id: &str) -> Result<&ShardDefinition, ServiceError> {
        let found = self.shards.iter().find(|shard| self.shard_id(shard) == id);
        found.ok_or_else(|| not_found(&format!("Shard: {id}")))
    }
}

/// An ARN of a stream as a member gives it.
fn required_arn<'a>(constraints: &mut Constraints, arn: Option<&'a str>) -> &'a str {
    constraints.required("streamArn", arn.as_ref()).length("streamArn", arn, 37, 1_024);
    arn.unwrap_or_default()
}

fn not_found(what: &str) -> ServiceError {
    ServiceError::new("ResourceNotFoundException", format!("Requested resource not found: {what} not found"))
}

fn of_stream(error: &StreamError) -> ServiceError {
    match error {
        StreamError::StreamNotFound { stream } => not_found(&format!("Stream: {stream}")),
        other => ServiceError::internal("InternalServerError", other.to_string()),
    }
}
