//! One attempt: a message goes to where a subscription wants it, and what came of it.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use millstream_catalog::{Catalog, EventEndpoint, EventSubscriptionDefinition, TopicDefinition};
use millstream_stream::{Entry, Streams};
use millstream_types::{CheckRole, ErrorKind, Invocation, InvokeLater, Millis, RoleUse, SendMessage};

use super::{FormError, Message, Notification, NotificationForm};
use crate::endpoint::{Report, report};
use crate::outcome::Outcome;
use crate::webhook::WebhookClient;

/// Takes messages to one subscription's endpoint.
pub(crate) struct MessageCourier {
    pub(crate) definition: Arc<EventSubscriptionDefinition>,
    pub(crate) catalog: Catalog,
    pub(crate) client: WebhookClient,
    pub(crate) form: Arc<dyn NotificationForm>,
    pub(crate) streams: Streams,
    pub(crate) invoke: Option<Arc<dyn InvokeLater>>,
    pub(crate) queues: Option<Arc<dyn SendMessage>>,
    pub(crate) rights: Option<Arc<dyn CheckRole>>,
}

impl MessageCourier {
    pub(crate) async fn deliver(&self, message: &Message, published: Millis) -> Report {
        // The topic as it is now: how it signs may have changed.
        let Some(topic) = self.catalog.topics.get(&self.definition.topic) else {
            return report(Outcome::NotFound, "the topic is gone".to_owned());
        };
        let notification = self.notification(&topic, message, published);
        let delivered = match &self.definition.endpoint {
            EventEndpoint::Webhook { url } => return self.post(url, notification).await,
            EventEndpoint::Stream { name } => self.put(name, notification).await,
            EventEndpoint::Function { name } => self.invoke(name, notification).await,
            EventEndpoint::Queue { name } => self.send(name, notification).await,
        };
        match delivered {
            Ok(invocation) => Report { invocation, ..report(Outcome::Delivered, String::new()) },
            Err(Failure { kind, detail }) => report(Outcome::of_kind(kind), detail),
        }
    }

    /// Sends a message that was given up to the queue for such.
    pub(crate) async fn give_up(&self, queue: &str, message: &Message, published: Millis) -> Result<(), String> {
        let Some(topic) = self.catalog.topics.get(&self.definition.topic) else { return Ok(()) };
        let sent = self.send(queue, self.notification(&topic, message, published)).await;
        sent.map(drop).map_err(|failure| failure.detail)
    }

    fn notification<'n>(
        &'n self,
        topic: &'n TopicDefinition,
        message: &'n Message,
        published: Millis,
    ) -> Notification<'n> {
        Notification { topic, subscription: &self.definition, message, published }
    }

    async fn post(&self, url: &str, notification: Notification<'_>) -> Report {
        let request = match self.form.request(notification).await {
            Ok(request) => request,
            Err(error) => return report(Outcome::GenericError, error.to_string()),
        };
        match self.client.send(Method::POST, url, request.headers, request.body).await {
            Ok(answer) => {
                let (outcome, status) = (Outcome::of_webhook(answer.status), answer.status.as_u16());
                let detail = match outcome {
                    Outcome::Delivered => String::new(),
                    _ => format!("status {status}: {}", String::from_utf8_lossy(&answer.body).trim()),
                };
                Report { status: Some(status), ..report(outcome, detail) }
            }
            Err(error) => report(error.outcome(), error.to_string()),
        }
    }

    async fn put(&self, stream: &str, notification: Notification<'_>) -> Result<Option<String>, Failure> {
        let entry = Entry {
            partition_key: Bytes::copy_from_slice(notification.message.id.as_bytes()),
            explicit_hash_key: None,
            headers: Bytes::new(),
            data: self.form.record(notification).await?,
        };
        let put = self.streams.put(stream, &[entry]).await;
        put.map(|_| None).map_err(|error| Failure { kind: error.kind(), detail: error.to_string() })
    }

    /// Gives the run of the function, which is durable and still to come.
    async fn invoke(&self, function: &str, notification: Notification<'_>) -> Result<Option<String>, Failure> {
        let Some(functions) = &self.invoke else {
            return Err(Failure::missing(format!("there is no function engine for `{function}`")));
        };
        self.check(RoleUse::Invoke(function))?;
        let invocation = Invocation {
            function: function.to_owned(),
            payload: self.form.function_event(notification).await?,
            source: format!("event subscription:{}", self.definition.id),
            client_context: None,
            log_tail: false,
        };
        let accepted = functions.invoke_later(invocation).await;
        accepted.map(Some).map_err(|error| Failure { kind: error.kind, detail: error.to_string() })
    }

    async fn send(&self, queue: &str, notification: Notification<'_>) -> Result<Option<String>, Failure> {
        let Some(queues) = &self.queues else {
            return Err(Failure::missing(format!("there is no queue engine for `{queue}`")));
        };
        self.check(RoleUse::SendMessage(queue))?;
        let message = self.form.queue_message(notification).await?;
        let sent = queues.send_messages(queue.to_owned(), vec![message]).await;
        sent.map(|()| None).map_err(|error| Failure { kind: error.kind, detail: error.to_string() })
    }

    /// Whether what the topic delivers to lets it in, as it is now. The topic has no role.
    fn check(&self, use_of: RoleUse<'_>) -> Result<(), Failure> {
        let Some(rights) = &self.rights else { return Ok(()) };
        let refused = |detail| Failure { kind: ErrorKind::Forbidden, detail };
        rights.check("", &self.definition.topic, use_of).map_err(refused)
    }
}

/// Why an engine does not have the message.
struct Failure {
    kind: ErrorKind,
    detail: String,
}

impl Failure {
    fn missing(detail: String) -> Self {
        Self { kind: ErrorKind::NotFound, detail }
    }
}

impl From<FormError> for Failure {
    fn from(error: FormError) -> Self {
        Self { kind: ErrorKind::Internal, detail: error.to_string() }
    }
}
