//! Publishing: `POST …/api/events`. The ladder: method → topic → credentials → what is not supported → size →
//! form → events.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_catalog::TopicDefinition;
use millstream_insight::Step;

use super::error::EventGridError;
use super::{EventGrid, content, sas};
use crate::request::AzureRequest;

/// The one version of the operation.
const API_VERSION: &str = "2018-01-01";

/// The largest array of events, and the largest event, in bytes.
const EVENTS_BYTES_MAX: usize = 1 << 20;

/// The topic that a request's head names, if its sender may publish there.
pub(super) fn admit(
    service: &EventGrid,
    head: &AzureRequest,
    topic: &str,
) -> Result<Arc<TopicDefinition>, EventGridError> {
    if head.method != Method::POST {
        return Err(EventGridError::method_not_allowed("POST"));
    }
    let topic = service.events.topic(topic)?;
    sas::check(head, &topic.keys, service.clock.now())?;
    Ok(topic)
}

pub(super) async fn call(
    service: &EventGrid,
    request: &AzureRequest,
    topic: Arc<TopicDefinition>,
) -> Result<Response<Bytes>, EventGridError> {
    if let Some(version) = query_value(&request.query, "api-version")
        && version != API_VERSION
    {
        return Err(EventGridError::bad_request(format!("Expected api-version {API_VERSION}, found {version}.")));
    }
    if request.headers.contains_key("aeg-channel-name") {
        return Err(EventGridError::not_supported("Publishing to a partner channel (aeg-channel-name)"));
    }
    if request.body.len() > EVENTS_BYTES_MAX {
        let message =
            format!("The maximum size ({EVENTS_BYTES_MAX}) has been exceeded: found {} bytes.", request.body.len());
        return Err(EventGridError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message));
    }
    let events = content::events(request, &topic, service.clock.now())?;
    let placements = service.events.publish(&topic, &events).await?;
    // A topic's stream has one shard: the events of a request lie one behind the other.
    if let (Some(first), Some(last)) = (placements.first(), placements.last()) {
        service.insight.trail.mark(Step::Received {
            log: first.sequence.log.0,
            from: first.sequence.offset,
            to: last.sequence.offset + 1,
            stream: topic.stream(),
            request: request.request_id.clone(),
            invocation: None,
        });
    }
    Ok(Response::new(Bytes::new()))
}

/// A parameter of a query, as it was sent.
pub(super) fn query_value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
