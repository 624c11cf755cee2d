//! Kinesis Data Analytics for SQL over the query engine. Source: the Kinesis Analytics API reference (2015-08-14).

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
mod tags;

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{QueryDefinition, QueryDialect};
use millstream_query::{Queries, QueryError};
use millstream_stream::Streams;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authorize::{Authorizer, Service, ServiceRoles};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::Place;

pub use codec::LambdaOutputCodec;

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

    /// Answers a request: every operation that there is.
    pub(crate) async fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        let document = match request.operation.as_str() {
            "CreateApplication" => create_application::call(self, request).await?,
            "DescribeApplication" => describe_application::call(self, request)?,
            "StartApplication" => lifecycle::start(self, request).await?,
            "StopApplication" => lifecycle::stop(self, request).await?,
            "DeleteApplication" => lifecycle::delete(self, request).await?,
            "ListApplications" => self.list(request)?,
            "UpdateApplication" => change_application::update(self, request).await?,
            "AddApplicationInput" => change_application::add_input(self, request).await?,
            "AddApplicationReferenceDataSource" => reference::add(self, request).await?,
            "DeleteApplicationReferenceDataSource" => reference::delete(self, request).await?,
            "AddApplicationOutput" => change_application::add_output(self, request).await?,
            "AddApplicationCloudWatchLoggingOption" => logging::add(self, request).await?,
            "DeleteApplicationCloudWatchLoggingOption" => logging::delete(self, request).await?,
            "TagResource" => tags::add(self, request).await?,
            "UntagResource" => tags::remove(self, request).await?,
            "ListTagsForResource" => tags::list(self, request)?,
            "DiscoverInputSchema" => discover_input_schema::call(self, request).await?,
            other => return Err(ServiceError::unknown_operation("Kinesis Analytics", other)),
        };
        Ok(Bytes::from(document.to_string()))
    }

    fn list(&self, request: &JsonRequest) -> Result<Value, ServiceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Input {
            limit: Option<i64>,
            exclusive_start_application_name: Option<String>,
        }
        let input: Input = request.input()?;
        Constraints::new().range("limit", input.limit, 1, 50).finish()?;
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50);
        let after = input.exclusive_start_application_name.unwrap_or_default();
        let mut queries = self.queries.list();
        queries.retain(|query| query.dialect == QueryDialect::Kinesis && query.name > after);
        let more = queries.len() > limit;
        queries.truncate(limit);
        let summary = |query: &Arc<QueryDefinition>| {
            json!({
                "ApplicationName": query.name,
                "ApplicationARN": self.arn(&query.name),
                "ApplicationStatus": self.status(&query.name),
            })
        };
        let page: Vec<Value> = queries.iter().map(summary).collect();
        Ok(json!({ "ApplicationSummaries": page, "HasMoreApplications": more }))
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
            QueryError::NoInput { .. } | QueryError::Stream(_) => {
                ServiceError::new("InvalidArgumentException", error.to_string())
            }
            _ => ServiceError::internal("ServiceUnavailableException", error.to_string()),
        }
    }
}

fn check_name(name: Option<&str>) -> Result<(), ServiceError> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    Constraints::new()
        .required("applicationName", name.as_ref())
        .length("applicationName", name, 1, 128)
        .characters("applicationName", name, allowed, "[a-zA-Z0-9_.-]+")
        .finish()
}

fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidArgumentException", message)
}
