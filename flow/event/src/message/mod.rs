//! Messages: the events of topics whose subscribers get a text, and how they go out.
//!
//! A message lies in its topic's stream as the JSON of [`Message`]; another form would be another
//! [`EventSchema`](millstream_catalog::EventSchema). What a subscriber sees around it is a front's, behind
//! [`NotificationForm`]. Read next: [`form`], `courier.rs` (one attempt).

mod courier;
mod form;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_types::{MessageAttribute, MessageAttributeValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use courier::MessageCourier;
pub use form::{FormError, Handshake, HandshakeKind, Notification, NotificationForm, WebhookRequest};

/// The type of attributes that hold a list as JSON.
const LIST_KIND: &str = "String.Array";

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What tells it from others.
    pub id: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text.
    pub body: String,
    /// Other texts for some kinds of endpoints, by the protocol's words for these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bodies: BTreeMap<String, String>,
    /// What is said of it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    /// Whose message it is among several publishers, for queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Something said of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The publisher's word for the value's type: `String`, `String.Array`, `Number`, `Binary`, with more behind a dot.
    pub kind: String,
    /// The value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeValue {
    /// A text, also of numbers and lists.
    Text(String),
    /// Bytes in base64.
    Binary(String),
}

impl Message {
    /// The text for a kind of endpoint.
    #[must_use]
    pub fn body_for(&self, kind: &str) -> &str {
        self.bodies.get(kind).unwrap_or(&self.body)
    }

    /// What a message in a queue says of itself, when it is delivered as it is.
    #[must_use]
    pub fn queue_attributes(&self) -> Vec<MessageAttribute> {
        let attribute = |(name, attribute): (&String, &Attribute)| MessageAttribute {
            name: name.clone(),
            kind: attribute.kind.clone(),
            value: match &attribute.value {
                AttributeValue::Text(text) => MessageAttributeValue::Text(text.clone()),
                // It was read when the message was published.
                AttributeValue::Binary(text) => {
                    MessageAttributeValue::Binary(STANDARD.decode(text).unwrap_or_default().into())
                }
            },
        };
        self.attributes.iter().map(attribute).collect()
    }

    /// Its attributes as patterns compare them: by the types that they claim; bytes are not compared.
    #[must_use]
    pub fn attribute_values(&self) -> Map<String, Value> {
        let value = |attribute: &Attribute| match (&attribute.value, attribute.kind.split('.').next()) {
            (AttributeValue::Binary(_), _) => None,
            (AttributeValue::Text(text), _) if attribute.kind == LIST_KIND => Some(
                serde_json::from_str(text).ok().filter(Value::is_array).unwrap_or_else(|| Value::Array(Vec::new())),
            ),
            (AttributeValue::Text(text), Some("Number")) => {
                Some(text.trim().parse::<f64>().map_or(Value::Null, Value::from))
            }
            (AttributeValue::Text(text), _) => Some(Value::String(text.clone())),
        };
        let values = self.attributes.iter().filter_map(|(name, attribute)| Some((name.clone(), value(attribute)?)));
        values.collect()
    }
}
