//! The ports through which engines meet. `server` plugs an engine into another's port; engines never name each other.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::error::ErrorKind;

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A running or finished invocation: a UUID in text form, as clients see it.
pub type InvocationId = String;

/// What to run.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The function's name in the catalog.
    pub function: String,
    /// The event, as the function will see it.
    pub payload: Bytes,
    /// Who asks, for the trail: `gateway:orders`, `query:trades`, `client`.
    pub source: String,
    /// The caller's base64 client context, decoded to JSON; `None` when not given.
    pub client_context: Option<String>,
    /// Whether the caller wants the end of what the function prints.
    pub log_tail: bool,
}

/// How a synchronous invocation ended.
#[derive(Debug, Clone)]
pub struct InvocationOutcome {
    /// The invocation's id.
    pub id: InvocationId,
    /// What the handler returned, or the error document when `error` is set.
    pub payload: Bytes,
    /// `Some("Unhandled")` when the function failed, timed out or its process ended; `None` when it returned.
    pub error: Option<String>,
    /// The end of what it printed during this invocation, at most 4 KiB.
    pub log_tail: Bytes,
}

/// Why nothing was run.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct InvokeError {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
}

/// Runs functions: the function engine's port, used by the gateway, queries and deliveries.
pub trait Invoke: Send + Sync + 'static {
    /// Runs a function and waits for its end. A function that fails is an `Ok` with
    /// [`error`](InvocationOutcome::error) set; `Err` means that it did not run.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>>;
}

/// Keeps objects: the object engine's port, used by whatever writes results or undeliverable events as objects.
pub trait PutObject: Send + Sync + 'static {
    /// Writes an object whole, in place of one of the same name; durable when the future resolves. The bucket is made
    /// when it is missing.
    fn put_object(&self, object: NewObject) -> BoxFuture<'_, Result<(), PutObjectError>>;
}

/// An object to be written.
#[derive(Debug, Clone)]
pub struct NewObject {
    /// The bucket or container.
    pub bucket: String,
    /// The name in the bucket, `/` between its parts.
    pub key: String,
    /// The media type.
    pub content_type: String,
    /// The content.
    pub body: Bytes,
}

/// Why an object was not written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PutObjectError {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
}

/// Keeps documents: the document engine's port, used by whatever writes results as documents.
pub trait UpsertDocuments: Send + Sync + 'static {
    /// Writes documents (JSON objects with an `id`), each in place of one of the same id and partition key; durable when
    /// the future resolves. Gives an outcome for each, in their order: one bad document does not stop the others.
    fn upsert_documents(
        &self,
        database: String,
        container: String,
        documents: Vec<Bytes>,
    ) -> BoxFuture<'_, Vec<Result<(), UpsertDocumentError>>>;
}

/// Why a document was not written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct UpsertDocumentError {
    /// What the caller can do: [`ErrorKind::Invalid`] and [`ErrorKind::TooLarge`] will not go away by trying again.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
}

/// Keeps messages: the queue engine's port, used by whatever delivers to queues.
pub trait SendMessage: Send + Sync + 'static {
    /// Sends messages with these bodies to a queue, all or none; durable when the future resolves.
    fn send_messages(&self, queue: String, bodies: Vec<Bytes>) -> BoxFuture<'_, Result<(), SendMessageError>>;
}

/// Why messages were not sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct SendMessageError {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
}

/// Publishes messages: the topic engine's port, used by whatever tells others that something happened.
pub trait PublishMessage: Send + Sync + 'static {
    /// Publishes a message to a topic; durable when the future resolves.
    fn publish_message(&self, topic: String, message: Bytes) -> BoxFuture<'_, Result<(), PublishMessageError>>;
}

/// Why a message was not published.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PublishMessageError {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
}
