//! Sending over HTTPS: `POST /HUB/messages`, `/HUB/partitions/ID/messages`, `/HUB/publishers/ID/messages`.
//!
//! One event is the body as it is, its partition key in the header `BrokerProperties`. A batch is a JSON array with the
//! content type `application/vnd.microsoft.servicebus.json`. A path of one segment more begins with the namespace, else
//! the host's first label decides it.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use millstream_amqp::Value;
use millstream_namespace::Right;
use millstream_stream::Entry;
use millstream_types::ErrorKind;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::address::{self, Address};
use super::error::{busy_text, not_found_text, throttled_text};
use super::ingest::Ingest;
use super::record::with_properties;
use super::sas::verify;
use super::{EventHubs, MESSAGE_BYTES_MAX};
use crate::request::AzureRequest;

const BATCH: &str = "application/vnd.microsoft.servicebus.json";

/// Headers that are the transport's own and no properties of an event.
const NO_PROPERTIES: [&str; 12] = [
    "authorization",
    "brokerproperties",
    "content-type",
    "content-length",
    "host",
    "connection",
    "accept",
    "accept-encoding",
    "user-agent",
    "expect",
    "transfer-encoding",
    "x-ms-retrypolicy",
];

/// An event of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchEvent {
    body: Json,
    #[serde(default)]
    user_properties: Map<String, Json>,
    #[serde(default)]
    broker_properties: BrokerProperties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BrokerProperties {
    partition_key: Option<String>,
}

/// Why events were not taken: a status and the reason.
type Refusal = (StatusCode, String);

pub async fn answer(hubs: &EventHubs, request: &AzureRequest) -> Response<Bytes> {
    match send(hubs, request).await {
        Ok(()) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        Err(refusal) => refused(&refusal),
    }
}

/// The answer that a request's head earns without its body.
pub fn refuse(hubs: &EventHubs, head: &AzureRequest) -> Option<Response<Bytes>> {
    admit(hubs, head).err().map(|refusal| refused(&refusal))
}

fn refused((status, reason): &Refusal) -> Response<Bytes> {
    let escaped = reason.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let document = format!("<Error><Code>{}</Code><Detail>{escaped}</Detail></Error>", status.as_u16());
    let mut response = Response::new(Bytes::from(document));
    *response.status_mut() = *status;
    let media_type = header::HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

/// The namespace and what of it a request's head names, if its sender may send there.
fn admit(hubs: &EventHubs, request: &AzureRequest) -> Result<(String, Address), Refusal> {
    let (namespace, address) = place(hubs, request)?;
    let text = request.header("authorization").unwrap_or_default();
    let claims = verify(text, &hubs.namespaces, &namespace).map_err(|reason| (StatusCode::UNAUTHORIZED, reason))?;
    let mut path = vec![address.hub.as_str()];
    for (name, value) in [("publishers", &address.publisher), ("partitions", &address.partition)] {
        path.extend(value.iter().flat_map(|value| [name, value]));
    }
    if !claims.allow(Right::Send, &path, hubs.clock.now()) {
        let text = format!(
            "Unauthorized access. 'Send' claim(s) are required to perform this operation. Resource: '{}'.",
            address.hub
        );
        return Err((StatusCode::UNAUTHORIZED, text));
    }
    Ok((namespace, address))
}

async fn send(hubs: &EventHubs, request: &AzureRequest) -> Result<(), Refusal> {
    let (namespace, address) = admit(hubs, request)?;
    let missing = || (StatusCode::NOT_FOUND, not_found_text(&address.hub));
    let hub = hubs.namespaces.hub(&namespace, &address.hub).map_err(|_| missing())?;
    let stream = hubs.namespaces.stream(&hub).map_err(|_| missing())?;
    let partitions = u32::try_from(stream.shards.len()).unwrap_or(u32::MAX);
    let fixed = match address.partition.as_deref() {
        None => None,
        Some(partition) => {
            let found = partition.parse::<u32>().ok().filter(|partition| *partition < partitions);
            let text = || format!("expected a partition of 0 to {}, found '{partition}'", partitions.saturating_sub(1));
            Some(found.ok_or_else(|| (StatusCode::BAD_REQUEST, text()))?)
        }
    };
    let entries = entries(request, address.publisher.as_deref())?;
    let key = entries.first().map(|entry| String::from_utf8_lossy(&entry.partition_key).into_owned());
    let key = key.filter(|key| !key.is_empty());
    let partition = fixed.unwrap_or_else(|| hubs.partition(key.as_deref(), partitions));
    let meter = hubs.namespaces.meter(&namespace).map_err(|_| missing())?;
    let (records, bytes) = (entries.len() as u64, request.body.len() as u64);
    if !hubs.admits(&meter, (&namespace, &hub.stream), records, bytes) {
        return Err((StatusCode::SERVICE_UNAVAILABLE, throttled_text(&namespace)));
    }
    let mut ingest = Ingest::default();
    ingest.add(&hub.stream, partition, entries);
    let taken = ingest.commit(hubs, &request.request_id).await;
    taken.map(|_| ()).map_err(|error| match error.kind() {
        ErrorKind::Throttled => (StatusCode::SERVICE_UNAVAILABLE, busy_text(&error.to_string())),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, error.to_string()),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    })
}

