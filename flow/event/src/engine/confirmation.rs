//! Whether webhooks want messages: each is told of its subscription and has to bring a token back.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use millstream_catalog::{EventEndpoint, EventSubscriptionDefinition, SubscriptionState, TopicDefinition};
use millstream_types::{BoxFuture, Millis};

use super::Events;
use crate::error::EventError;
use crate::message::{Handshake, HandshakeKind};
use crate::task::ProgressStore;

/// How long a token counts. Source: the service's documentation of its tokens, three days.
pub(super) const CONFIRMATION_MS: Millis = 3 * 24 * 3_600_000;

/// How often a webhook that does not answer is told, and the wait between. A start of the node forgets what is left.
const ATTEMPTS: u32 = 4;
const WAIT: Duration = Duration::from_secs(20);

/// 244 bits that nobody can guess, as hexadecimal digits.
pub(super) fn new_token() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

impl Events {
    /// Confirms the subscription that a token was made for; messages flow from now on. A token that confirmed it before
    /// changes nothing.
    ///
    /// # Errors
    /// [`EventError::TopicNotFound`], [`EventError::NothingToConfirm`]; [`EventError::Storage`].
    pub fn confirm_token<'a>(
        &'a self,
        topic: &'a str,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Arc<EventSubscriptionDefinition>, EventError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let found = self.message_topic(topic)?;
            let now = self.shared.clock.now();
            let meant = |subscription: &EventSubscriptionDefinition| match &subscription.state {
                SubscriptionState::AwaitingValidation { code, until } => code == token && now < *until,
                SubscriptionState::Active => subscription.confirmation.as_deref() == Some(token),
            };
            let asked = self.subscriptions(topic).into_iter().find(|subscription| meant(subscription));
            let asked = asked.ok_or(EventError::NothingToConfirm)?;
            if asked.state == SubscriptionState::Active {
                return Ok(asked);
            }
            let mut definition = (*asked).clone();
            definition.state = SubscriptionState::Active;
            definition.confirmation = Some(token.to_owned());
            definition.modified = now;
            self.put(turn, definition, Some(found)).await
        })
    }

    /// Begins a subscription at the end of its topic.
    pub(super) async fn begin(&self, topic: &TopicDefinition, id: &str) -> Result<(), EventError> {
        let shared = &self.shared;
        let stream = shared.streams.get(&topic.stream())?;
        let end = stream.shards.first().map_or(0, |shard| shared.streams.bounds(shard.log()).next);
        Ok(ProgressStore::new(&shared.storage, id).begin(end).await?)
    }

    /// Tells a webhook that waits for its confirmation of a new token. To be called in one's turn only.
    pub(super) async fn ask_again(
        &self,
        known: &Arc<EventSubscriptionDefinition>,
        now: Millis,
    ) -> Result<Arc<EventSubscriptionDefinition>, EventError> {
        if known.state == SubscriptionState::Active {
            return Ok(Arc::clone(known));
        }
        let mut definition = (**known).clone();
        definition.state = SubscriptionState::AwaitingValidation { code: new_token(), until: now + CONFIRMATION_MS };
        let definition = self.shared.catalog.event_subscriptions.put(definition).await?;
        self.ask(&definition);
        Ok(definition)
    }

    /// Asks a webhook, in the background, when it has to confirm.
    pub(super) fn ask(&self, definition: &Arc<EventSubscriptionDefinition>) {
        if let SubscriptionState::AwaitingValidation { code, .. } = &definition.state {
            self.tell(definition, HandshakeKind::Subscribed(code));
        }
    }

    /// Tells a webhook of its subscription, in the background, until it answers.
    pub(super) fn tell(&self, definition: &Arc<EventSubscriptionDefinition>, kind: HandshakeKind<'_>) {
        let (events, definition) = (self.clone(), Arc::clone(definition));
        let token = match kind {
            HandshakeKind::Subscribed(token) => Some(token.to_owned()),
            HandshakeKind::Unsubscribed => None,
        };
        tokio::spawn(async move {
            for attempt in 1..=ATTEMPTS {
                let kind = token.as_deref().map_or(HandshakeKind::Unsubscribed, HandshakeKind::Subscribed);
                match events.tell_once(&definition, kind).await {
                    Ok(()) => return,
                    Err(error) => {
                        let subscription = &definition.id;
                        tracing::info!(%subscription, attempt, error, "a webhook was not told of its subscription");
                        events.view(subscription).fail(format!("the webhook was not told: {error}"));
                    }
                }
                tokio::time::sleep(WAIT).await;
                let asked = events.any_subscription(&definition.topic, &definition.name).ok();
                if token.is_some() && asked.is_none_or(|asked| asked.state != definition.state) {
                    return;
                }
            }
        });
    }

    async fn tell_once(&self, definition: &EventSubscriptionDefinition, kind: HandshakeKind<'_>) -> Result<(), String> {
        let shared = &self.shared;
        let EventEndpoint::Webhook { url } = &definition.endpoint else { return Ok(()) };
        let Some(form) = &shared.options.messages else { return Ok(()) };
        let topic = self.message_topic(&definition.topic).map_err(|error| error.to_string())?;
        let handshake = Handshake { topic: &topic, subscription: definition, kind, now: shared.clock.now() };
        let request = form.handshake(handshake).await.map_err(|error| error.to_string())?;
        let answer = shared.client.send(Method::POST, url, request.headers, request.body).await;
        let status = answer.map_err(|error| error.to_string())?.status;
        if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
    }

    /// Removes subscriptions of a topic that nobody confirmed in time. To be called in one's turn only.
    pub(super) async fn remove_unconfirmed(&self, topic: &str, now: Millis) -> Result<(), EventError> {
        for subscription in self.subscriptions(topic) {
            if matches!(subscription.state, SubscriptionState::AwaitingValidation { until, .. } if until <= now) {
                self.remove_subscription(&subscription).await?;
            }
        }
        Ok(())
    }
}
