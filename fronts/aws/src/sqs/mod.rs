//! SQS over the queue engine. Standard queues: FIFO queues are refused by name.
//! Source: the Amazon SQS API reference; the JSON protocol with error codes of the query protocol beside, and the query
//! protocol itself, which is translated.
//! Read next: `queues`, `attributes`, `permissions` and `move_tasks` (queues), `send`, `receive` (messages), `query`.

mod attributes;
mod error;
mod move_tasks;
pub(crate) mod permissions;
mod query;
mod queues;
mod receive;
mod send;

pub(crate) use receive::seal_receipt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use millstream_queue::Queues;
use serde::Deserialize;

use crate::front::{json_answer, json_error};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::Place;
use crate::query_protocol::QueryRequest;
use crate::seal::Seal;

const JSON_1_0: &str = "application/x-amz-json-1.0";

/// The service.
pub struct Sqs {
    queues: Queues,
    place: Place,
    seal: Seal,
}

/// The one member of many operations.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueInput {
    queue_url: Option<String>,
}

impl Sqs {
    /// The service over the queue engine.
    #[must_use]
    pub fn new(queues: Queues, place: Place, seal: Seal) -> Self {
        Self { queues, place, seal }
    }

    /// The queue whose messages the task of a handle moves; `None` when it is no handle of this node's.
    pub(crate) fn queue_of_task(&self, handle: &str) -> Option<String> {
        move_tasks::queue_of(self, handle)
    }

    /// Answers a request: every operation that there is.
    pub(crate) async fn answer(&self, request: &JsonRequest) -> Response<Bytes> {
        match self.call(request).await {
            Ok(document) => json_answer(StatusCode::OK, JSON_1_0, Bytes::from(document.to_string())),
            Err(error) => refusal(&error),
        }
    }

    /// Answers a request of the query protocol.
    pub(crate) async fn answer_query(&self, request: &QueryRequest) -> Response<Bytes> {
        query::answer(self, request).await
    }

    async fn call(&self, request: &JsonRequest) -> Result<serde_json::Value, ServiceError> {
        match request.operation.as_str() {
            "SendMessage" => send::one(self, request).await,
            "SendMessageBatch" => send::batch(self, request).await,
            "ReceiveMessage" => receive::receive(self, request).await,
            "DeleteMessage" => receive::delete(self, request).await,
            "DeleteMessageBatch" => receive::delete_batch(self, request).await,
            "ChangeMessageVisibility" => receive::change_visibility(self, request).await,
            "ChangeMessageVisibilityBatch" => receive::change_visibility_batch(self, request).await,
            "CreateQueue" => queues::create(self, request).await,
            "GetQueueUrl" => queues::url(self, request),
            "ListQueues" => queues::list(self, request),
            "DeleteQueue" => queues::delete(self, request).await,
            "PurgeQueue" => queues::purge(self, request).await,
            "GetQueueAttributes" => attributes::get(self, request),
            "SetQueueAttributes" => attributes::set(self, request).await,
            "TagQueue" => queues::tag(self, request).await,
            "UntagQueue" => queues::untag(self, request).await,
            "ListQueueTags" => queues::tags(self, request),
            "AddPermission" => permissions::add(self, request).await,
            "RemovePermission" => permissions::remove(self, request).await,
            "ListDeadLetterSourceQueues" => queues::dead_letter_sources(self, request),
            "StartMessageMoveTask" => move_tasks::start(self, request),
            "ListMessageMoveTasks" => move_tasks::list(self, request),
            "CancelMessageMoveTask" => move_tasks::cancel(self, request),
            other => Err(ServiceError::unknown_operation("SQS", other)),
        }
    }

    fn arn(&self, queue: &str) -> String {
        self.place.arn("sqs", queue)
    }

    fn queue_url(&self, request: &JsonRequest, queue: &str) -> String {
        let host = request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:4566");
        format!("{}://{host}/{}/{queue}", request.scheme, self.place.account)
    }
}

/// An error as the service answers it.
pub(crate) fn refusal(error: &ServiceError) -> Response<Bytes> {
    let mut response = json_error(error);
    let fault = if error.status < 500 { "Sender" } else { "Receiver" };
    // Clients go by the code of the query protocol, which came first.
    if let Ok(value) = HeaderValue::from_str(&format!("{};{fault}", error::query_code(&error.code))) {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}

/// The queue of an address: its last part, wherever clients think that the node is.
fn queue_of(url: Option<&str>) -> Result<String, ServiceError> {
    let url = url.ok_or_else(|| error::missing("QueueUrl"))?;
    match url.trim_end_matches('/').rsplit('/').next() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(error::invalid(format!("The address {url} is not valid for this endpoint."))),
    }
}

/// The queue of a request that names nothing else.
fn queue_input(request: &JsonRequest) -> Result<String, ServiceError> {
    queue_of(request.input::<QueueInput>()?.queue_url.as_deref())
}

fn check_range(name: &str, found: Option<i64>, min: i64, max: i64) -> Result<Option<i64>, ServiceError> {
    match found {
        Some(value) if !(min..=max).contains(&value) => Err(error::invalid(format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be between {min} and {max}, if provided."
        ))),
        found => Ok(found),
    }
}
