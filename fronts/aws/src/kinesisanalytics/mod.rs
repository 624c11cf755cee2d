//! Kinesis Data Analytics for SQL over the query engine, in both of its APIs: they name the same applications.
//!
//! What is of one API is in `v1` and `v2`; what applications and their parts are is shared. Sources: the Kinesis Analytics API
//! references (2015-08-14 and 2018-05-23).

mod change_application;
mod codec;
mod create_application;
mod describe_application;
mod discover_input_schema;
mod input;
mod lifecycle;
mod logging;
mod output;
mod reference;
mod role;
mod schema;
mod source;
mod tags;
mod v1;
mod v2;

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{QueryDefinition, QueryDialect};
use millstream_query::{Queries, QueryError};
use millstream_stream::Streams;
use serde_json::{Map, Value};

use crate::authorize::{Authorizer, Service, ServiceRoles};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::Place;

pub use codec::LambdaCodec;

/// The service.
pub struct KinesisAnalytics {
    queries: Queries,
    streams: Streams,
    roles: ServiceRoles,
    place: Place,
}

impl KinesisAnalytics {
    /// The service over the query engine.
    #[must_use]
    pub fn new(queries: Queries, streams: Streams, authorizer: &Authorizer) -> Self {
        let roles = ServiceRoles::new(authorizer.clone(), Service::KinesisAnalytics);
        Self { queries, streams, roles, place: authorizer.place.clone() }
    }

    /// Answers a request to the API of 2015.
    pub(crate) async fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        Ok(Bytes::from(v1::call(self, request).await?.to_string()))
    }

    /// Answers a request to the API of 2018.
    pub(crate) async fn call_v2(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        Ok(Bytes::from(v2::call(self, request).await?.to_string()))
    }

    /// A page of applications behind a name, and whether there are more.
    fn page(
        &self,
        limit: Option<i64>,
        after: Option<String>,
    ) -> Result<(Vec<Arc<QueryDefinition>>, bool), ServiceError> {
        Constraints::new().range("limit", limit, 1, 50).finish()?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50);
        let after = after.unwrap_or_default();
        let mut queries = self.queries.list();
        queries.retain(|query| query.dialect == QueryDialect::Kinesis && query.name > after);
        let more = queries.len() > limit;
        queries.truncate(limit);
        Ok((queries, more))
    }

    /// An application's definition. Queries of other dialects are other services' resources.
    fn application(&self, name: &str) -> Result<Arc<QueryDefinition>, ServiceError> {
        let found = self.queries.get(name).map_err(|error| self.error(&error))?;
        match found.dialect {
            QueryDialect::Kinesis => Ok(found),
            _ => Err(self.error(&QueryError::NotFound { name: name.to_owned() })),
        }
    }

    fn arn(&self, name: &str) -> String {
        self.place.arn("kinesisanalytics", &format!("application/{name}"))
    }

    fn status(&self, name: &str) -> &'static str {
        use millstream_query::QueryState;
        match self.queries.status(name).state {
            QueryState::Stopped => "READY",
            QueryState::Starting => "STARTING",
            QueryState::Running | QueryState::Retrying => "RUNNING",
        }
    }

    /// From the engine's facts to the service's errors.
    fn error(&self, error: &QueryError) -> ServiceError {
        match error {
            QueryError::NotFound { .. } => ServiceError::new("ResourceNotFoundException", "No such application"),
            QueryError::Exists { name } => {
                ServiceError::new("ResourceInUseException", format!("Application {name} already exists"))
            }
            QueryError::State { name, state } => {
                ServiceError::new("ResourceInUseException", format!("Application {name} is {state}"))
            }
            QueryError::Changed { .. } => ServiceError::new("ConcurrentModificationException", error.to_string()),
            QueryError::TooManyTags { .. } => ServiceError::new("TooManyTagsException", error.to_string()),
            QueryError::Plan(_) => ServiceError::new("CodeValidationException", error.to_string()),
            QueryError::InputGone { .. } => {
                ServiceError::new("InvalidApplicationConfigurationException", error.to_string())
            }
            QueryError::NoInput { .. }
            | QueryError::Input { .. }
            | QueryError::Processing { .. }
            | QueryError::Stream(_) => ServiceError::new("InvalidArgumentException", error.to_string()),
            _ => ServiceError::internal("ServiceUnavailableException", error.to_string()),
        }
    }
}

/// What an application's name must be.
fn name_constraints(name: Option<&str>) -> Constraints {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    let mut constraints = Constraints::new();
    constraints.required("applicationName", name.as_ref()).length("applicationName", name, 1, 128).characters(
        "applicationName",
        name,
        allowed,
        "[a-zA-Z0-9_.-]+",
    );
    constraints
}

fn check_name(name: Option<&str>) -> Result<(), ServiceError> {
    name_constraints(name).finish()
}

/// Members of a request that must be there.
fn require(constraints: &mut Constraints, request: &JsonRequest, members: &[&str]) -> Result<(), ServiceError> {
    let given: Map<String, Value> = request.input()?;
    for member in members {
        let shown = member[..1].to_ascii_lowercase() + &member[1..];
        constraints.required(&shown, given.get(*member).filter(|value| !value.is_null()));
    }
    Ok(())
}

/// The id of a part of an application (an input, an output, …) by its place among those of its kind.
fn part_id(place: usize) -> String {
    format!("{}.1", place + 1)
}

/// The place that an id names among so many parts.
fn place_of(id: Option<&str>, count: usize) -> Option<usize> {
    (0..count).find(|place| id == Some(part_id(*place).as_str()))
}

/// The part that an id names.
fn part_of<'p, T>(id: Option<&str>, parts: &'p mut [T]) -> Option<&'p mut T> {
    parts.get_mut(place_of(id, parts.len())?)
}

fn missing_part(what: &str, id: Option<&str>) -> ServiceError {
    let message = format!("The application has no {what} {}", id.unwrap_or_default());
    ServiceError::new("ResourceNotFoundException", message)
}

fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidArgumentException", message)
}
