//! The nodes that answer: `$cbs` takes tokens, `$management` tells about hubs and partitions.
//!
//! A request comes on one link and its answer goes out on another, the one that the request names or else the only one.

use bytes::{Bytes, BytesMut};
use millstream_amqp::message::{SectionKind, put_section, sections};
use millstream_amqp::{Array, DecodeError, Value, condition};
use millstream_namespace::{Claims, Namespaces, Right};
use millstream_types::Millis;

use super::claims::ClaimSet;
use crate::eventhubs::error::not_found_text;
use crate::eventhubs::sas::verify;
use crate::eventhubs::{EventHubs, address};

/// The nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Takes tokens.
    Cbs,
    /// Tells about hubs and partitions.
    Management,
}

impl Node {
    /// The node of an address.
    pub fn of(address: &str) -> Option<Self> {
        let path = address::path(address);
        match path[..] {
            ["$cbs"] => Some(Self::Cbs),
            ["$management"] | [_, "$management"] => Some(Self::Management),
            _ => None,
        }
    }
}

/// A request taken apart.
#[derive(Debug)]
pub struct Request {
    message_id: Value,
    /// Where the answer goes, when the request says so.
    pub reply_to: Option<String>,
    application: Value,
    body: Value,
}

/// What a request is answered with.
struct Answer {
    status: i32,
    description: Option<String>,
    condition: Option<&'static str>,
    operation: bool,
    body: Value,
}

impl Answer {
    fn status(status: i32, description: impl Into<String>) -> Self {
        Self { status, description: Some(description.into()), condition: None, operation: false, body: Value::Null }
    }

    fn not_found(entity: &str) -> Self {
        Self { condition: Some(condition::NOT_FOUND), ..Self::status(404, not_found_text(entity)) }
    }
}

impl Request {
    /// From a message.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(message: Bytes) -> Result<Self, DecodeError> {
        let mut request = Self { message_id: Value::Null, reply_to: None, application: Value::Null, body: Value::Null };
        for section in sections(message) {
            let section = section?;
            match (section.kind, section.value()?) {
                (SectionKind::Properties, Value::List(fields)) => {
                    request.message_id = fields.first().cloned().unwrap_or(Value::Null);
                    request.reply_to = fields.get(4).and_then(Value::text).map(str::to_owned);
                }
                (SectionKind::ApplicationProperties, value) => request.application = value,
                (SectionKind::AmqpValue, value) => request.body = value,
                _ => {}
            }
        }
        Ok(request)
    }

    fn property(&self, name: &str) -> &str {
        self.application.get(name).and_then(Value::text).unwrap_or_default()
    }

    /// The answer as a message, and the claims that were proved on the way.
    pub fn answer(&self, node: Node, hubs: &EventHubs, namespace: &str, claims: &mut ClaimSet) -> Bytes {
        let now = hubs.clock.now();
        let answer = match node {
            Node::Cbs => self.put_token(&hubs.namespaces, namespace, claims, now),
            Node::Management => self.read(hubs, namespace, claims, now),
        };
        self.message(answer)
    }

    fn put_token(&self, namespaces: &Namespaces, namespace: &str, claims: &mut ClaimSet, now: Millis) -> Answer {
        if self.property("operation") != "put-token" {
            return Answer::status(
                400,
                format!("expected the operation `put-token`, found `{}`", self.property("operation")),
            );
        }
        let audience = self.property("name");
        match self.property("type") {
            "servicebus.windows.net:sastoken" => {}
            other => {
                let text = format!(
                    "InvalidToken: expected a token of type `servicebus.windows.net:sastoken`, found `{other}`; tokens of a directory are not supported"
                );
                return Answer::status(401, text);
            }
        }
        let proved = match verify(self.body.text().unwrap_or_default(), namespaces, namespace) {
            Ok(proved) => proved,
            Err(reason) => return Answer::status(401, reason),
        };
        let path = address::path(audience);
        if let Some(hub) = path.first()
            && namespaces.hub_or_stream(namespace, hub).is_err()
        {
            return Answer::not_found(audience);
        }
        match claims.put(proved, now) {
            true => Answer::status(202, "Accepted"),
            false => Answer::status(403, "too many tokens on one connection"),
        }
    }

    fn read(&self, hubs: &EventHubs, namespace: &str, claims: &ClaimSet, now: Millis) -> Answer {
        let name = self.property("name");
        if self.property("operation") != "READ" {
            return Answer::status(
                501,
                format!("expected the operation `READ`, found `{}`", self.property("operation")),
            );
        }
        let path = address::path(name);
        let token = verify(self.property("security_token"), &hubs.namespaces, namespace).ok();
        let allowed = claims.allow(Right::Any, &path, now)
            || token.is_some_and(|claims: Claims| claims.allow(Right::Any, &path, now));
        if !allowed {
            let text = format!(
                "Unauthorized access. 'Listen' claim(s) are required to perform this operation. Resource: '{name}'."
            );
            return Answer { condition: Some(condition::UNAUTHORIZED_ACCESS), ..Answer::status(401, text) };
        }
        let kind = self.property("type");
        let body = match kind {
            "com.microsoft:eventhub" => hub(hubs, namespace, name, kind),
            "com.microsoft:partition" => partition(hubs, namespace, name, self.property("partition"), kind),
            other => return Answer::status(501, format!("there is nothing of type `{other}` to be read here")),
        };
        match body {
            Some(body) => Answer { status: 200, description: None, condition: None, operation: true, body },
            None => Answer { operation: true, ..Answer::not_found(name) },
        }
    }

    fn message(&self, answer: Answer) -> Bytes {
        let mut application = Vec::new();
        let mut note = |name: &'static str, value| application.push((Value::string(name), value));
        if answer.operation {
            note("operation", Value::string("READ"));
        }
        note("status-code", Value::Int(answer.status));
        if let Some(description) = answer.description {
            note("status-description", Value::string(description));
        }
        if let Some(condition) = answer.condition {
            note("error-condition", Value::symbol(condition));
        }
        let mut properties = vec![Value::Null; 13];
        properties[5] = self.message_id.clone();
        let mut message = BytesMut::new();
        put_section(&mut message, SectionKind::Properties, &Value::List(properties));
        put_section(&mut message, SectionKind::ApplicationProperties, &Value::Map(application));
        put_section(&mut message, SectionKind::AmqpValue, &answer.body);
        message.freeze()
    }
}

