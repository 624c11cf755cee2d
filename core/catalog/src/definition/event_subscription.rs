//! Event subscriptions: which events of a topic go where.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::topic::EventSchema;
use crate::collection::Definition;

/// Somebody who wants a topic's events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventSubscriptionDefinition {
    /// `TOPIC/NAME`, see [`EventSubscriptionDefinition::id_of`]: unique.
    pub id: String,
    /// The topic.
    pub topic: String,
    /// Unique in its topic.
    pub name: String,
    /// Where events go.
    pub endpoint: EventEndpoint,
    /// Which events.
    #[serde(default)]
    pub filter: EventFilter,
    /// The form in which they are delivered.
    pub delivery_schema: EventSchema,
    /// How often and how long a delivery is tried.
    pub retry: EventRetry,
    /// Where events go that could not be delivered; `None`: they are dropped.
    #[serde(default)]
    pub dead_letter: Option<DeadLetterTarget>,
    /// How many events one delivery may hold.
    #[serde(default)]
    pub batching: EventBatching,
    /// Headers that deliveries to a webhook have besides the protocol's own.
    #[serde(default)]
    pub headers: Vec<DeliveryHeader>,
    /// Whether events flow.
    pub state: SubscriptionState,
    /// From when on there is no such subscription; `None`: it stays until it is removed.
    #[serde(default)]
    pub expires: Option<Millis>,
    /// Words of its maker.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Whether messages are delivered as they are, without what the protocol puts around them.
    #[serde(default)]
    pub raw: bool,
    /// Seconds to wait before the second, third, … attempt, the last one repeating; empty: as the engine has it.
    #[serde(default)]
    pub retry_waits: Vec<u32>,
    /// The queue for messages that could not be delivered.
    #[serde(default)]
    pub dead_letter_queue: Option<String>,
    /// Settings in the words of the protocol that made it; the event engine keeps them and does not read them.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The token that confirmed it, which may be brought again; `None` where none was needed.
    #[serde(default)]
    pub confirmation: Option<String>,
    /// When it was made.
    pub created: Millis,
    /// When it last changed.
    pub modified: Millis,
}

impl EventSubscriptionDefinition {
    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The key of a topic's subscription. Neither name holds a `/`.
    #[must_use]
    pub fn id_of(topic: &str, name: &str) -> String {
        format!("{topic}/{name}")
    }
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventEndpoint {
    /// An HTTP address that proved that it wants them.
    Webhook {
        /// `http` or `https`; its query may hold secrets: it is not for logs.
        url: String,
    },
    /// A stream.
    Stream {
        /// Its name.
        name: String,
    },
    /// A function.
    Function {
        /// Its name.
        name: String,
    },
    /// A queue.
    Queue {
        /// Its name.
        name: String,
    },
}

/// Which events of a topic a subscription wants. All parts have to hold; the default wants everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// One of these types; empty: any.
    pub event_types: Vec<String>,
    /// What the subject begins with.
    pub subject_begins_with: String,
    /// What the subject ends with.
    pub subject_ends_with: String,
    /// Whether the two look at upper and lower case.
    pub subject_case_sensitive: bool,
    /// Whether conditions look into arrays.
    pub arrays: bool,
    /// Conditions on fields.
    pub conditions: Vec<FieldCondition>,
    /// What has to hold of a message.
    pub pattern: Option<MessagePattern>,
}

/// Which values a message's attributes or body may have: a document in the pattern language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePattern {
    /// The JSON document.
    pub text: String,
    /// What it looks at.
    pub scope: PatternScope,
}

/// What a pattern looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatternScope {
    /// What is said of the message.
    #[default]
    Attributes,
    /// The message itself, which has to be a JSON object then.
    Body,
}

/// A condition on a field of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldCondition {
    /// The field: `subject`, `data.appliance.power`.
    pub key: String,
    /// What has to hold.
    pub test: FieldTest,
}

/// What has to hold of a field. Of several values one is enough for the positive tests; the negated ones need all.
/// Texts are compared without regard to case, ranges hold both their ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum FieldTest {
    NumberIn(Vec<f64>),
    NumberNotIn(Vec<f64>),
    NumberLessThan(f64),
    NumberLessThanOrEquals(f64),
    NumberGreaterThan(f64),
    NumberGreaterThanOrEquals(f64),
    NumberInRange(Vec<(f64, f64)>),
    NumberNotInRange(Vec<(f64, f64)>),
    BoolEquals(bool),
    StringContains(Vec<String>),
    StringNotContains(Vec<String>),
    StringBeginsWith(Vec<String>),
    StringNotBeginsWith(Vec<String>),
    StringEndsWith(Vec<String>),
    StringNotEndsWith(Vec<String>),
    StringIn(Vec<String>),
    StringNotIn(Vec<String>),
    IsNullOrUndefined,
    IsNotNull,
}

/// How often and how long a delivery is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRetry {
    /// Attempts in all. 1 to 30.
    pub attempts_max: u32,
    /// Minutes after its publication in which an event may still be tried. 1 to 1,440.
    pub ttl_minutes: u32,
}

impl Default for EventRetry {
    /// 30 attempts in a day.
    fn default() -> Self {
        Self { attempts_max: 30, ttl_minutes: 1_440 }
    }
}

/// Where undeliverable events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterTarget {
    /// The bucket or container.
    pub bucket: String,
    /// Put before the names of its objects; empty for none.
    #[serde(default)]
    pub prefix: String,
}

/// How many events one delivery may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBatching {
    /// At most this many. 1 to 5,000.
    pub events_max: u32,
    /// A delivery is closed when it is as large, KiB. 1 to 1,024.
    pub preferred_kib: u32,
}

impl Default for EventBatching {
    /// One by one.
    fn default() -> Self {
        Self { events_max: 1, preferred_kib: 64 }
    }
}

/// A header of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: DeliveryHeaderValue,
}

/// The value of a header of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryHeaderValue {
    /// Always the same.
    Static {
        /// The value.
        value: String,
        /// Whether it is not to be shown.
        secret: bool,
    },
    /// What a field of the event holds: `data.region`; the header is left out where there is no plain value.
    Field {
        /// The field.
        key: String,
    },
}

/// Whether a subscription's events flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// They do.
    Active,
    /// The endpoint has not yet said that it wants them: somebody has to call the address that it was told.
    AwaitingValidation {
        /// What that address holds.
        code: String,
        /// Until when it counts.
        until: Millis,
    },
}

impl Definition for EventSubscriptionDefinition {
    const KIND: &'static str = "event subscription";

    fn key(&self) -> &str {
        &self.id
    }
}