/// The namespace and what of it the path names.
fn place(hubs: &EventHubs, request: &AzureRequest) -> Result<(String, Address), Refusal> {
    let mut path = address::path(&request.path);
    path.pop();
    if let Some(address) = address::parse(&path) {
        return Ok((hubs.namespaces.of_host(&request.host), address));
    }
    let named = path.split_first().and_then(|(namespace, rest)| {
        let namespace = hubs.namespaces.namespace(namespace).ok()?;
        Some((namespace.name.clone(), address::parse(rest)?))
    });
    named.ok_or_else(|| (StatusCode::NOT_FOUND, not_found_text(&request.path)))
}

fn entries(request: &AzureRequest, publisher: Option<&str>) -> Result<Vec<Entry>, Refusal> {
    let bad = |text: String| (StatusCode::BAD_REQUEST, text);
    if request.body.len() > MESSAGE_BYTES_MAX {
        let text = format!("expected at most {MESSAGE_BYTES_MAX} bytes, found {}", request.body.len());
        return Err((StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    if request.header("content-type").is_some_and(|kind| kind.starts_with(BATCH)) {
        let events: Vec<BatchEvent> = serde_json::from_slice(&request.body)
            .map_err(|error| bad(format!("expected a JSON array of events with a Body: {error}")))?;
        return Ok(events.into_iter().map(|event| batch_entry(event, publisher)).collect());
    }
    let broker: BrokerProperties = match request.header("brokerproperties") {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| bad(format!("expected JSON in the header BrokerProperties: {error}")))?,
        None => BrokerProperties::default(),
    };
    let properties: Vec<(String, Value)> = request
        .headers
        .iter()
        .filter(|(name, _)| !NO_PROPERTIES.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), property(value.to_str().ok()?))))
        .collect();
    let key = publisher.or(broker.partition_key.as_deref());
    Ok(vec![with_properties(request.body.clone(), key, &properties)])
}

/// A header's value: text may stand in quotes.
fn property(text: &str) -> Value {
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Value::string(bare.to_owned())
}

fn batch_entry(event: BatchEvent, publisher: Option<&str>) -> Entry {
    let data = match event.body {
        Json::String(text) => Bytes::from(text),
        other => Bytes::from(other.to_string()),
    };
    let properties: Vec<(String, Value)> =
        event.user_properties.into_iter().map(|(name, value)| (name, value_of(&value))).collect();
    let key = publisher.or(event.broker_properties.partition_key.as_deref());
    with_properties(data, key, &properties)
}

fn value_of(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::string(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Long(whole),
            (None, Some(number)) => Value::Double(number),
            (None, None) => Value::string(number.to_string()),
        },
        Json::Array(_) | Json::Object(_) => Value::string(value.to_string()),
    }
}
