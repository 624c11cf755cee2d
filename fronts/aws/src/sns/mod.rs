//! SNS over the event engine's topics of messages. Standard topics: FIFO topics are refused by name.
//! Source: the Amazon SNS API reference.
//!
//! Subscriptions of queues, functions, delivery streams and webhooks; those of e-mail, SMS and mobile applications are
//! refused. Read next: `topics`, `subscriptions` and `settings` (definitions), `publish`, [`notification`] (what
//! subscribers get), `public` (what webhooks call).

mod attributes;
mod delivery_policy;
mod endpoint;
mod error;
pub mod notification;
mod permissions;
mod public;
mod publish;
mod settings;
mod subscriptions;
mod tags;
mod topics;

use bytes::Bytes;
use http::{Response, request};
use millstream_event::Events;
use millstream_http::xml::Element;

use crate::json_protocol::ServiceError;
use crate::place::{Place, resource};
use crate::query_protocol::{self, Parameters, QueryRequest};
use notification::Signer;

pub(crate) use permissions::policy_of;
pub use settings::read as read_settings;

const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// Entries of a page of a listing.
const PAGE: usize = 100;

/// The service.
pub struct Sns {
    events: Events,
    place: Place,
    signer: Signer,
}

/// What an operation answers: it writes the content of its result.
type Answer = Box<dyn FnOnce(&mut Element) + Send>;

impl Sns {
    /// The service over the event engine; messages are signed by `signer`.
    #[must_use]
    pub fn new(events: Events, place: Place, signer: Signer) -> Self {
        Self { events, place, signer }
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: &QueryRequest) -> Response<Bytes> {
        match self.call(&request.action, &request.parameters).await {
            Ok(write) => query_protocol::answer(NAMESPACE, &request.action, &request.request_id, write),
            Err(error) => query_protocol::error(NAMESPACE, &error, &request.request_id),
        }
    }

    /// Answers what needs no signature: what webhooks call. `None`: it is no such request.
    pub(crate) async fn public(&self, head: &request::Parts) -> Option<Response<Bytes>> {
        public::answer(self, head).await
    }

    async fn call(&self, action: &str, parameters: &Parameters) -> Result<Answer, ServiceError> {
        match action {
            "CreateTopic" => topics::create(self, parameters).await,
            "DeleteTopic" => topics::delete(self, parameters).await,
            "ListTopics" => topics::list(self, parameters),
            "GetTopicAttributes" => topics::attributes(self, parameters),
            "SetTopicAttributes" => topics::set_attribute(self, parameters).await,
            "AddPermission" => permissions::add(self, parameters).await,
            "RemovePermission" => permissions::remove(self, parameters).await,
            "TagResource" => tags::tag(self, parameters).await,
            "UntagResource" => tags::untag(self, parameters).await,
            "ListTagsForResource" => tags::list(self, parameters),
            "Subscribe" => subscriptions::subscribe(self, parameters).await,
            "ConfirmSubscription" => subscriptions::confirm(self, parameters).await,
            "Unsubscribe" => subscriptions::unsubscribe(self, parameters).await,
            "ListSubscriptions" => subscriptions::list(self, parameters),
            "ListSubscriptionsByTopic" => subscriptions::list_by_topic(self, parameters),
            "GetSubscriptionAttributes" => subscriptions::attributes(self, parameters),
            "SetSubscriptionAttributes" => subscriptions::set_attribute(self, parameters).await,
            "Publish" => publish::one(self, parameters).await,
            "PublishBatch" => publish::batch(self, parameters).await,
            other => Err(error::unsupported_operation(other)),
        }
    }

    /// The topic that a parameter names by its ARN.
    fn topic_of(&self, parameters: &Parameters, name: &str) -> Result<String, ServiceError> {
        let arn = parameters.get(name).ok_or_else(|| error::invalid(name))?;
        let own = self.place.arn("sns", "");
        match resource(arn, "sns", "") {
            Some(topic) if !topic.contains(':') && arn.starts_with(&own) => Ok(topic.to_owned()),
            Some(topic) if !topic.contains(':') => Err(error::topic_missing()),
            _ => Err(error::invalid_because(name, "an ARN of a topic was expected")),
        }
    }
}

/// An answer without content.
fn nothing() -> Answer {
    Box::new(|_| {})
}

/// A map as this service writes it.
fn write_entries(parent: &mut Element, name: &str, entries: &[(String, String)]) {
    parent.child(name, |map| {
        for (key, value) in entries {
            map.child("entry", |entry| {
                entry.text("key", key);
                entry.text("value", value);
            });
        }
    });
}

/// A page of what is in the order of its keys: the entries behind `after`, and where the next page begins.
fn page_of<T>(all: Vec<T>, after: Option<&str>, key: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
    let after = after.and_then(|token| hex::decode(token).ok()).unwrap_or_default();
    let mut rest: Vec<T> = all.into_iter().filter(|entry| key(entry).as_bytes() > after.as_slice()).collect();
    let more = rest.len() > PAGE;
    rest.truncate(PAGE);
    let next = rest.last().filter(|_| more).map(|last| hex::encode(key(last)));
    (rest, next)
}
