//! Event subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{
    CatalogError, DeadLetterTarget, DeliveryHeader, EventBatching, EventEndpoint, EventFilter, EventRetry, EventSchema,
    EventSubscriptionDefinition, SubscriptionState, TopicDefinition,
};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::{BoxFuture, Millis};
use tokio::sync::{OwnedMutexGuard, watch};

use super::Events;
use super::check::shown;
use crate::error::EventError;
use crate::log::{Delivery, SubscriptionStatus};
use crate::task::ProgressStore;
use crate::webhook::{Consent, Farewell, Handshake};

/// Subscriptions of one topic. Source: the service's quota.
pub const SUBSCRIPTIONS_MAX: usize = 500;

/// How long the address that confirms a subscription counts.
const VALIDATION_MS: Millis = 10 * 60_000;

/// What a subscription is made from.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// The topic.
    pub topic: String,
    /// 3 to 64 letters, digits and `-`.
    pub name: String,
    /// Where events go.
    pub endpoint: EventEndpoint,
    /// Which events.
    pub filter: EventFilter,
    /// The form in which they are delivered.
    pub delivery_schema: EventSchema,
    /// How often and how long a delivery is tried.
    pub retry: EventRetry,
    /// Where undeliverable events go.
    pub dead_letter: Option<DeadLetterTarget>,
    /// How many events one delivery may hold.
    pub batching: EventBatching,
    /// Whether events are delivered as they were published, by topics whose publishers have a form of their own.
    pub raw: bool,
    /// Headers that deliveries to a webhook have besides the protocol's own, or properties that records of a stream have. At
    /// most 10.
    pub headers: Vec<DeliveryHeader>,
    /// Words of its maker.
    pub labels: Vec<String>,
    /// When it ends, in the future; `None`: when it is removed.
    pub expires: Option<Millis>,
}

/// What became of a definition.
#[derive(Debug, Clone)]
pub struct PutSubscription {
    /// The subscription as it is now.
    pub definition: Arc<EventSubscriptionDefinition>,
    /// Whether there was none before.
    pub created: bool,
}

/// Whether a subscription's events flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioning {
    /// They do.
    Succeeded,
    /// Somebody has to visit the address that the webhook was told.
    AwaitingValidation,
    /// Nobody did in time.
    Failed,
}

