//! What became of a subscription's deliveries: the last of them, and numbers. In memory only.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_insight::{Counter, Gauge, Insight};
use millstream_types::Millis;
use tokio::sync::watch;

use crate::outcome::Outcome;

/// Deliveries that are kept of each subscription.
pub const DELIVERIES_KEPT: usize = 200;

/// Characters of an endpoint's own words that are kept.
const DETAIL_CHARS_MAX: usize = 200;

/// One attempt to deliver one event, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Rises from delivery to delivery: what comes behind a number is new.
    pub number: u64,
    /// When it ended.
    pub time: Millis,
    /// The event's id.
    pub event_id: String,
    /// Which attempt it was: 1, 2, …
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The endpoint's status, when it has such.
    pub status: Option<u16>,
    /// How long it took.
    pub duration_ms: u64,
    /// The endpoint's words, or what became of the event.
    pub detail: String,
}

/// How a subscription is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionStatus {
    /// Events delivered since the node started.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Events written as dead letters.
    pub dead_lettered: u64,
    /// Events given up without a dead letter.
    pub dropped: u64,
    /// Events that its filter did not want.
    pub filtered: u64,
    /// Events that wait for their next attempt.
    pub waiting: u64,
    /// Events of the topic that it has not looked at.
    pub behind: u64,
    /// Why the last attempt failed; `None` once one succeeds.
    pub last_error: Option<String>,
}

/// The view of one subscription.
pub(crate) struct View {
    recent: Mutex<Recent>,
    changes: watch::Sender<u64>,
    pub(crate) delivered: Counter,
    pub(crate) failed: Counter,
    /// Of all subscriptions of the topic together: what arrived, and what was given up.
    pub(crate) notifications_delivered: Counter,
    pub(crate) notifications_failed: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) dropped: Counter,
    pub(crate) filtered: Counter,
    pub(crate) waiting: Gauge,
    pub(crate) behind: Gauge,
}

#[derive(Default)]
struct Recent {
    deliveries: VecDeque<Delivery>,
    last_error: Option<String>,
}

impl View {
    pub(crate) fn new(insight: &Insight, id: &str) -> Self {
        let topic = id.split('/').next().unwrap_or(id);
        let subject = format!("event_subscription/{id}");
        let counter = |name| insight.metrics.counter(name, &subject);
        let of_topic = |name| insight.metrics.counter(name, &format!("topic/{topic}"));
        let gauge = |name| insight.metrics.gauge(name, &subject);
        Self {
            recent: Mutex::default(),
            changes: watch::Sender::new(0),
            delivered: counter("delivered"),
            notifications_delivered: of_topic("notifications_delivered"),
            notifications_failed: of_topic("notifications_failed"),
            failed: counter("failed_attempts"),
            dead_lettered: counter("dead_lettered"),
            dropped: counter("dropped"),
            filtered: counter("filtered"),
            waiting: gauge("waiting"),
            behind: gauge("behind"),
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fail(&self, error: String) {
        self.recent().last_error = Some(error);
    }

    /// Notes a delivery; its number is given here.
    pub(crate) fn note(&self, mut delivery: Delivery) {
        if let Some((end, _)) = delivery.detail.char_indices().nth(DETAIL_CHARS_MAX) {
            delivery.detail.truncate(end);
        }
        let mut recent = self.recent();
        recent.last_error = match delivery.outcome {
            Outcome::Delivered => None,
            outcome => Some(format!("{}: {}", outcome.name(), delivery.detail)),
        };
        if recent.deliveries.len() == DELIVERIES_KEPT {
            recent.deliveries.pop_front();
        }
        // Under the lock, so that numbers lie in their order.
        self.changes.send_modify(|number| {
            *number += 1;
            delivery.number = *number;
        });
        recent.deliveries.push_back(delivery);
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.recent().deliveries.iter().cloned().collect()
    }

    /// Tells of new deliveries: the value is the last one's number.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn status(&self) -> SubscriptionStatus {
        SubscriptionStatus {
            delivered: self.delivered.value(),
            failed_attempts: self.failed.value(),
            dead_lettered: self.dead_lettered.value(),
            dropped: self.dropped.value(),
            filtered: self.filtered.value(),
            waiting: u64::try_from(self.waiting.value()).unwrap_or_default(),
            behind: u64::try_from(self.behind.value()).unwrap_or_default(),
            last_error: self.recent().last_error.clone(),
        }
    }
}
