//! Topics of messages and who gets these. Everything behind the definitions is shared with topics of events.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{
    EventBatching, EventEndpoint, EventFilter, EventRetry, EventSchema, EventSubscriptionDefinition, StreamOwner,
    SubscriptionState, TopicDefinition,
};
use millstream_storage::to_the_end;
use millstream_stream::Placement;
use millstream_types::BoxFuture;
use tokio::sync::OwnedMutexGuard;

use super::check::{self, shown};
use super::confirmation::{CONFIRMATION_MS, new_token};
use super::subscriptions::{self, SUBSCRIPTIONS_MAX};
use super::topics::{is_of_messages, missing};
use super::{Events, PutSubscription};
use crate::error::EventError;
use crate::filter::Filter;
use crate::message::{HandshakeKind, Message};
use crate::schema::Event;

/// Topics of messages of a node: each has a stream of its own.
pub const MESSAGE_TOPICS_MAX: usize = 1_000;

/// What a topic of messages is made from.
#[derive(Debug, Clone, Default)]
pub struct NewMessageTopic {
    /// 1 to 256 letters, digits, `-` and `_`.
    pub name: String,
    /// How its messages name it.
    pub address: String,
    /// Settings in the protocol's words.
    pub attributes: BTreeMap<String, String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// What a subscription to messages is made from.
#[derive(Debug, Clone)]
pub struct MessageSubscription {
    /// The topic.
    pub topic: String,
    /// Where messages go.
    pub endpoint: EventEndpoint,
    /// Which messages, and how.
    pub settings: MessageSettings,
}

/// How a subscription to messages is served.
#[derive(Debug, Clone, Default)]
pub struct MessageSettings {
    /// Which messages.
    pub filter: EventFilter,
    /// Whether they go out as they are.
    pub raw: bool,
    /// Attempts in all.
    pub attempts_max: u32,
    /// Seconds between them, the last wait repeating.
    pub retry_waits: Vec<u32>,
    /// Where messages go that could not be delivered.
    pub dead_letter_queue: Option<String>,
    /// All of this in the protocol's words.
    pub attributes: BTreeMap<String, String>,
}

impl Events {
    /// Makes a topic of messages.
    ///
    /// # Errors
    /// [`EventError::TopicExists`], also for a topic of events; [`EventError::BadName`], [`EventError::TooMany`];
    /// [`EventError::NotSupported`] where the node has no form for messages; [`EventError::Storage`].
    pub fn create_message_topic(
        &self,
        new: NewMessageTopic,
    ) -> BoxFuture<'_, Result<Arc<TopicDefinition>, EventError>> {
        Box::pin(async move {
            if self.shared.options.messages.is_none() {
                return Err(EventError::NotSupported { feature: "a topic of messages" });
            }
            check::message_topic_name(&new.name)?;
            let definition = TopicDefinition {
                name: new.name,
                address: new.address,
                schema: EventSchema::Message,
                mapping: None,
                keys: <[String; 2]>::default(),
                created: self.shared.clock.now(),
                location: String::new(),
                tags: new.tags,
                attributes: new.attributes,
            };
            self.add_topic(definition, MESSAGE_TOPICS_MAX).await
        })
    }

    /// The definition of a topic of messages.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`].
    pub fn message_topic(&self, topic: &str) -> Result<Arc<TopicDefinition>, EventError> {
        self.any_topic(topic).and_then(|found| if is_of_messages(&found) { Ok(found) } else { Err(missing(topic)) })
    }

    /// All topics of messages in the order of their names.
    #[must_use]
    pub fn message_topics(&self) -> Vec<Arc<TopicDefinition>> {
        self.all_topics().into_iter().filter(|topic| is_of_messages(topic)).collect()
    }

