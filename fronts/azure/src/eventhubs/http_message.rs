//! What a request that sends over HTTPS says of its events, and what that is in a message: pure.
//!
//! A single event is the body as it is, its content type the header's, its broker properties JSON in a header, its user
//! properties the other headers. Names of headers come in lower case: HTTP has no case in them, and the library below gives
//! none. A batch is a JSON array that says all of it event by event.
//! Source: "Event Hubs service REST" and "Message headers and properties" of the Service Bus REST reference.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use millstream_amqp::Value;
use millstream_stream::Entry;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::record::with_properties;
use crate::request::AzureRequest;

/// The content type of a batch.
const BATCH: &str = "application/vnd.microsoft.servicebus.json";

/// Headers that are the transport's and its clients' own and no properties of an event.
const NO_PROPERTIES: [&str; 32] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "brokerproperties",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-type",
    "cookie",
    "date",
    "expect",
    "from",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-ms-retrypolicy",
];

/// Events of one request. All have the same partition key.
#[derive(Debug)]
pub struct Sent {
    /// The key that decides their partition.
    pub partition_key: Option<String>,
    /// The events.
    pub entries: Vec<Entry>,
}

/// An event of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchEvent {
    body: Json,
    #[serde(default)]
    is_body_base64: bool,
    #[serde(default)]
    user_properties: Map<String, Json>,
    #[serde(default)]
    broker_properties: BrokerProperties,
}

/// What is known of an event beside its body and its user properties. Others of the protocol (times to live and to be sent
/// at, for example) are for queues and would not be kept here, so they are refused by name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct BrokerProperties {
    partition_key: Option<String>,
    message_id: Option<String>,
    correlation_id: Option<String>,
    label: Option<String>,
    to: Option<String>,
    reply_to: Option<String>,
    session_id: Option<String>,
    reply_to_session_id: Option<String>,
    content_type: Option<String>,
}

/// The events of a request; `publisher` is the key of all of them.
///
/// # Errors
/// What was expected and what was found, for the answer.
pub fn read(request: &AzureRequest, publisher: Option<&str>) -> Result<Sent, String> {
    let events = if request.header("content-type").is_some_and(|kind| kind.starts_with(BATCH)) {
        batch(&request.body)?
    } else {
        vec![single(request)?]
    };
    let mut keys = events.iter().map(|(broker, ..)| broker.partition_key.as_deref());
    let partition_key = match (publisher, keys.next().flatten()) {
        (Some(publisher), Some(key)) if key != publisher => {
            return Err(format!("expected the publisher `{publisher}` as partition key, found `{key}`"));
        }
        (publisher, key) => publisher.or(key).map(str::to_owned),
    };
    if events.iter().any(|(broker, ..)| broker.partition_key != events[0].0.partition_key) {
        return Err("expected one partition key for all events of a batch, found several".to_owned());
    }
    let entry = |(broker, body, user): (BrokerProperties, Bytes, Vec<(String, Value)>)| {
        with_properties(body, partition_key.as_deref(), broker.fields(), &user)
    };
    Ok(Sent { entries: events.into_iter().map(entry).collect(), partition_key: partition_key.clone() })
}

/// An event's broker properties, its body and its user properties.
type Event = (BrokerProperties, Bytes, Vec<(String, Value)>);

fn single(request: &AzureRequest) -> Result<Event, String> {
    let mut broker: BrokerProperties = match request.header("brokerproperties") {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| format!("expected broker properties as JSON in the header BrokerProperties: {error}"))?,
        None => BrokerProperties::default(),
    };
    let content_type = request.header("content-type").map(str::to_owned);
    broker.content_type = content_type.or(broker.content_type);
    broker.check()?;
    Ok((broker, request.body.clone(), user_properties(&request.headers)))
}

fn batch(body: &[u8]) -> Result<Vec<Event>, String> {
    let events: Vec<BatchEvent> = serde_json::from_slice(body)
        .map_err(|error| format!("expected a JSON array of events with a Body: {error}"))?;
    if events.is_empty() {
        return Err("expected an event at least, found an empty array".to_owned());
    }
    events.into_iter().map(of_batch).collect()
}

