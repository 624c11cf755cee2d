//! One attempt: events go to where a subscription wants them, and what came of it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use millstream_catalog::{
    DeliveryHeader, DeliveryHeaderValue, EventEndpoint, EventSchema, EventSubscriptionDefinition,
};
use millstream_stream::{Entry, Streams};
use millstream_types::{Invocation, Invoke, Millis, SendMessage};
use serde_json::Value;

use crate::message::MessageCourier;
use crate::outcome::Outcome;
use crate::schema::{Event, event_grid};
use crate::webhook::{WebhookClient, WebhookWords};

/// How an attempt ended.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// The endpoint's status, when it has such.
    pub(crate) status: Option<u16>,
    /// Its words.
    pub(crate) detail: String,
    /// The run of a function that it was.
    pub(crate) invocation: Option<String>,
}

/// How the records of a stream have properties beside their data: the protocol's affair.
pub trait RecordForm: Send + Sync {
    /// The headers of a record with these names and values.
    fn headers(&self, properties: &[(String, String)]) -> Bytes;
}

/// A property that decides a record's partition instead.
const PARTITION_KEY: &str = "PartitionKey";

/// Takes events to one subscription's endpoint.
pub(crate) struct Courier {
    pub(crate) definition: Arc<EventSubscriptionDefinition>,
    pub(crate) client: WebhookClient,
    pub(crate) words: WebhookWords,
    pub(crate) streams: Streams,
    pub(crate) invoke: Arc<dyn Invoke>,
    pub(crate) queues: Option<Arc<dyn SendMessage>>,
    pub(crate) record_form: Option<Arc<dyn RecordForm>>,
    /// For topics of messages: it delivers instead.
    pub(crate) messages: Option<MessageCourier>,
}

impl Courier {
    fn is_webhook(&self) -> bool {
        matches!(self.definition.endpoint, EventEndpoint::Webhook { .. })
    }

    /// Whether trying again can change anything. Subscribers to messages say by any status of theirs that it cannot, and
    /// what is missing on this node is not waited for.
    pub(crate) fn is_final(&self, report: &Report) -> bool {
        let (outcome, webhook) = (report.outcome, self.is_webhook());
        match (&self.messages, report.status) {
            (None, _) => outcome.is_final(webhook),
            (Some(_), Some(status)) => (300..500).contains(&status) && status != 429,
            (Some(_), None) => {
                let missing = matches!(outcome, Outcome::Unauthorized | Outcome::NotFound);
                !webhook && (missing || outcome.is_final(webhook))
            }
        }
    }

    /// Delivers all of the events or none. `attempts` were made before; `events` is not empty, `published` the time of the
    /// first.
    pub(crate) async fn deliver(&self, events: &[Arc<Event>], attempts: u32, published: Millis) -> Report {
        if let (Some(messages), [event]) = (&self.messages, events) {
            return match event.message() {
                Some(message) => messages.deliver(&message, published).await,
                None => report(Outcome::BadRequest, "the message cannot be read".to_owned()),
            };
        }
        match &self.definition.endpoint {
            EventEndpoint::Webhook { url } => self.post(url, events, attempts).await,
            EventEndpoint::Stream { name } => self.put(name, events).await,
            EventEndpoint::Function { name } => self.invoke(name, events).await,
            EventEndpoint::Queue { name } => self.send(name, events).await,
        }
    }

    /// Sends an event that was given up to the queue for such.
    pub(crate) async fn give_up(&self, queue: &str, event: &Event, published: Millis) -> Result<(), String> {
        match (&self.messages, event.message()) {
            (Some(messages), Some(message)) => messages.give_up(queue, &message, published).await,
            _ => Err("only messages go to queues when they are given up".to_owned()),
        }
    }

    /// Whether deliveries hold lists of events, also of one.
    fn in_lists(&self) -> bool {
        self.definition.batching.events_max > 1
    }

    async fn post(&self, url: &str, events: &[Arc<Event>], attempts: u32) -> Report {
        let schema = self.definition.delivery_schema;
        let (media_type, list) = match (schema, self.in_lists()) {
            (EventSchema::EventGrid | EventSchema::Message, _) => ("application/json; charset=utf-8", true),
            (EventSchema::CloudEvents, true) => ("application/cloudevents-batch+json; charset=utf-8", true),
            (EventSchema::CloudEvents, false) => ("application/cloudevents+json; charset=utf-8", false),
        };
        let headers = self.headers(events, attempts, media_type);
        match self.client.send(Method::POST, url, headers, self.body(events, list)).await {
            Ok(answer) => {
                let outcome = Outcome::of_status(answer.status);
                let status = answer.status.as_u16();
                let detail = match outcome {
                    Outcome::Delivered => String::new(),
                    _ if answer.status.is_redirection() => format!("status {status}; redirects are not followed"),
                    _ => format!("status {status}: {}", String::from_utf8_lossy(&answer.body).trim()),
                };
                Report { outcome, status: Some(status), detail, invocation: None }
            }
            Err(error) => report(error.outcome(), error.to_string()),
        }
    }

