//! Farewell: a webhook is told that its subscription has ended. Once, behind the end, and whether it hears it or not: what is over
//! waits for nobody.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use millstream_catalog::{EventEndpoint, EventSchema, EventSubscriptionDefinition, SubscriptionState};
use millstream_types::Millis;
use serde_json::{Value, json};

use super::handshake::insert;
use super::{WebhookClient, WebhookWords};
use crate::schema::{cloud_events, event_grid};

/// Farewells on their way at once; with more the next is not said.
pub(crate) const FAREWELLS_MAX: usize = 64;

/// What one webhook is told.
pub(crate) struct Farewell {
    pub(crate) client: WebhookClient,
    pub(crate) words: WebhookWords,
    pub(crate) definition: Arc<EventSubscriptionDefinition>,
    /// The topic, as its events name it.
    pub(crate) topic: String,
    pub(crate) now: Millis,
}

impl Farewell {
    /// Whether somebody is to be told: a webhook that wanted the events. Messages have no such word.
    pub(crate) fn is_due(definition: &EventSubscriptionDefinition) -> bool {
        matches!(definition.endpoint, EventEndpoint::Webhook { .. })
            && definition.state == SubscriptionState::Active
            && definition.delivery_schema != EventSchema::Message
    }

    /// Tells it.
    pub(crate) async fn say(self) {
        let EventEndpoint::Webhook { url } = &self.definition.endpoint else { return };
        let mut headers = HeaderMap::new();
        let (media_type, body) = self.body();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(self.words.kind.clone(), HeaderValue::from_static(self.words.deletion));
        insert(&mut headers, &self.words.subscription, &self.definition.name);
        if let Err(error) = self.client.send(Method::POST, url, headers, body).await {
            tracing::debug!(subscription = %self.definition.id, %error, "a webhook does not hear that its subscription has ended");
        }
    }

    fn body(&self) -> (&'static str, Bytes) {
        let id = uuid::Uuid::new_v4().to_string();
        let time = millstream_types::time::rfc3339(self.now);
        let named = (self.words.subscription_id)(&self.topic, &self.definition.name);
        let data = json!({ self.words.deletion_member: named });
        let event = event_grid::service_event(&id, &self.topic, self.words.deletion_event_type, &time, data);
        match (self.definition.delivery_schema, &event) {
            (EventSchema::CloudEvents, Value::Object(fields)) => {
                let event = Value::Object(cloud_events::from_event_grid(fields));
                ("application/cloudevents+json; charset=utf-8", Bytes::from(event.to_string()))
            }
            _ => ("application/json; charset=utf-8", Bytes::from(json!([event]).to_string())),
        }
    }
}