fn of_batch(event: BatchEvent) -> Result<Event, String> {
    event.broker_properties.check()?;
    let body = match (event.body, event.is_body_base64) {
        (Json::String(text), false) => Bytes::from(text),
        (Json::String(text), true) => {
            STANDARD.decode(text).map_err(|error| format!("expected a Body in base 64: {error}"))?.into()
        }
        (_, true) => return Err("expected a text in base 64 as Body".to_owned()),
        (other, false) => Bytes::from(other.to_string()),
    };
    let mut user = Vec::with_capacity(event.user_properties.len());
    for (name, value) in event.user_properties {
        let value = simple(&value).ok_or_else(|| {
            format!("expected a text, a number, a boolean or null as the user property `{name}`, found {value}")
        })?;
        user.push((name, value));
    }
    Ok((event.broker_properties, body, user))
}

impl BrokerProperties {
    fn check(&self) -> Result<(), String> {
        match (&self.session_id, &self.partition_key) {
            (Some(session), Some(key)) if session != key => {
                Err(format!("expected SessionId and PartitionKey to be the same, found `{session}` and `{key}`"))
            }
            _ => Ok(()),
        }
    }

    /// The fields of a message's properties, in their order, up to the last that is there.
    fn fields(self) -> Vec<Value> {
        let string = |text: Option<String>| text.map_or(Value::Null, Value::string);
        let mut fields = vec![
            string(self.message_id),
            Value::Null, // user-id
            string(self.to),
            string(self.label),
            string(self.reply_to),
            string(self.correlation_id),
            self.content_type.map_or(Value::Null, Value::symbol),
            Value::Null, // content-encoding
            Value::Null, // absolute-expiry-time
            Value::Null, // creation-time
            string(self.session_id),
            Value::Null, // group-sequence
            string(self.reply_to_session_id),
        ];
        let given = fields.iter().rposition(|field| *field != Value::Null).map_or(0, |last| last + 1);
        fields.truncate(given);
        fields
    }
}

fn user_properties(headers: &HeaderMap) -> Vec<(String, Value)> {
    let named = headers.iter().filter(|(name, _)| !NO_PROPERTIES.contains(&name.as_str()));
    let mut properties: Vec<(String, Value)> =
        named.filter_map(|(name, value)| Some((name.as_str().to_owned(), of_header(value.to_str().ok()?)))).collect();
    // A map has a name once: the last of that name counts.
    properties.reverse();
    properties.sort_by(|(one, _), (other, _)| one.cmp(other));
    properties.dedup_by(|(later, _), (kept, _)| later == kept);
    properties
}

/// A header's value: text in quotes is text, and so is what is no number and no boolean without them.
fn of_header(text: &str) -> Value {
    let parsed = serde_json::from_str::<Json>(text).ok();
    parsed
        .as_ref()
        .and_then(simple)
        .filter(|value| *value != Value::Null)
        .unwrap_or_else(|| Value::string(text.to_owned()))
}

