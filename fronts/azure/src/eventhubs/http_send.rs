//! Sending over HTTPS: `POST /HUB/messages`, `/HUB/partitions/ID/messages`, `/HUB/publishers/ID/messages`.
//!
//! What a request says of its events is read in `http_message`. A path of one segment more begins with the namespace, else the
//! host's first label decides it.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use millstream_namespace::{Right, partition};
use millstream_types::ErrorKind;
use percent_encoding::percent_decode_str;

use super::address::{self, Address};
use super::error::{busy_text, closed_text, not_found_text, throttled_text};
use super::http_message;
use super::ingest::{Ingest, NotTaken};
use super::sas::verify;
use super::{EventHubs, MESSAGE_BYTES_MAX};
use crate::request::AzureRequest;
use crate::services;

/// Why events were not taken: a status and the reason.
type Refusal = (StatusCode, String);

/// Where a request's sender may send.
pub struct Place {
    namespace: String,
    address: Address,
}

pub async fn answer(hubs: &EventHubs, place: Place, request: &AzureRequest) -> Response<Bytes> {
    match send(hubs, place, request).await {
        Ok(()) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        Err(refusal) => refused(&refusal),
    }
}

/// Looks at a request's head; the error is the answer that it earns without its body.
pub fn admit(hubs: &EventHubs, head: &AzureRequest) -> Result<Place, services::Refusal> {
    examine(hubs, head).map_err(|refusal| Box::new(refused(&refusal)))
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
fn examine(hubs: &EventHubs, request: &AzureRequest) -> Result<Place, Refusal> {
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
    Ok(Place { namespace, address })
}

async fn send(hubs: &EventHubs, place: Place, request: &AzureRequest) -> Result<(), Refusal> {
    let Place { namespace, address } = place;
    let missing = || (StatusCode::NOT_FOUND, not_found_text(&address.hub));
    let hub = hubs.namespaces.hub_or_stream(&namespace, &address.hub).map_err(|_| missing())?;
    let stream = hubs.namespaces.stream(&hub).map_err(|_| missing())?;
    let partitions = stream.numbers();
    let fixed = match address.partition.as_deref() {
        None => None,
        Some(partition) => {
            let found = partition.parse::<u32>().ok().filter(|found| *found < partitions);
            let text = || format!("expected a partition of 0 to {}, found '{partition}'", partitions.saturating_sub(1));
            let found = found.ok_or_else(|| (StatusCode::BAD_REQUEST, text()))?;
            if !stream.is_open(found) {
                return Err((StatusCode::BAD_REQUEST, closed_text(found)));
            }
            Some(found)
        }
    };
    if request.body.len() > MESSAGE_BYTES_MAX {
        let text = format!("expected at most {MESSAGE_BYTES_MAX} bytes, found {}", request.body.len());
        return Err((StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let bad = |text: String| (StatusCode::BAD_REQUEST, text);
    // Tokens name a publisher as the address has it, events by what that stands for.
    let publisher = address.publisher.as_deref().map(|name| percent_decode_str(name).decode_utf8_lossy());
    let sent = http_message::read(request, publisher.as_deref()).map_err(bad)?;
    let key = sent.partition_key.as_deref();
    partition::check_key(key.unwrap_or_default()).map_err(|error| bad(error.to_string()))?;
    let partition = fixed.unwrap_or_else(|| hubs.partition(key, &stream));
    let meter = hubs.namespaces.meter(&namespace).map_err(|_| missing())?;
    let (records, bytes) = (sent.entries.len() as u64, request.body.len() as u64);
    if !hubs.admits(&meter, (&namespace, &hub.stream), records, bytes) {
        return Err((StatusCode::SERVICE_UNAVAILABLE, throttled_text(&namespace)));
    }
    let mut ingest = Ingest::default();
    ingest.add(&hub.stream, partition, sent.entries, None);
    let outcomes = ingest.commit(hubs, &request.request_id).await;
    outcomes.into_iter().try_for_each(|outcome| outcome.map_err(not_taken))
}

fn not_taken(error: NotTaken) -> Refusal {
    let error = match error {
        NotTaken::Stream(error) => error,
        NotTaken::Numbers(error) => return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    match error.kind() {
        ErrorKind::Throttled | ErrorKind::Conflict | ErrorKind::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, busy_text(&error.to_string()))
        }
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, error.to_string()),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
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
