//! Topics, and what is published to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_catalog::{CatalogError, EventMapping, EventSchema, StreamOwner, TopicDefinition};
use millstream_storage::{Transaction, to_the_end};
use millstream_stream::{Entry, NewStream, Placement};
use millstream_types::BoxFuture;
use tokio::sync::OwnedMutexGuard;

use super::{Events, check};
use crate::error::EventError;
use crate::schema::Event;

/// How long a topic's events stay readable: longer than the day in which a delivery may be tried and the hours in which a
/// dead letter may be.
const RETENTION_HOURS: u32 = 48;

/// Topics of a node. Source: the service's quota for a region.
pub const TOPICS_MAX: usize = 100;

/// What a topic is made from.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// 3 to 50 letters, digits and `-`.
    pub name: String,
    /// How its events name it.
    pub address: String,
    /// The form in which events are published.
    pub schema: EventSchema,
    /// Where the members of its events are, when publishers have a form of their own. Goes with the form Event Grid.
    pub mapping: Option<EventMapping>,
    /// Where its maker wants it; recorded.
    pub location: String,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

impl Events {
    /// Makes a topic with two new keys.
    ///
    /// # Errors
    /// [`EventError::TopicExists`], [`EventError::BadName`], [`EventError::TooMany`]; [`EventError::Storage`].
    pub fn create_topic(&self, new: NewTopic) -> BoxFuture<'_, Result<Arc<TopicDefinition>, EventError>> {
        Box::pin(async move {
            check::topic_name(&new.name)?;
            let definition = TopicDefinition {
                name: new.name,
                address: new.address,
                schema: new.schema,
                mapping: new.mapping,
                keys: [new_key(), new_key()],
                created: self.shared.clock.now(),
                location: new.location,
                tags: new.tags,
                attributes: BTreeMap::new(),
            };
            self.add_topic(definition, TOPICS_MAX).await
        })
    }

    /// Adds a topic where there are fewer than `most` of its kind. A name is one topic, whatever its kind.
    pub(super) async fn add_topic(
        &self,
        definition: TopicDefinition,
        most: usize,
    ) -> Result<Arc<TopicDefinition>, EventError> {
        let (turn, shared) = (self.turn().await, &self.shared);
        if shared.catalog.topics.get(&definition.name).is_some() {
            return Err(EventError::TopicExists { topic: definition.name });
        }
        let messages = is_of_messages(&definition);
        let same = shared.catalog.topics.list().iter().filter(|topic| is_of_messages(topic) == messages).count();
        if same >= most {
            return Err(EventError::TooMany { what: "topics", max: most });
        }
        let (events, name) = (self.clone(), definition.stream());
        to_the_end(async move {
            let (_turn, shared) = (turn, &events.shared);
            // A crash between making the stream and writing the definition leaves the stream: it is taken then.
            if shared.streams.get(&name).is_err() {
                let new = NewStream { name, owner: StreamOwner::Topic, shards: 1, retention_hours: RETENTION_HOURS };
                shared.streams.create(new).await?;
            }
            Ok(shared.catalog.topics.create(definition).await?)
        })
        .await
    }

    /// Changes a topic's labels.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`], [`EventError::Storage`].
    pub fn set_topic_tags<'a>(
        &'a self,
        topic: &'a str,
        tags: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Arc<TopicDefinition>, EventError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut definition = (*self.topic(topic)?).clone();
            definition.tags = tags;
            self.put_topic(turn, definition).await
        })
    }

    /// Replaces one of a topic's two keys, 0 or 1, by a new one.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`]; [`EventError::OutOfRange`] for another number; [`EventError::Storage`].
    pub fn regenerate_key<'a>(
        &'a self,
        topic: &'a str,
        key: usize,
    ) -> BoxFuture<'a, Result<Arc<TopicDefinition>, EventError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut definition = (*self.topic(topic)?).clone();
            let found = u32::try_from(key).unwrap_or(u32::MAX);
            let out_of_range = EventError::OutOfRange { what: "a key", min: 0, max: 1, found };
            *definition.keys.get_mut(key).ok_or(out_of_range)? = new_key();
            self.put_topic(turn, definition).await
        })
    }

    /// Writes a topic's definition, in one's turn.
    pub(super) async fn put_topic(
        &self,
        turn: OwnedMutexGuard<()>,
        definition: TopicDefinition,
    ) -> Result<Arc<TopicDefinition>, EventError> {
        let topics = self.shared.catalog.topics.clone();
        let put = to_the_end(async move {
            let _turn = turn;
            topics.put(definition).await
        });
        Ok(put.await?)
    }

    /// Removes a topic with its subscriptions and its events.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`], [`EventError::Storage`].
    pub fn delete_topic<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async move {
            let definition = self.topic(topic)?;
            self.remove_topic(definition).await
        })
    }

    /// Removes a topic of either kind.
    pub(super) async fn remove_topic(&self, definition: Arc<TopicDefinition>) -> Result<(), EventError> {
        let (turn, events) = (self.turn().await, self.clone());
        to_the_end(async move {
            let _turn = turn;
            for subscription in events.stored_subscriptions(&definition.name) {
                events.remove_subscription(&subscription).await?;
            }
            match events.shared.catalog.topics.delete(&definition.name, Transaction::new()).await {
                Err(CatalogError::NotFound { name, .. }) => return Err(EventError::TopicNotFound { topic: name }),
                other => other.map(drop)?,
            }
            events.shared.streams.delete(&definition.stream()).await?;
            Ok(())
        })
        .await
    }

    /// The definition of a topic of events. Topics of messages are no such.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`].
    pub fn topic(&self, topic: &str) -> Result<Arc<TopicDefinition>, EventError> {
        self.any_topic(topic).and_then(|found| if is_of_messages(&found) { Err(missing(topic)) } else { Ok(found) })
    }

    /// The definition of a topic of either kind.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`].
    pub fn any_topic(&self, topic: &str) -> Result<Arc<TopicDefinition>, EventError> {
        self.shared.catalog.topics.get(topic).ok_or_else(|| missing(topic))
    }

    /// All topics of events in the order of their names.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<TopicDefinition>> {
        self.all_topics().into_iter().filter(|topic| !is_of_messages(topic)).collect()
    }

    /// All topics, of events and of messages.
    #[must_use]
    pub fn all_topics(&self) -> Vec<Arc<TopicDefinition>> {
        self.shared.catalog.topics.list()
    }

    /// Publishes events: durable when this returns, all or none.
    ///
    /// # Errors
    /// [`EventError::Stream`].
    pub fn publish<'a>(
        &'a self,
        topic: &'a TopicDefinition,
        events: &'a [Event],
    ) -> BoxFuture<'a, Result<Vec<Placement>, EventError>> {
        Box::pin(async move {
            if events.is_empty() {
                return Ok(Vec::new());
            }
            let entry = |event: &Event| Entry {
                partition_key: Bytes::copy_from_slice(event.id().as_bytes()),
                explicit_hash_key: None,
                headers: Bytes::new(),
                data: event.encoded(),
            };
            let entries: Vec<Entry> = events.iter().map(entry).collect();
            let stream = topic.stream();
            let placements = self.shared.streams.put(&stream, &entries).await?;
            self.shared.insight.metrics.counter("records_in", &stream).add(entries.len() as u64);
            let bytes = entries.iter().map(|entry| entry.data.len() as u64).sum();
            self.shared.insight.metrics.counter("bytes_in", &stream).add(bytes);
            Ok(placements)
        })
    }
}

pub(super) fn is_of_messages(topic: &TopicDefinition) -> bool {
    topic.schema == EventSchema::Message
}

pub(super) fn missing(topic: &str) -> EventError {
    EventError::TopicNotFound { topic: topic.chars().take(80).collect() }
}

/// 256 bits that nobody can guess (12 of them are fixed), as base64.
fn new_key() -> String {
    let (first, second) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    STANDARD.encode([*first.as_bytes(), *second.as_bytes()].concat())
}