    fn headers(&self, events: &[Arc<Event>], attempts: u32, media_type: &'static str) -> HeaderMap {
        let (definition, words) = (&self.definition, &self.words);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(words.kind.clone(), HeaderValue::from_static(words.notification));
        let mut insert = |name: &HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name.clone(), value);
            }
        };
        insert(&words.subscription, &definition.name);
        insert(&words.delivery_count, &attempts.to_string());
        let versions = definition.delivery_schema == EventSchema::EventGrid;
        if versions {
            insert(&words.metadata_version, event_grid::METADATA_VERSION);
        }
        if let [event] = events {
            insert(&words.event_id, event.id());
            if versions {
                insert(&words.data_version, event.text("dataVersion"));
            }
        }
        for (name, value) in events.first().map(|event| self.properties(event)).unwrap_or_default() {
            if let Ok(name) = name.parse::<HeaderName>() {
                insert(&name, &value);
            }
        }
        headers
    }

    /// What the subscription wants said beside an event.
    fn properties(&self, event: &Event) -> Vec<(String, String)> {
        let property = |DeliveryHeader { name, value }: &DeliveryHeader| {
            let value = match value {
                DeliveryHeaderValue::Static { value, .. } => value.clone(),
                DeliveryHeaderValue::Field { key } => plain_value(event, key)?,
            };
            Some((name.clone(), value))
        };
        self.definition.headers.iter().filter_map(property).collect()
    }

    /// Events as the subscription wants them: a list, or the one object.
    fn body(&self, events: &[Arc<Event>], list: bool) -> Bytes {
        match events {
            [event] if !list => event.delivered(&self.definition),
            events => {
                let objects: Vec<Bytes> = events.iter().map(|event| event.delivered(&self.definition)).collect();
                Bytes::from([b"[", objects.join(&b',').as_slice(), b"]"].concat())
            }
        }
    }

    /// Each event is a record; lists of one for the form whose readers expect lists.
    async fn put(&self, stream: &str, events: &[Arc<Event>]) -> Report {
        let list = self.definition.delivery_schema == EventSchema::EventGrid;
        let entry = |event: &Arc<Event>| {
            let (keys, properties): (Vec<_>, Vec<_>) =
                self.properties(event).into_iter().partition(|(name, _)| name.eq_ignore_ascii_case(PARTITION_KEY));
            let key = keys.into_iter().next().map_or_else(|| event.id().to_owned(), |(_, key)| key);
            let form = self.record_form.as_ref().filter(|_| !properties.is_empty());
            Entry {
                partition_key: Bytes::from(key),
                explicit_hash_key: None,
                headers: form.map(|form| form.headers(&properties)).unwrap_or_default(),
                data: self.body(std::slice::from_ref(event), list),
            }
        };
        let entries: Vec<Entry> = events.iter().map(entry).collect();
        match self.streams.put(stream, &entries).await {
            Ok(_) => report(Outcome::Delivered, String::new()),
            Err(error) => report(Outcome::of_kind(error.kind()), error.to_string()),
        }
    }

    /// Each event is a message: its JSON in base64, which readers of queues take apart.
    async fn send(&self, queue: &str, events: &[Arc<Event>]) -> Report {
        let Some(queues) = &self.queues else {
            return report(Outcome::NotFound, format!("there is no queue engine for `{queue}`"));
        };
        let message = |event: &Arc<Event>| Bytes::from(STANDARD.encode(event.delivered(&self.definition))).into();
        match queues.send_messages(queue.to_owned(), events.iter().map(message).collect()).await {
            Ok(()) => report(Outcome::Delivered, String::new()),
            Err(error) => report(Outcome::of_kind(error.kind), error.to_string()),
        }
    }

    async fn invoke(&self, function: &str, events: &[Arc<Event>]) -> Report {
        let invocation = Invocation {
            function: function.to_owned(),
            payload: self.body(events, self.in_lists()),
            source: format!("event subscription:{}", self.definition.id),
            client_context: None,
            log_tail: false,
        };
        match self.invoke.invoke(invocation).await {
            Ok(ended) => {
                let (outcome, detail) = match ended.error {
                    None => (Outcome::Delivered, String::new()),
                    Some(_) => (Outcome::GenericError, String::from_utf8_lossy(&ended.payload).into_owned()),
                };
                Report { outcome, status: None, detail, invocation: Some(ended.id) }
            }
            Err(error) => report(Outcome::of_kind(error.kind), error.to_string()),
        }
    }
}

/// A field's text, number or truth value.
fn plain_value(event: &Event, key: &str) -> Option<String> {
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    match event.at(&path)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        _ => None,
    }
}

pub(crate) fn report(outcome: Outcome, detail: String) -> Report {
    Report { outcome, status: None, detail, invocation: None }
}
