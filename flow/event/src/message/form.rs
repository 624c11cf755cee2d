//! The port to the front that knows how messages look on the wire.

use bytes::Bytes;
use http::HeaderMap;
use millstream_catalog::{EventSubscriptionDefinition, TopicDefinition};
use millstream_types::{BoxFuture, Millis, OutgoingMessage};

use super::Message;

/// One message on its way to one subscriber.
#[derive(Debug, Clone, Copy)]
pub struct Notification<'n> {
    /// Where it was published.
    pub topic: &'n TopicDefinition,
    /// Whom it goes to.
    pub subscription: &'n EventSubscriptionDefinition,
    /// The message.
    pub message: &'n Message,
    /// When it was published.
    pub published: Millis,
}

/// What a webhook is told when it is subscribed or no longer is.
#[derive(Debug, Clone, Copy)]
pub struct Handshake<'h> {
    /// The topic.
    pub topic: &'h TopicDefinition,
    /// The subscription.
    pub subscription: &'h EventSubscriptionDefinition,
    /// Which of both.
    pub kind: HandshakeKind<'h>,
    /// The time.
    pub now: Millis,
}

/// Which handshake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeKind<'h> {
    /// Somebody wants it to get messages; it has to bring back this token.
    Subscribed(&'h str),
    /// It gets no more.
    Unsubscribed,
}

/// What a webhook is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookRequest {
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why a form cannot be given: for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct FormError(pub String);

/// How messages look on the wire. Its methods wait because what a protocol signs takes time.
pub trait NotificationForm: Send + Sync + 'static {
    /// The request to a webhook.
    fn request<'n>(&'n self, notification: Notification<'n>) -> BoxFuture<'n, Result<WebhookRequest, FormError>>;

    /// The message for a queue, also for one that keeps what could not be delivered.
    fn queue_message<'n>(&'n self, notification: Notification<'n>)
    -> BoxFuture<'n, Result<OutgoingMessage, FormError>>;

    /// The event for a function.
    fn function_event<'n>(&'n self, notification: Notification<'n>) -> BoxFuture<'n, Result<Bytes, FormError>>;

    /// The record for a stream.
    fn record<'n>(&'n self, notification: Notification<'n>) -> BoxFuture<'n, Result<Bytes, FormError>>;

    /// The request that tells a webhook of its subscription.
    fn handshake<'n>(&'n self, handshake: Handshake<'n>) -> BoxFuture<'n, Result<WebhookRequest, FormError>>;
}
