//! The ports through which engines meet. `server` plugs an engine into another's port; engines never name each other.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::error::ErrorKind;
use crate::time::Millis;

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A running or finished invocation: a UUID in text form, as clients see it.
pub type InvocationId = String;

/// What to run.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The function as the catalog refers to it: `NAME`, or `NAME:QUALIFIER` for a version or an alias.
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
    /// The version of the function that ran; `None`: the function itself.
    pub version: Option<u32>,
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

/// Runs functions afterwards: the function engine's port, used by whatever hands an event over and does not wait.
pub trait InvokeLater: Send + Sync + 'static {
    /// Accepts an invocation: it is durable when the future resolves and runs at least once. `Err`: it does not.
    fn invoke_later(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationId, InvokeError>>;
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

/// Gives objects: the object engine's port, used by whatever computes with them.
pub trait ReadObject: Send + Sync + 'static {
    /// An object's content, if it has at most so many bytes.
    fn read_object<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        bytes_max: u64,
    ) -> BoxFuture<'a, Result<Bytes, ReadObjectError>>;

    /// The names of a bucket's objects that begin with a prefix and come behind a name, in their order; only the last of them
    /// are fewer than `count_max`. Behind the empty name are all.
    fn list_objects<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
        after: &'a str,
        count_max: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, ReadObjectError>>;
}

/// Why an object was not read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ReadObjectError {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
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
    /// Sends messages to a queue, all or none; durable when the future resolves.
    fn send_messages(
        &self,
        queue: String,
        messages: Vec<OutgoingMessage>,
    ) -> BoxFuture<'_, Result<(), SendMessageError>>;
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The content.
    pub body: Bytes,
    /// What is said of it, each name once.
    pub attributes: Vec<MessageAttribute>,
    /// Whose message it is among several users of the queue, in the sender's words.
    pub group: Option<String>,
}

impl From<Bytes> for OutgoingMessage {
    fn from(body: Bytes) -> Self {
        Self { body, ..Self::default() }
    }
}

/// Something said of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageAttribute {
    /// Unique in its message.
    pub name: String,
    /// The sender's word for the value's type: `String`, `Number`.
    pub kind: String,
    /// The value.
    pub value: MessageAttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MessageAttributeValue {
    Text(String),
    Binary(Bytes),
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

/// Hands messages out: the queue engine's port, used by whatever runs functions on messages.
pub trait ReceiveMessages: Send + Sync + 'static {
    /// Takes messages from a queue; nobody else gets them while they are hidden. Gives none when none came in time.
    fn receive_messages(
        &self,
        queue: String,
        wanted: WantedMessages,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, ReceiveMessagesError>>;

    /// Deletes received messages; durable when the future resolves. One that was received again since, or is gone, stays
    /// as it is: that is no error.
    fn delete_messages(&self, queue: String, receipts: Vec<String>) -> BoxFuture<'_, Result<(), ReceiveMessagesError>>;

    /// Lets others receive messages at once, as if their time had passed. What is not there any more is no error.
    fn release_messages(&self, queue: String, receipts: Vec<String>)
    -> BoxFuture<'_, Result<(), ReceiveMessagesError>>;
}

/// How messages are taken.
#[derive(Debug, Clone, Copy)]
pub struct WantedMessages {
    /// At most so many; a queue may give fewer at a time.
    pub max: usize,
    /// How long to wait while there are none; a queue may wait less.
    pub wait: Duration,
}

/// A message as its receiver gets it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReceivedMessage {
    /// Its id, as clients see it.
    pub id: String,
    /// What deletes or releases it.
    pub receipt: String,
    /// The content.
    pub body: Bytes,
    /// What is said of it.
    pub attributes: Vec<MessageAttribute>,
    /// When it was sent.
    pub sent: Millis,
    /// When it was first received.
    pub first_received: Millis,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When others can receive it again.
    pub visible_at: Millis,
    /// The sender's trace.
    pub trace: Option<String>,
    /// Whose message it is among several users of the queue, in the sender's words.
    pub group: Option<String>,
    /// The queue that it is a dead letter of.
    pub dead_from: Option<String>,
}

/// Why messages were not received, deleted or released.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ReceiveMessagesError {
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

/// Says what the node may do for a resource, in its role or without one: which rights each of these takes is a front's business.
pub trait CheckRole: Send + Sync + 'static {
    /// Whether `role`, as its giver wrote it, lets the node do something for `holder`: the delivery stream, the query, the
    /// method of an API or the topic that was given the role. An empty role is none: then what is touched may have to let
    /// the node in.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    fn check(&self, role: &str, holder: &str, use_of: RoleUse<'_>) -> Result<(), String>;
}

/// What the node does with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleUse<'a> {
    /// Reads the records of a stream, by its name in the catalog.
    ReadStream(&'a str),
    /// Puts records into a stream.
    WriteStream(&'a str),
    /// Writes an object.
    WriteObject {
        /// The bucket.
        bucket: &'a str,
        /// The object's name.
        object: &'a str,
    },
    /// Reads an object.
    ReadObject {
        /// The bucket.
        bucket: &'a str,
        /// The object's name.
        object: &'a str,
    },
    /// Runs a function.
    Invoke(&'a str),
    /// Sends messages to a queue.
    SendMessage(&'a str),
}