fn hub(hubs: &EventHubs, namespace: &str, name: &str, kind: &str) -> Option<Value> {
    let hub = hubs.namespaces.hub_or_stream(namespace, name).ok()?;
    let stream = hubs.namespaces.stream(&hub).ok()?;
    let ids = stream.shards.iter().map(|shard| shard.index.to_string());
    Some(map(vec![
        ("name", Value::string(hub.name.clone())),
        ("type", Value::string(kind.to_owned())),
        ("created_at", Value::Timestamp(hub.created)),
        ("partition_count", Value::Int(i32::try_from(stream.shards.len()).unwrap_or(i32::MAX))),
        ("partition_ids", Value::Array(Array::strings(ids))),
        ("georeplication_factor", Value::Int(1)),
    ]))
}

fn partition(hubs: &EventHubs, namespace: &str, name: &str, partition: &str, kind: &str) -> Option<Value> {
    let hub = hubs.namespaces.hub_or_stream(namespace, name).ok()?;
    let stream = hubs.namespaces.stream(&hub).ok()?;
    let shard = stream.shards.iter().find(|shard| shard.index.to_string() == partition)?;
    let bounds = hubs.streams.bounds(shard.log());
    let last = bounds.next.cast_signed() - 1;
    Some(map(vec![
        ("name", Value::string(hub.name.clone())),
        ("type", Value::string(kind.to_owned())),
        ("partition", Value::string(shard.index.to_string())),
        ("begin_sequence_number", Value::Long(bounds.first.cast_signed())),
        ("last_enqueued_sequence_number", Value::Long(last)),
        ("last_enqueued_offset", Value::string(last.to_string())),
        ("last_enqueued_time_utc", Value::Timestamp(bounds.last_append_time)),
        ("is_partition_empty", Value::Bool(bounds.first >= bounds.next)),
    ]))
}

fn map(entries: Vec<(&'static str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (Value::string(name), value)).collect())
}
