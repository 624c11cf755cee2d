//! Dead letters: events that were not delivered, as objects that say why.
//!
//! Source: "Dead letter and retry policies": the members beside the event's own, the object's place.

use millstream_catalog::{DeadLetterTarget, EventSchema, EventSubscriptionDefinition};
use millstream_types::time::rfc3339;
use millstream_types::{Millis, NewObject};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::outcome::{EndReason, Outcome};
use crate::schema::Event;

/// How an event's deliveries went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    pub(crate) reason: EndReason,
    pub(crate) attempts: u32,
    pub(crate) published: Millis,
    /// `None` when it was too old for a first one.
    pub(crate) last_attempt: Option<(Millis, Outcome)>,
    /// When it was given up.
    pub(crate) ended: Millis,
}

/// The object of one event. `place` is its log and offset, which make the name: writing it again replaces it.
pub(crate) fn object(
    definition: &EventSubscriptionDefinition,
    target: &DeadLetterTarget,
    event: &Event,
    history: &History,
    place: (u64, u64),
) -> NewObject {
    let mut fields = if definition.raw { event.published() } else { event.fields_as(definition.delivery_schema) };
    let name = |name: &str| match definition.delivery_schema {
        EventSchema::EventGrid | EventSchema::Message => name.to_owned(),
        // The names of a CloudEvent's attributes are lower case.
        EventSchema::CloudEvents => name.to_lowercase(),
    };
    let mut insert = |field: &str, value: Value| fields.insert(name(field), value);
    insert("deadLetterReason", json!(history.reason.name()));
    insert("deliveryAttempts", json!(history.attempts));
    insert("publishTime", json!(rfc3339(history.published)));
    if let Some((time, outcome)) = history.last_attempt {
        insert("lastDeliveryOutcome", json!(outcome.name()));
        insert("lastDeliveryAttemptTime", json!(rfc3339(time)));
    }
    NewObject {
        bucket: target.bucket.clone(),
        key: key(definition, target, history.ended, place),
        content_type: "application/json".to_owned(),
        body: Value::Array(vec![Value::Object(fields)]).to_string().into(),
    }
}

/// `PREFIX/topic/SUBSCRIPTION/yyyy/m/d/h/ID.json`, in UTC.
fn key(definition: &EventSubscriptionDefinition, target: &DeadLetterTarget, at: Millis, place: (u64, u64)) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    let prefix = target.prefix.trim_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!(
        "{prefix}{slash}{}/{}/{}/{}/{}/{}/{}.json",
        definition.topic,
        definition.name.to_uppercase(),
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        Uuid::from_u64_pair(place.0, place.1),
    )
}