/// A value that properties may have.
fn simple(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::string(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Long(whole),
            (None, Some(number)) => Value::Double(number),
            (None, None) => Value::string(number.to_string()),
        },
        Json::Array(_) | Json::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::{HeaderName, HeaderValue, Method};
    use millstream_amqp::message::{SectionKind, sections};

    use super::super::record::Headers;
    use super::*;

    fn request(headers: &[(&'static str, &'static str)], body: &'static str) -> AzureRequest {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        AzureRequest {
            method: Method::POST,
            path: "/hub/messages".into(),
            query: String::new(),
            headers: headers.iter().map(header).collect(),
            host: String::new(),
            scheme: "http",
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            body: Bytes::from_static(body.as_bytes()),
            request_id: String::new(),
        }
    }

    fn section(entry: &Entry, kind: SectionKind) -> Option<Value> {
        let headers = Headers::decode(entry.headers.clone()).unwrap();
        sections(headers.properties).map(Result::unwrap).find(|section| section.kind == kind)?.value().ok()
    }

    #[test]
    fn what_headers_say_is_in_the_message() {
        let broker = r#"{"PartitionKey":"k","MessageId":"m","CorrelationId":"c","Label":"l","SessionId":"k"}"#;
        let headers = [
            ("content-type", "application/json"),
            ("brokerproperties", broker),
            ("user-agent", "curl"),
            ("alert", "Strong Wind"),
            ("quoted", "\"7\""),
            ("count", "7"),
            ("share", "0.5"),
            ("urgent", "true"),
        ];
        let sent = read(&request(&headers, "{}"), None).unwrap();
        assert_eq!((sent.partition_key.as_deref(), sent.entries.len()), (Some("k"), 1));
        assert_eq!(sent.entries[0].partition_key, "k");
        let string = |text: &str| Value::string(text.to_owned());
        let null = Value::Null;
        let fields = vec![
            string("m"),
            null.clone(),
            null.clone(),
            string("l"),
            null.clone(),
            string("c"),
            Value::symbol("application/json".to_owned()),
            null.clone(),
            null.clone(),
            null,
            string("k"),
        ];
        assert_eq!(section(&sent.entries[0], SectionKind::Properties), Some(Value::List(fields)));
        let named = [
            ("alert", string("Strong Wind")),
            ("count", Value::Long(7)),
            ("quoted", string("7")),
            ("share", Value::Double(0.5)),
            ("urgent", Value::Bool(true)),
        ];
        let named = named.into_iter().map(|(name, value)| (string(name), value)).collect();
        assert_eq!(section(&sent.entries[0], SectionKind::ApplicationProperties), Some(Value::Map(named)));
    }

    #[test]
    fn a_batch_says_it_event_by_event() {
        let body = r#"[{"Body":"a","BrokerProperties":{"MessageId":"1"},"UserProperties":{"Alert":"x","n":1}},
                       {"Body":"Yg==","IsBodyBase64":true},{"Body":{"c":1}}]"#;
        let sent = read(&request(&[("content-type", BATCH), ("alert", "ignored")], body), Some("p")).unwrap();
        let bodies: Vec<&[u8]> = sent.entries.iter().map(|entry| &entry.data[..]).collect();
        assert_eq!(bodies, [&b"a"[..], b"b", br#"{"c":1}"#]);
        assert!(sent.entries.iter().all(|entry| entry.partition_key == "p"));
        let named = section(&sent.entries[0], SectionKind::ApplicationProperties).unwrap();
        assert_eq!(named.get("Alert"), Some(&Value::string("x")));
        assert_eq!(section(&sent.entries[1], SectionKind::ApplicationProperties), None);
        assert_eq!(sent.partition_key.as_deref(), Some("p"));
    }

    #[test]
    fn what_would_not_be_kept_is_refused_by_name() {
        let broker = |text| request(&[("brokerproperties", text)], "");
        let batch = |text| request(&[("content-type", BATCH)], text);
        for (request, publisher, words) in [
            (broker(r#"{"TimeToLive":90}"#), None, "TimeToLive"),
            (broker(r#"{"partitionKey":"k"}"#), None, "partitionKey"),
            (broker("no"), None, "BrokerProperties"),
            (broker(r#"{"SessionId":"a","PartitionKey":"b"}"#), None, "SessionId"),
            (broker(r#"{"PartitionKey":"a"}"#), Some("b"), "publisher"),
            (batch(r#"[{"Body":"a","Properties":{}}]"#), None, "Properties"),
            (batch(r#"[{"Body":"a","UserProperties":{"x":[]}}]"#), None, "`x`"),
            (batch(r#"[{"Body":"?","IsBodyBase64":true}]"#), None, "base 64"),
            (
                batch(r#"[{"Body":"a","BrokerProperties":{"PartitionKey":"a"}},{"Body":"b"}]"#),
                None,
                "one partition key",
            ),
            (batch("[]"), None, "empty"),
            (batch("{}"), None, "array"),
        ] {
            let refused = read(&request, publisher).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
