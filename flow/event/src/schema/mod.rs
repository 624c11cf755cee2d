//! Events in their two JSON forms: taken in, looked into, and translated.
//!
//! Both forms are published formats that filters look into, so they live here and not in a front. What surrounds an event
//! on the wire (media types, headers) does not. A message is an event too, see [`crate::message`].
//! Read next: [`event_grid`], [`cloud_events`], `mapping` (forms of publishers' own).

pub mod cloud_events;
pub mod event_grid;
mod mapping;

use bytes::Bytes;
use millstream_catalog::{EventSchema, EventSubscriptionDefinition, TopicDefinition};
use millstream_types::Millis;
use millstream_types::time::rfc3339;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::message::Message;

/// The members of an event's JSON object.
pub type Fields = Map<String, Value>;

/// Longest id, type, subject or source, in bytes. Nothing that is an identifier is longer.
const IDENTIFIER_BYTES_MAX: usize = 4096;

/// An event whose form was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    schema: EventSchema,
    fields: Fields,
    /// All of it as one JSON object: what its topic holds and, in the same form, what subscribers get.
    encoded: Bytes,
}

/// Why JSON is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is something else than an object.
    #[error("expected an event, which is a JSON object, found {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// A member is missing.
    #[error("expected the member `{field}`, found none")]
    Missing {
        /// The member.
        field: &'static str,
    },
    /// A member is not what it has to be.
    #[error("expected `{field}` to be {expected}, found {found}")]
    Wrong {
        /// The member.
        field: String,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl Event {
    /// Takes in an event that was published to a topic, at a time.
    ///
    /// # Errors
    /// [`SchemaError`] names the first member that is wrong.
    pub fn accept(topic: &TopicDefinition, value: Value, now: Millis) -> Result<Self, SchemaError> {
        let Value::Object(mut fields) = value else {
            return Err(SchemaError::NotAnObject { found: kind_of(&value) });
        };
        match topic.schema {
            EventSchema::EventGrid => match &topic.mapping {
                None => event_grid::accept(&mut fields, &topic.address)?,
                Some(mapping) => {
                    let id = Uuid::new_v4().to_string();
                    let given = mapping::Given { address: &topic.address, id, time: rfc3339(now) };
                    fields = mapping::accept(fields, mapping, given)?;
                }
            },
            EventSchema::CloudEvents => cloud_events::accept(&mut fields)?,
            EventSchema::Message => return Err(wrong("topic", "one of events", "one of messages")),
        }
        let encoded = encode(&fields);
        Ok(Self { schema: topic.schema, fields, encoded })
    }

    /// A message as an event.
    #[must_use]
    pub fn of_message(message: &Message) -> Self {
        let fields =
            Fields::from_iter([("id".to_owned(), json!(message.id)), ("subject".to_owned(), json!(message.subject))]);
        // A structure of texts always has a JSON form.
        let encoded = Bytes::from(serde_json::to_vec(message).unwrap_or_default());
        Self { schema: EventSchema::Message, fields, encoded }
    }

    /// The message that it is; `None` when it is none.
    #[must_use]
    pub fn message(&self) -> Option<Message> {
        if self.schema == EventSchema::Message { serde_json::from_slice(&self.encoded).ok() } else { None }
    }

    /// An event as it lies in its topic; `None` when it is none.
    #[must_use]
    pub fn stored(schema: EventSchema, data: Bytes) -> Option<Self> {
        serde_json::from_slice(&data).ok().map(|fields| Self { schema, fields, encoded: data })
    }

    /// Its form.
    #[must_use]
    pub fn schema(&self) -> EventSchema {
        self.schema
    }

    /// What its publisher tells it by.
    #[must_use]
    pub fn id(&self) -> &str {
        self.text("id")
    }

    /// What it is about; empty when it does not say.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.text("subject")
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &str {
        match self.schema {
            EventSchema::EventGrid => self.text("eventType"),
            EventSchema::CloudEvents => self.text("type"),
            EventSchema::Message => "",
        }
    }

    /// A text member; empty when there is none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// What lies at a path of members. Their case is not looked at.
    #[must_use]
    pub fn at(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(member(&self.fields, first)?, |value, name| member(value.as_object()?, name))
    }

    /// Its members in a form; an event that came as CloudEvents stays one.
    #[must_use]
    pub fn fields_as(&self, schema: EventSchema) -> Fields {
        match (self.schema, schema) {
            (EventSchema::EventGrid, EventSchema::CloudEvents) => cloud_events::from_event_grid(&self.fields),
            _ => self.fields.clone(),
        }
    }

    /// The event as one JSON object.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        self.encoded.clone()
    }

    /// What was published in a form of its publisher's own, as one JSON object.
    #[must_use]
    pub fn published(&self) -> Fields {
        self.fields.get("data").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// What a subscription gets of the event, as one JSON object.
    #[must_use]
    pub fn delivered(&self, subscription: &EventSubscriptionDefinition) -> Bytes {
        if subscription.raw { encode(&self.published()) } else { self.encoded_as(subscription.delivery_schema) }
    }

    /// The event in a form, as one JSON object.
    #[must_use]
    pub fn encoded_as(&self, schema: EventSchema) -> Bytes {
        match (self.schema, schema) {
            (EventSchema::EventGrid, EventSchema::CloudEvents) => encode(&self.fields_as(schema)),
            _ => self.encoded(),
        }
    }
}

fn encode(fields: &Fields) -> Bytes {
    // A map of JSON values with text keys always has a JSON form.
    Bytes::from(serde_json::to_vec(fields).unwrap_or_default())
}

fn member<'f>(fields: &'f Fields, name: &str) -> Option<&'f Value> {
    fields.get(name).or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A text member that has to be there and to say something.