    /// Changes a topic's settings and labels, nothing else of it. `change` sees the topic as it is, and no other change
    /// comes between; what it refuses changes nothing.
    ///
    /// # Errors
    /// What `change` refuses; [`EventError::TopicNotFound`], [`EventError::Storage`].
    pub async fn change_message_topic<E: From<EventError>>(
        &self,
        topic: &str,
        change: impl FnOnce(&mut TopicDefinition) -> Result<(), E>,
    ) -> Result<Arc<TopicDefinition>, E> {
        let turn = self.turn().await;
        let mut definition = (*self.message_topic(topic)?).clone();
        change(&mut definition)?;
        Ok(self.put_topic(turn, definition).await?)
    }

    /// Removes a topic with its subscriptions and messages.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`], [`EventError::Storage`].
    pub fn delete_message_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async move {
            let definition = self.message_topic(topic)?;
            self.remove_topic(definition).await
        })
    }

    /// Publishes messages: durable when this returns, all or none.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`], [`EventError::Stream`].
    pub fn publish_messages<'a>(
        &'a self,
        topic: &'a str,
        messages: &'a [Message],
    ) -> BoxFuture<'a, Result<Vec<Placement>, EventError>> {
        Box::pin(async move {
            let definition = self.message_topic(topic)?;
            let events: Vec<Event> = messages.iter().map(Event::of_message).collect();
            self.publish(&definition, &events).await
        })
    }

    /// Subscribes an endpoint to the messages that are published from now on. An endpoint that is subscribed is so once. A
    /// webhook is told of it and gets nothing before it confirms; this does not wait for that.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`], [`EventError::SubscriptionDiffers`]; whatever is wrong with the settings;
    /// [`EventError::Storage`].
    pub fn subscribe(&self, new: MessageSubscription) -> BoxFuture<'_, Result<PutSubscription, EventError>> {
        Box::pin(async move {
            self.check_messages(&new)?;
            let (turn, events) = (self.turn().await, self.clone());
            to_the_end(async move { events.subscribe_in_turn(turn, new).await }).await
        })
    }

    async fn subscribe_in_turn(
        &self,
        _turn: OwnedMutexGuard<()>,
        new: MessageSubscription,
    ) -> Result<PutSubscription, EventError> {
        let shared = &self.shared;
        let topic = self.message_topic(&new.topic)?;
        let now = shared.clock.now();
        self.remove_unconfirmed(&new.topic, now).await?;
        let all = self.subscriptions(&new.topic);
        if let Some(known) = all.iter().find(|known| known.endpoint == new.endpoint) {
            let given = &new.settings.attributes;
            if given.iter().any(|(name, value)| known.attributes.get(name) != Some(value)) {
                return Err(EventError::SubscriptionDiffers { endpoint: shown(&new.endpoint) });
            }
            return Ok(PutSubscription { definition: self.ask_again(known, now).await?, created: false });
        }
        if all.len() >= SUBSCRIPTIONS_MAX {
            return Err(EventError::TooMany { what: "subscriptions of a topic", max: SUBSCRIPTIONS_MAX });
        }
        let name = uuid::Uuid::new_v4().to_string();
        let state = match new.endpoint {
            EventEndpoint::Webhook { .. } => {
                SubscriptionState::AwaitingValidation { code: new_token(), until: now + CONFIRMATION_MS }
            }
            _ => SubscriptionState::Active,
        };
        let mut definition = EventSubscriptionDefinition {
            id: EventSubscriptionDefinition::id_of(&new.topic, &name),
            topic: new.topic,
            name,
            endpoint: new.endpoint,
            filter: EventFilter::default(),
            delivery_schema: EventSchema::Message,
            retry: EventRetry::default(),
            dead_letter: None,
            batching: EventBatching::default(),
            headers: Vec::new(),
            state,
            expires: None,
            labels: Vec::new(),
            raw: false,
            retry_waits: Vec::new(),
            dead_letter_queue: None,
            attributes: BTreeMap::new(),
            confirmation: None,
            created: now,
            modified: now,
        };
        new.settings.put_into(&mut definition);
        self.begin(&topic, &definition.id).await?;
        let definition = shared.catalog.event_subscriptions.put(definition).await?;
        self.run(&definition)?;
        self.ask(&definition);
        Ok(PutSubscription { definition, created: true })
    }

    /// Changes how a subscription is served; messages under way go on as it says then. `change` sees the subscription and
    /// its topic as they are and says how it is to be; no other change comes between.
    ///
    /// # Errors
    /// What `change` refuses; [`EventError::SubscriptionNotFound`]; whatever is wrong with the settings;
    /// [`EventError::Storage`].
    pub async fn change_message_subscription<E: From<EventError>>(
        &self,
        topic: &str,
        name: &str,
        change: impl FnOnce(&EventSubscriptionDefinition, &TopicDefinition) -> Result<MessageSettings, E>,
    ) -> Result<Arc<EventSubscriptionDefinition>, E> {
        let turn = self.turn().await;
        let mut definition = (*self.message_subscription(topic, name)?).clone();
        let settings = change(&definition, &*self.message_topic(topic)?)?;
        Filter::compile(&settings.filter, EventSchema::Message).map_err(EventError::from)?;
        settings.put_into(&mut definition);
        definition.modified = self.shared.clock.now();
        Ok(self.put(turn, definition, None).await?)
    }

    /// Ends a subscription; a webhook that confirmed it is told.
    ///
    /// # Errors
    /// [`EventError::SubscriptionNotFound`], [`EventError::Storage`].
    pub fn unsubscribe<'a>(&'a self, topic: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let (definition, events) = (self.message_subscription(topic, name)?, self.clone());
            to_the_end(async move {
                let _turn = turn;
                events.remove_subscription(&definition).await?;
                let webhook = matches!(definition.endpoint, EventEndpoint::Webhook { .. });
                if webhook && definition.state == SubscriptionState::Active {
                    events.tell(&definition, HandshakeKind::Unsubscribed);
                }
                Ok(())
            })
            .await
        })
    }

    /// A subscription to messages.
    ///
    /// # Errors
    /// [`EventError::SubscriptionNotFound`].
    pub fn message_subscription(
        &self,
        topic: &str,
        name: &str,
    ) -> Result<Arc<EventSubscriptionDefinition>, EventError> {
        let found = self.any_subscription(topic, name)?;
        if found.delivery_schema == EventSchema::Message { Ok(found) } else { Err(subscriptions::missing(topic, name)) }
    }

    /// All subscriptions to messages in the order of their topics and names.
    #[must_use]
    pub fn message_subscriptions(&self) -> Vec<Arc<EventSubscriptionDefinition>> {
        let all = self.shared.catalog.event_subscriptions.list();
        all.into_iter().filter(|subscription| subscription.delivery_schema == EventSchema::Message).collect()
    }

    /// Whether a subscription to messages can be. Queues and functions may be made later.
    fn check_messages(&self, new: &MessageSubscription) -> Result<(), EventError> {
        Filter::compile(&new.settings.filter, EventSchema::Message)?;
        let refuse = |reason: String| Err(EventError::Endpoint { endpoint: shown(&new.endpoint), reason });
        match &new.endpoint {
            EventEndpoint::Webhook { url } => match self.shared.client.check(url) {
                Ok(_) => Ok(()),
                Err(error) => refuse(error.to_string()),
            },
            EventEndpoint::Stream { name } => match self.shared.streams.get(name) {
                Ok(stream) if matches!(stream.owner, StreamOwner::User | StreamOwner::DeliveryStream) => Ok(()),
                Ok(_) => refuse("the stream belongs to another resource".to_owned()),
                Err(error) => refuse(error.to_string()),
            },
            EventEndpoint::Function { .. } | EventEndpoint::Queue { .. } => Ok(()),
        }
    }
}

impl MessageSettings {
    fn put_into(self, definition: &mut EventSubscriptionDefinition) {
        definition.filter = self.filter;
        definition.raw = self.raw;
        definition.retry = EventRetry { attempts_max: self.attempts_max.max(1), ..EventRetry::default() };
        definition.retry_waits = self.retry_waits;
        definition.dead_letter_queue = self.dead_letter_queue;
        definition.attributes = self.attributes;
    }
}
