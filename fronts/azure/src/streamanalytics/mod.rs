//! Stream Analytics over the query engine: a job is a query, its inputs, outputs and text are resources below it.
//!
//! The ladder: address → token → `api-version` → operation → conditions → body. Nothing is kept here: what the query's
//! definition does not hold is not shown again, keys least of all.
//! Source: the REST reference of Microsoft.StreamAnalytics, 2020-03-01.

mod child;
mod codec;
mod condition;
mod error;
mod function;
mod input;
mod job;
mod lifecycle;
mod output;
mod reference;
mod serialization;
mod transformation;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use millstream_access::Management;
use millstream_catalog::{QueryDefinition, QueryDialect};
use millstream_namespace::Namespaces;
use millstream_query::{Queries, QueryError};
use millstream_types::Clock;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use self::child::Kind;
use self::error::JobError;
use crate::request::AzureRequest;
use crate::resource_manager;
use crate::services::Refusal;

pub use codec::FunctionOutputCodec;

/// The largest request, bytes: the longest query with room for its spelling in JSON, and many inputs and outputs.
pub(crate) const BODY_BYTES_MAX: usize = 4 << 20;

const PROVIDER: &str = "Microsoft.StreamAnalytics";

/// The service.
pub struct StreamAnalytics {
    queries: Queries,
    namespaces: Namespaces,
    clock: Arc<dyn Clock>,
    /// Whether any bearer token is let in; otherwise none is.
    management: Management,
    /// Held while a job is changed: what a condition was checked against is what is changed.
    turn: Mutex<()>,
}

/// An answer: a document under its entity tag, which may be empty; null: no content.
struct Answer {
    status: StatusCode,
    document: Value,
    etag: String,
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Self { status, document: Value::Null, etag: String::new() }
    }
}

/// A request and what its path names.
struct Call<'r> {
    front: &'r StreamAnalytics,
    request: &'r AzureRequest,
    /// The path up to and with the provider.
    prefix: String,
}

impl StreamAnalytics {
    /// The service over its engines.
    #[must_use]
    pub fn new(queries: Queries, namespaces: Namespaces, clock: Arc<dyn Clock>, management: Management) -> Self {
        Self { queries, namespaces, clock, management, turn: Mutex::default() }
    }

    /// Whether a request is for this service.
    pub(crate) fn is_meant(head: &Parts) -> bool {
        resource_manager::is_of_provider(head.uri.path(), PROVIDER)
    }

    /// Looks at a request's head; the error is the answer that it earns without its body.
    pub(crate) fn admit(&self, head: &AzureRequest) -> Result<(), Refusal> {
        let admitted = resource_manager::authorize(head, &self.management)
            .and_then(|()| resource_manager::require_api_version(head));
        admitted.map_err(|refusal| Box::new(JobError::from(refusal).response()))
    }

    /// Answers a request whose head was admitted.
    pub(crate) async fn handle(&self, request: &AzureRequest) -> Response<Bytes> {
        let answer = match self.call(request).await {
            Ok(answer) => answer,
            Err(error) => return error.response(),
        };
        let mut response = resource_manager::answer(answer.status, &answer.document);
        if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", answer.etag))
            && !answer.etag.is_empty()
        {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }

    async fn call(&self, request: &AzureRequest) -> Result<Answer, JobError> {
        let decoded: Vec<String> =
            request.segments().map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect();
        let provider = decoded.iter().position(|segment| segment.eq_ignore_ascii_case(PROVIDER));
        let (before, path) = decoded.split_at(provider.map_or(decoded.len(), |at| at + 1));
        let call = Call { front: self, request, prefix: format!("/{}", before.join("/")) };
        call.answer(&path.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// The query of a job.
    fn job(&self, name: &str) -> Result<Arc<QueryDefinition>, JobError> {
        let found = self.queries.get(name)?;
        match found.dialect {
            QueryDialect::StreamAnalytics => Ok(found),
            _ => Err(QueryError::NotFound { name: name.to_owned() }.into()),
        }
    }
}

impl Call<'_> {
    /// Finds the operation. Types of resources are found in any case of letters, names are taken as they are.
    async fn answer(&self, path: &[&str]) -> Result<Answer, JobError> {
        let types: Vec<String> = path.iter().step_by(2).map(|name| name.to_ascii_lowercase()).collect();
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        let method = &self.request.method;
        match (&types[..], path) {
            (["streamingjobs"], [_]) if method == Method::GET => Ok(job::list(self)),
            (["streamingjobs"], [_, name]) => match *method {
                Method::GET => job::get(self, name),
                Method::PUT => job::put(self, name).await,
                Method::PATCH => job::patch(self, name).await,
                Method::DELETE => job::delete(self, name).await,
                _ => Err(self.unsupported()),
            },
            (["streamingjobs", "start"], [_, name, _]) if method == Method::POST => lifecycle::start(self, name).await,
            (["streamingjobs", "stop"], [_, name, _]) if method == Method::POST => lifecycle::stop(self, name).await,
            (["streamingjobs", "functions", "test"], [_, job, _, name, _]) if method == Method::POST => {
                function::test(self, job, name).await
            }
            (["streamingjobs", kind], [_, job, _]) if method == Method::GET => child::list(self, self.kind(kind)?, job),
            (["streamingjobs", kind], [_, job, _, name]) => {
                let kind = self.kind(kind)?;
                match *method {
                    Method::GET => child::get(self, kind, job, name),
                    Method::PUT => child::put(self, kind, job, name).await,
                    Method::PATCH => child::patch(self, kind, job, name).await,
                    Method::DELETE => child::delete(self, kind, job, name).await,
                    _ => Err(self.unsupported()),
                }
            }
            _ => Err(self.unsupported()),
        }
    }

    fn kind(&self, name: &str) -> Result<Kind, JobError> {
        Kind::of(name).ok_or_else(|| self.unsupported())
    }

    fn unsupported(&self) -> JobError {
        JobError::unsupported(&format!("{} {}", self.request.method, self.request.path))
    }

    /// The body; none is an empty object.
    fn body(&self) -> Result<Value, JobError> {
        let body = if self.request.body.is_empty() { b"{}" as &[u8] } else { &self.request.body };
        match serde_json::from_slice(body) {
            Ok(body @ Value::Object(_)) => Ok(body),
            Ok(_) => Err(JobError::invalid("expected a JSON object as the body")),
            Err(error) => Err(JobError::invalid(format!("expected a JSON object as the body: {error}"))),
        }
    }

    /// A resource as the resource manager writes it.
    fn resource(address: &str, kind: &str, properties: Value) -> Value {
        let name = address.rsplit('/').next().unwrap_or_default();
        json!({ "id": address, "name": name, "type": format!("{PROVIDER}/{kind}"), "properties": properties })
    }

    /// Where a job is: as its maker wrote it, else as the request does.
    fn address(&self, query: &QueryDefinition) -> String {
        match &query.resource {
            Some(resource) if !resource.address.is_empty() => resource.address.clone(),
            _ => format!("{}/streamingjobs/{}", self.prefix, query.name),
        }
    }
}