fn require_text<'f>(fields: &'f Fields, field: &'static str) -> Result<&'f str, SchemaError> {
    let text = match fields.get(field) {
        None | Some(Value::Null) => return Err(SchemaError::Missing { field }),
        Some(Value::String(text)) => text,
        Some(other) => return Err(wrong(field, "a text", kind_of(other))),
    };
    match text.len() {
        0 => Err(wrong(field, "a text that is not empty", "an empty one")),
        bytes if bytes > IDENTIFIER_BYTES_MAX => Err(wrong(field, "a text of at most 4096 bytes", "a longer one")),
        _ => Ok(text),
    }
}

/// A time member, when it is there.
fn check_time(fields: &Fields, field: &'static str) -> Result<(), SchemaError> {
    let text = match fields.get(field) {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(text)) => text,
        Some(other) => return Err(wrong(field, "a time", kind_of(other))),
    };
    let time = text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok();
    if time { Ok(()) } else { Err(wrong(field, "a time such as 2026-11-21T04:05:06.789Z", &shown(text))) }
}

fn wrong(field: &str, expected: &'static str, found: &str) -> SchemaError {
    SchemaError::Wrong { field: field.to_owned(), expected, found: found.to_owned() }
}

/// A text for people, cut where it is long.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    format!("`{cut}`")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn topic(schema: EventSchema) -> TopicDefinition {
        TopicDefinition {
            name: "orders".into(),
            address: "/topics/orders".into(),
            schema,
            mapping: None,
            keys: Default::default(),
            created: 0,
            location: String::new(),
            tags: Default::default(),
            attributes: Default::default(),
        }
    }

    /// What is wrong with an event after changing a good one; empty for nothing.
    fn complaint(schema: EventSchema, changes: Value) -> String {
        let mut event = match schema {
            EventSchema::EventGrid => json!({
                "id": "1", "subject": "s", "eventType": "t", "eventTime": "2026-11-21T04:05:06Z", "data": {}, "dataVersion": "1",
            }),
            _ => json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" }),
        };
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::String(gone) if gone == "(gone)" => drop(event.as_object_mut().unwrap().remove(name)),
                other => event[name] = other.clone(),
            }
        }
        Event::accept(&topic(schema), event, 0).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_is_wrong_is_named() {
        use EventSchema::{CloudEvents, EventGrid};
        for (schema, changes, expected) in [
            (EventGrid, json!({}), ""),
            (EventGrid, json!({ "topic": "/TOPICS/orders", "metadataVersion": "1", "more": 1 }), ""),
            (EventGrid, json!({ "topic": null, "dataVersion": "" }), ""),
            (EventGrid, json!({ "id": "(gone)" }), "expected the member `id`, found none"),
            (EventGrid, json!({ "data": "(gone)" }), "expected the member `data`, found none"),
            (
                EventGrid,
                json!({ "subject": "" }),
                "expected `subject` to be a text that is not empty, found an empty one",
            ),
            (EventGrid, json!({ "eventType": 3 }), "expected `eventType` to be a text, found a number"),
            (
                EventGrid,
                json!({ "eventTime": "soon" }),
                "expected `eventTime` to be a time such as 2026-11-21T04:05:06.789Z, found `soon`",
            ),
            (
                EventGrid,
                json!({ "topic": "/topics/other" }),
                "expected `topic` to be the topic's own or left out, found `/topics/other`",
            ),
            (
                EventGrid,
                json!({ "metadataVersion": "2" }),
                "expected `metadataVersion` to be \"1\" or left out, found \"2\"",
            ),
            (CloudEvents, json!({}), ""),
            (
                CloudEvents,
                json!({ "subject": null, "time": "2026-11-21T04:05:06.789+01:00", "traceparent": "00-1", "data": [1] }),
                "",
            ),
            (CloudEvents, json!({ "data_base64": "AQI=" }), ""),
            (CloudEvents, json!({ "specversion": "0.3" }), "expected `specversion` to be \"1.0\", found `0.3`"),
            (CloudEvents, json!({ "source": "(gone)" }), "expected the member `source`, found none"),
            (CloudEvents, json!({ "data_base64": "no!" }), "expected `data_base64` to be base64, found something else"),
            (
                CloudEvents,
                json!({ "data": 1, "data_base64": "AQI=" }),
                "expected `data` to be left out beside `data_base64`, found a number",
            ),
            (
                CloudEvents,
                json!({ "MyExtension": 1 }),
                "expected `MyExtension` to be a name of lower-case letters and digits, found other characters",
            ),
            (
                CloudEvents,
                json!({ "extension": {} }),
                "expected `extension` to be a text, a number or true or false, found an object",
            ),
            (
                CloudEvents,
                json!({ "time": "1" }),
                "expected `time` to be a time such as 2026-11-21T04:05:06.789Z, found `1`",
            ),
        ] {
            assert_eq!(complaint(schema, changes.clone()), expected, "{changes}");
        }
        let array = Event::accept(&topic(EventGrid), json!([]), 0).unwrap_err();
        assert_eq!(array.to_string(), "expected an event, which is a JSON object, found an array");
    }

    #[test]
    fn an_event_grid_event_becomes_a_cloud_event() {
        let published = json!({
            "id": "1", "subject": "s", "eventType": "t", "eventTime": "2026-11-21T04:05:06Z", "data": { "a": 1 }, "dataVersion": "2",
        });
        let event = Event::accept(&topic(EventSchema::EventGrid), published, 0).unwrap();
        assert_eq!(event.fields_as(EventSchema::EventGrid)["topic"], "/topics/orders");
        assert_eq!(event.fields_as(EventSchema::EventGrid)["metadataVersion"], "1");
        let expected = json!({
            "specversion": "1.0", "id": "1", "source": "/topics/orders", "type": "t", "subject": "s",
            "time": "2026-11-21T04:05:06Z", "dataschema": "#2", "data": { "a": 1 },
        });
        assert_eq!(Value::Object(event.fields_as(EventSchema::CloudEvents)), expected);
        assert_eq!(Event::stored(EventSchema::EventGrid, event.encoded()), Some(event));
    }

    #[test]
    fn paths_lead_into_data_whatever_their_case() {
        let published =
            json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": { "Key": { "deep": 7 } } });
        let event = Event::accept(&topic(EventSchema::CloudEvents), published, 0).unwrap();
        let path = |text: &str| -> Vec<String> { text.split('.').map(str::to_owned).collect() };
        assert_eq!(event.at(&path("data.key.Deep")), Some(&json!(7)));
        assert_eq!(event.at(&path("Data.Key.deep.more")), None);
        assert_eq!(event.at(&path("data.none")), None);
    }
}