impl Events {
    /// Makes a subscription or changes it. A webhook is asked for its consent when it is new: this waits for its answer,
    /// 30 s at most. Events that are published from then on are delivered.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`]; [`EventError::Validation`] when the webhook refuses; whatever is wrong with the
    /// definition; [`EventError::Storage`].
    pub fn put_subscription(&self, new: NewSubscription) -> BoxFuture<'_, Result<PutSubscription, EventError>> {
        Box::pin(async move {
            let shared = &self.shared;
            let topic = self.topic(&new.topic)?;
            self.check(&new, &topic)?;
            let id = EventSubscriptionDefinition::id_of(&new.topic, &new.name);
            let state = self.consent(&new, &topic).await?;

            let turn = self.turn().await;
            let topic = self.topic(&new.topic)?;
            let before = self.any_subscription(&new.topic, &new.name).ok();
            if before.is_none() && self.subscriptions(&new.topic).len() >= SUBSCRIPTIONS_MAX {
                return Err(EventError::TooMany { what: "subscriptions of a topic", max: SUBSCRIPTIONS_MAX });
            }
            let now = shared.clock.now();
            let definition = EventSubscriptionDefinition {
                id: id.clone(),
                topic: new.topic,
                name: new.name,
                endpoint: new.endpoint,
                filter: new.filter,
                delivery_schema: new.delivery_schema,
                retry: new.retry,
                dead_letter: new.dead_letter,
                batching: new.batching,
                headers: new.headers,
                state,
                expires: new.expires,
                labels: new.labels,
                raw: new.raw,
                retry_waits: Vec::new(),
                dead_letter_queue: None,
                attributes: BTreeMap::new(),
                confirmation: None,
                created: before.as_ref().map_or(now, |before| before.created),
                modified: now,
            };
            let begins = before.as_ref().is_none_or(|before| before.state != SubscriptionState::Active);
            let definition = self.put(turn, definition, begins.then_some(topic)).await?;
            Ok(PutSubscription { definition, created: before.is_none() })
        })
    }

    /// Writes a subscription's definition, in one's turn, and lets its task go by it; with a topic it begins anew, at the
    /// topic's end.
    pub(super) async fn put(
        &self,
        turn: OwnedMutexGuard<()>,
        definition: EventSubscriptionDefinition,
        begin: Option<Arc<TopicDefinition>>,
    ) -> Result<Arc<EventSubscriptionDefinition>, EventError> {
        let events = self.clone();
        to_the_end(async move {
            let _turn = turn;
            if let Some(topic) = begin {
                events.begin(&topic, &definition.id).await?;
            }
            let definition = events.shared.catalog.event_subscriptions.put(definition).await?;
            events.halt(&definition.id).await;
            events.run(&definition)?;
            Ok(definition)
        })
        .await
    }

    /// Asks the endpoint whether it wants the events, unless it said so before.
    async fn consent(&self, new: &NewSubscription, topic: &TopicDefinition) -> Result<SubscriptionState, EventError> {
        let shared = &self.shared;
        let EventEndpoint::Webhook { url } = &new.endpoint else { return Ok(SubscriptionState::Active) };
        let known = self.any_subscription(&new.topic, &new.name).is_ok_and(|before| {
            before.state == SubscriptionState::Active
                && before.endpoint == new.endpoint
                && before.delivery_schema == new.delivery_schema
        });
        if known {
            return Ok(SubscriptionState::Active);
        }
        let code = uuid::Uuid::new_v4().to_string();
        let now = shared.clock.now();
        let handshake = Handshake {
            client: &shared.client,
            words: &shared.options.words,
            schema: new.delivery_schema,
            url,
            topic: &topic.address,
            subscription: &new.name,
            code: &code,
            validation_url: &(shared.options.validation_url)(&new.topic, &new.name, &code),
            now,
        };
        match handshake.ask().await {
            Consent::Given => Ok(SubscriptionState::Active),
            Consent::Open => Ok(SubscriptionState::AwaitingValidation { code, until: now + VALIDATION_MS }),
            Consent::Refused(reason) => Err(EventError::Validation { endpoint: shown(&new.endpoint), reason }),
        }
    }

    /// Confirms a webhook by hand: somebody visited the address that it was told.
    ///
    /// # Errors
    /// [`EventError::NothingToConfirm`]; [`EventError::Storage`].
    pub fn confirm<'a>(
        &'a self,
        topic: &'a str,
        name: &'a str,
        code: &'a str,
    ) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let found = self.topic(topic).and_then(|_| self.subscription(topic, name));
            let mut definition = found.map(|found| (*found).clone()).map_err(|_| EventError::NothingToConfirm)?;
            match &definition.state {
                SubscriptionState::AwaitingValidation { code: expected, until }
                    if expected == code && self.shared.clock.now() < *until => {}
                _ => return Err(EventError::NothingToConfirm),
            }
            definition.state = SubscriptionState::Active;
            self.put(turn, definition, None).await.map(drop)
        })
    }

    /// Removes a subscription with what it has not delivered.
    ///
    /// # Errors
    /// [`EventError::SubscriptionNotFound`], [`EventError::Storage`].
    pub fn delete_subscription<'a>(&'a self, topic: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let (definition, events) = (self.subscription(topic, name)?, self.clone());
            to_the_end(async move {
                let _turn = turn;
                events.remove_subscription(&definition).await
            })
            .await
        })
    }

    /// Removes subscriptions whose time is over; until then nothing is delivered to them and nobody sees them. Called by the
    /// clock.
    ///
    /// # Errors
    /// [`EventError::Storage`].
    pub fn remove_expired(&self) -> BoxFuture<'_, Result<(), EventError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let now = self.shared.clock.now();
            let all = self.shared.catalog.event_subscriptions.list();
            let over: Vec<_> = all.into_iter().filter(|subscription| subscription.is_over(now)).collect();
            let events = self.clone();
            to_the_end(async move {
                let _turn = turn;
                for subscription in over {
                    tracing::info!(subscription = %subscription.id, "an event subscription has expired");
                    events.remove_subscription(&subscription).await?;
                }
                Ok(())
            })
            .await
        })
    }

    /// To be called in one's turn only.
    pub(super) async fn remove_subscription(
        &self,
        definition: &Arc<EventSubscriptionDefinition>,
    ) -> Result<(), EventError> {
        self.halt(&definition.id).await;
        let mut transaction = Transaction::new();
        ProgressStore::new(&self.shared.storage, &definition.id).remove(&mut transaction);
        match self.shared.catalog.event_subscriptions.delete(&definition.id, transaction).await {
            Ok(_) | Err(CatalogError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.views().remove(&definition.id);
        self.say_farewell(definition);
        Ok(())
    }

    /// Tells a webhook that its subscription has ended, and does not wait for it.
    fn say_farewell(&self, definition: &Arc<EventSubscriptionDefinition>) {
        let shared = &self.shared;
        let (true, Ok(topic)) = (Farewell::is_due(definition), self.topic(&definition.topic)) else { return };
        let Ok(place) = Arc::clone(&shared.farewells).try_acquire_owned() else { return };
        let farewell = Farewell {
            client: shared.client.clone(),
            words: shared.options.words.clone(),
            definition: Arc::clone(definition),
            topic: topic.address.clone(),
            now: shared.clock.now(),
        };
        tokio::spawn(async move {
            farewell.say().await;
            drop(place);
        });
    }

    /// The definition of a subscription to events. Subscriptions to messages are no such.
    ///
    /// # Errors
    /// [`EventError::SubscriptionNotFound`].
    pub fn subscription(&self, topic: &str, name: &str) -> Result<Arc<EventSubscriptionDefinition>, EventError> {
        let found = self.any_subscription(topic, name)?;
        if found.delivery_schema == EventSchema::Message { Err(missing(topic, name)) } else { Ok(found) }
    }

    /// The definition of a subscription to events or messages.
    ///
    /// # Errors
    /// [`EventError::SubscriptionNotFound`].
    pub fn any_subscription(&self, topic: &str, name: &str) -> Result<Arc<EventSubscriptionDefinition>, EventError> {
        let id = EventSubscriptionDefinition::id_of(topic, name);
        let found = self.shared.catalog.event_subscriptions.get(&id);
        let now = self.shared.clock.now();
        found.filter(|subscription| !subscription.is_over(now)).ok_or_else(|| missing(topic, name))
    }

    /// A topic's subscriptions in the order of their names.
    #[must_use]
    pub fn subscriptions(&self, topic: &str) -> Vec<Arc<EventSubscriptionDefinition>> {
        let now = self.shared.clock.now();
        self.stored_subscriptions(topic).into_iter().filter(|subscription| !subscription.is_over(now)).collect()
    }

    /// A topic's subscriptions with those whose time is over.
    pub(super) fn stored_subscriptions(&self, topic: &str) -> Vec<Arc<EventSubscriptionDefinition>> {
        let all = self.shared.catalog.event_subscriptions.list();
        all.into_iter().filter(|subscription| subscription.topic == topic).collect()
    }

    /// Whether a subscription's events flow.
    #[must_use]
    pub fn provisioning(&self, definition: &EventSubscriptionDefinition) -> Provisioning {
        match definition.state {
            SubscriptionState::Active => Provisioning::Succeeded,
            SubscriptionState::AwaitingValidation { until, .. } if self.shared.clock.now() < until => {
                Provisioning::AwaitingValidation
            }
            SubscriptionState::AwaitingValidation { .. } => Provisioning::Failed,
        }
    }

    /// How a subscription is doing; `None` when there is none.
    #[must_use]
    pub fn status(&self, topic: &str, name: &str) -> Option<SubscriptionStatus> {
        let definition = self.any_subscription(topic, name).ok()?;
        Some(self.view(&definition.id).status())
    }

    /// The last deliveries of a subscription, oldest first; `None` when there is none.
    #[must_use]
    pub fn deliveries(&self, topic: &str, name: &str) -> Option<Vec<Delivery>> {
        let definition = self.any_subscription(topic, name).ok()?;
        Some(self.view(&definition.id).deliveries())
    }

    /// Tells of deliveries: the value is the number of the last one. `None` when there is no such subscription.
    #[must_use]
    pub fn follow(&self, topic: &str, name: &str) -> Option<watch::Receiver<u64>> {
        let definition = self.any_subscription(topic, name).ok()?;
        Some(self.view(&definition.id).follow())
    }
}

pub(super) fn missing(topic: &str, name: &str) -> EventError {
    EventError::SubscriptionNotFound { topic: topic.to_owned(), name: name.to_owned() }
}
