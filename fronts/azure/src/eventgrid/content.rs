//! The events of a request, in each of the forms in which they may come.
//!
//! Sources: "Event Grid event schema", the CloudEvents HTTP binding 1.0.2 (structured, batched and binary mode).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_catalog::{EventSchema, TopicDefinition};
use millstream_event::Event;
use millstream_types::Millis;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::error::EventGridError;
use crate::request::AzureRequest;

/// Headers that hold attributes of an event in binary mode.
const ATTRIBUTE: &str = "ce-";

/// Events of one request: an event has some dozens of bytes at least.
const EVENTS_MAX: usize = 20_000;

pub(super) fn events(
    request: &AzureRequest,
    topic: &TopicDefinition,
    now: Millis,
) -> Result<Vec<Event>, EventGridError> {
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let values = match (topic.schema, media_type.as_str()) {
        (EventSchema::EventGrid, "application/json" | "") if topic.mapping.is_some() => {
            match json_of(topic, &request.body)? {
                Value::Array(values) => values,
                // Events of publishers' own form come alone, too.
                value => vec![value],
            }
        }
        (EventSchema::EventGrid, "application/json" | "") => array(topic, &request.body)?,
        (EventSchema::CloudEvents, "application/cloudevents-batch+json") => array(topic, &request.body)?,
        (EventSchema::CloudEvents, "application/cloudevents+json") => vec![json_of(topic, &request.body)?],
        (EventSchema::CloudEvents, _) if request.headers.contains_key("ce-specversion") => {
            vec![binary(request, content_type, &media_type)?]
        }
        (EventSchema::EventGrid | EventSchema::Message, other) => {
            return Err(unexpected(topic, other, "application/json"));
        }
        (EventSchema::CloudEvents, other) => {
            let expected = "application/cloudevents-batch+json, application/cloudevents+json or the ce- headers";
            return Err(unexpected(topic, other, expected));
        }
    };
    if values.len() > EVENTS_MAX {
        return Err(EventGridError::bad_request(format!(
            "Expected at most {EVENTS_MAX} events, found {}.",
            values.len()
        )));
    }
    let accept = |(index, value)| {
        Event::accept(topic, value, now).map_err(|error| not_conform(topic, &format!("event {index}: {error}")))
    };
    values.into_iter().enumerate().map(accept).collect()
}

fn array(topic: &TopicDefinition, body: &[u8]) -> Result<Vec<Value>, EventGridError> {
    match json_of(topic, body)? {
        Value::Array(values) => Ok(values),
        Value::Object(_) => Err(not_conform(topic, "Token Expected: StartArray, Actual Token Received: StartObject")),
        _ => Err(not_conform(topic, "Token Expected: StartArray")),
    }
}

fn json_of(topic: &TopicDefinition, body: &[u8]) -> Result<Value, EventGridError> {
    serde_json::from_slice(body).map_err(|error| not_conform(topic, &format!("the body is no JSON: {error}")))
}

/// Binary mode: attributes are headers, the body is the data.
fn binary(request: &AzureRequest, content_type: &str, media_type: &str) -> Result<Value, EventGridError> {
    let mut event = Map::new();
    for (name, value) in &request.headers {
        let Some(attribute) = name.as_str().strip_prefix(ATTRIBUTE) else { continue };
        let value =
            value.to_str().map_err(|_| EventGridError::bad_request(format!("The header {name} is no text.")))?;
        event.insert(attribute.to_owned(), json!(percent_decode_str(value).decode_utf8_lossy()));
    }
    if !content_type.is_empty() {
        event.insert("datacontenttype".to_owned(), json!(content_type));
    }
    if request.body.is_empty() {
        return Ok(Value::Object(event));
    }
    let text = || std::str::from_utf8(&request.body).ok();
    let (member, data) = if media_type == "application/json" || media_type.ends_with("+json") {
        let data = serde_json::from_slice(&request.body);
        ("data", data.map_err(|error| EventGridError::bad_request(format!("The body is no JSON: {error}.")))?)
    } else if let (true, Some(text)) = (media_type.starts_with("text/"), text()) {
        ("data", json!(text))
    } else {
        ("data_base64", json!(STANDARD.encode(&request.body)))
    };
    event.insert(member.to_owned(), data);
    Ok(Value::Object(event))
}

