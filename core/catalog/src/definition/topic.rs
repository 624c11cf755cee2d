//! Topics: where events are published to.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// Events of many publishers, delivered to everybody who subscribed. They are the records of the stream `topic/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDefinition {
    /// Unique.
    pub name: String,
    /// How its events name it: the `topic` of an event, the `source` of one that is translated.
    pub address: String,
    /// The form in which events are published.
    pub schema: EventSchema,
    /// Where the members of an event are in what is published, when that has a form of its publishers' own; the topic then
    /// holds events of the form `schema` whose data is what was published.
    #[serde(default)]
    pub mapping: Option<EventMapping>,
    /// Two keys that publishers prove themselves with, base64; either is as good, so that one can be changed at a time.
    pub keys: [String; 2],
    /// When it was made.
    pub created: Millis,
    /// Where its maker wanted it; recorded.
    #[serde(default)]
    pub location: String,
    /// Labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Settings in the words of the protocol that made it; the event engine keeps them and does not read them.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl TopicDefinition {
    /// The stream that holds its events.
    #[must_use]
    pub fn stream(&self) -> String {
        topic_stream(&self.name)
    }
}

/// The stream that holds a topic's events.
#[must_use]
pub fn topic_stream(topic: &str) -> String {
    format!("topic/{topic}")
}

/// Where the members of an event are in JSON objects of another form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventMapping {
    /// The member that is the event's id; `None`: each event gets one.
    pub id: Option<String>,
    /// The member that names the topic; `None`: the topic's own address.
    pub topic: Option<String>,
    /// The member that is the event's time; `None`: when it was published.
    pub event_time: Option<String>,
    /// What happened.
    pub event_type: MappedField,
    /// What it is about.
    pub subject: MappedField,
    /// The version of its data.
    pub data_version: MappedField,
}

/// A member of an event that has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MappedField {
    /// The member that it is taken from.
    pub field: Option<String>,
    /// What it is when there is no such member.
    pub default: Option<String>,
}

/// The form of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventSchema {
    /// `id`, `subject`, `eventType`, `eventTime`, `data`, `dataVersion`.
    EventGrid,
    /// CloudEvents 1.0.
    CloudEvents,
    /// Messages: texts with a subject and attributes. What subscribers get around them is the protocol's affair.
    Message,
}

impl Definition for TopicDefinition {
    const KIND: &'static str = "topic";

    fn key(&self) -> &str {
        &self.name
    }
}