fn unexpected(topic: &TopicDefinition, found: &str, expected: &str) -> EventGridError {
    let schema = name(topic);
    EventGridError::bad_request(format!(
        "This resource is configured to receive event in '{schema}' schema. Expected content type {expected}, found '{found}'."
    ))
}

fn not_conform(topic: &TopicDefinition, why: &str) -> EventGridError {
    let schema = name(topic);
    EventGridError::bad_request(format!(
        "This resource is configured to receive event in '{schema}' schema. The JSON received does not conform to the expected \
         schema. {why}."
    ))
}

fn name(topic: &TopicDefinition) -> &'static str {
    match topic.schema {
        EventSchema::EventGrid if topic.mapping.is_some() => "CustomEvent",
        EventSchema::EventGrid => "EventGridEvent",
        EventSchema::CloudEvents => "CloudEventV10",
        // This service has no such topics.
        EventSchema::Message => "Message",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    fn publish(schema: EventSchema, headers: &[(&str, &str)], body: &str) -> Result<Vec<Value>, String> {
        let topic = TopicDefinition {
            name: "orders".into(),
            address: "/orders".into(),
            schema,
            mapping: None,
            keys: Default::default(),
            created: 0,
            location: String::new(),
            tags: Default::default(),
            attributes: Default::default(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let request = AzureRequest {
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            method: Method::POST,
            path: String::new(),
            query: String::new(),
            headers: map,
            host: String::new(),
            scheme: "http",
            body: Bytes::copy_from_slice(body.as_bytes()),
            request_id: String::new(),
        };
        let found = events(&request, &topic, 0).map_err(|error| error.message)?;
        Ok(found.iter().map(|event| Value::Object(event.fields_as(schema))).collect())
    }

    #[test]
    fn cloud_events_come_in_three_modes() {
        let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": { "a": 1 } });
        let types = [
            ("application/cloudevents+json; charset=utf-8", event.to_string()),
            ("application/cloudevents-batch+json", format!("[{event}]")),
        ];
        for (media_type, body) in types {
            let found = publish(EventSchema::CloudEvents, &[("content-type", media_type)], &body).unwrap();
            assert_eq!(found, std::slice::from_ref(&event), "{media_type}");
        }
        let attributes =
            [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-extra", "%C3%A4")];
        for (media_type, body, member, data) in [
            ("application/json", "{\"a\":1}", "data", json!({ "a": 1 })),
            ("text/plain", "hello", "data", json!("hello")),
            ("application/octet-stream", "hello", "data_base64", json!("aGVsbG8=")),
        ] {
            let headers: Vec<_> = attributes.into_iter().chain([("content-type", media_type)]).collect();
            let found = publish(EventSchema::CloudEvents, &headers, body).unwrap();
            assert_eq!((&found[0][member], &found[0]["extra"]), (&data, &json!("\u{e4}")), "{media_type}");
            assert_eq!(found[0]["datacontenttype"], media_type);
        }
    }

    #[test]
    fn other_forms_are_refused_with_the_reason() {
        let json = [("content-type", "application/json")];
        for (schema, headers, body, expected) in [
            (EventSchema::EventGrid, &json[..], "{}", "Token Expected: StartArray, Actual Token Received: StartObject"),
            (EventSchema::EventGrid, &json, "[", "the body is no JSON"),
            (EventSchema::EventGrid, &json, "[{}]", "event 0: expected the member `id`"),
            (
                EventSchema::EventGrid,
                &[("content-type", "application/cloudevents+json")],
                "{}",
                "found 'application/cloudevents+json'",
            ),
            (EventSchema::CloudEvents, &json, "[]", "Expected content type application/cloudevents-batch+json"),
        ] {
            let error = publish(schema, headers, body).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(publish(EventSchema::EventGrid, &json, "[]"), Ok(vec![]));
    }
}
