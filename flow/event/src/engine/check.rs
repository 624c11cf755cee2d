//! What a definition may say.

use http::{HeaderName, HeaderValue, header};
use millstream_catalog::{
    DeliveryHeader, DeliveryHeaderValue, EventEndpoint, EventSchema, StreamOwner, TopicDefinition,
};
use millstream_types::time::rfc3339;

use super::{Events, NewSubscription};
use crate::error::EventError;
use crate::filter::Filter;

/// Headers that a subscription may add. Source: "Set custom headers on delivered events".
const HEADERS_MAX: usize = 10;
/// Bytes of such a header's value.
const HEADER_BYTES_MAX: usize = 4096;

/// What HTTP itself needs.
const RESERVED: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) fn topic_name(name: &str) -> Result<(), EventError> {
    check_name(name, 3, 50)
}

/// Topics of messages have longer names, of more characters.
pub(super) fn message_topic_name(name: &str) -> Result<(), EventError> {
    let plain: String = name.chars().map(|char| if char == '_' { '-' } else { char }).collect();
    check_name(&plain, 1, 256).map_err(|_| EventError::BadName {
        found: name.chars().take(80).collect(),
        min: 1,
        max: 256,
    })
}

fn check_name(name: &str, min: usize, max: usize) -> Result<(), EventError> {
    let fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fine && (min..=max).contains(&name.len()) {
        return Ok(());
    }
    Err(EventError::BadName { found: name.chars().take(80).collect(), min, max })
}

fn check_range(what: &'static str, found: u32, (min, max): (u32, u32)) -> Result<(), EventError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(EventError::OutOfRange { what, min, max, found }) }
}

impl Events {
    /// Whether a subscription can be.
    pub(super) fn check(&self, new: &NewSubscription, topic: &TopicDefinition) -> Result<(), EventError> {
        check_name(&new.name, 3, 64)?;
        if let Some(expires) = new.expires
            && expires <= self.shared.clock.now()
        {
            return Err(EventError::Over { found: rfc3339(expires) });
        }
        check_range("delivery attempts", new.retry.attempts_max, (1, 30))?;
        check_range("minutes to live", new.retry.ttl_minutes, (1, 1_440))?;
        check_range("events in a delivery", new.batching.events_max, (1, 5_000))?;
        check_range("KiB in a delivery", new.batching.preferred_kib, (1, 1_024))?;
        let mapped = (topic.schema, new.delivery_schema) == (EventSchema::CloudEvents, EventSchema::EventGrid);
        if mapped || (new.raw && topic.mapping.is_none()) {
            return Err(EventError::DeliverySchema);
        }
        Filter::compile(&new.filter, topic.schema)?;
        if let Some(target) = &new.dead_letter {
            if self.shared.options.objects.is_none() {
                return Err(EventError::NotSupported { feature: "writing dead letters without an object store" });
            }
            if target.bucket.is_empty() || target.bucket.contains('/') {
                let reason = "expected the name of a bucket".to_owned();
                return Err(EventError::Endpoint { endpoint: target.bucket.clone(), reason });
            }
        }
        self.check_headers(new)?;
        self.check_endpoint(&new.endpoint)
    }

    fn check_headers(&self, new: &NewSubscription) -> Result<(), EventError> {
        if new.headers.is_empty() {
            return Ok(());
        }
        match (&new.endpoint, &self.shared.options.record_form) {
            (EventEndpoint::Webhook { .. }, _) | (EventEndpoint::Stream { .. }, Some(_)) => {}
            _ => {
                let feature = "a header of deliveries to anything but a webhook or a stream";
                return Err(EventError::NotSupported { feature });
            }
        }
        if new.headers.len() > HEADERS_MAX {
            return Err(EventError::TooMany { what: "headers of deliveries", max: HEADERS_MAX });
        }
        for DeliveryHeader { name, value } in &new.headers {
            let refuse = |reason| Err(EventError::Header { name: name.chars().take(80).collect(), reason });
            let Ok(parsed) = name.parse::<HeaderName>() else { return refuse("the name cannot be a header's") };
            if RESERVED.contains(&parsed) || self.shared.options.words.is_own(&parsed) {
                return refuse("the protocol has this header itself");
            }
            match value {
                DeliveryHeaderValue::Field { .. }
                    if new.batching.events_max > 1 && matches!(new.endpoint, EventEndpoint::Webhook { .. }) =>
                {
                    return refuse("deliveries of several events have no field to take it from");
                }
                DeliveryHeaderValue::Static { value, .. }
                    if value.len() > HEADER_BYTES_MAX || HeaderValue::from_str(value).is_err() =>
                {
                    return refuse("the value cannot be a header's, or is over 4096 bytes");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_endpoint(&self, endpoint: &EventEndpoint) -> Result<(), EventError> {
        let shared = &self.shared;
        let refuse = |reason: String| Err(EventError::Endpoint { endpoint: shown(endpoint), reason });
        match endpoint {
            EventEndpoint::Webhook { url } => match shared.client.check(url) {
                Ok(_) => Ok(()),
                Err(error) => refuse(error.to_string()),
            },
            EventEndpoint::Stream { name } => match shared.streams.get(name) {
                Ok(stream) => match stream.owner {
                    StreamOwner::User | StreamOwner::Hub => Ok(()),
                    StreamOwner::DeliveryStream
                    | StreamOwner::Query
                    | StreamOwner::Topic
                    | StreamOwner::Table
                    | StreamOwner::Gateway => refuse("the stream belongs to another resource".to_owned()),
                },
                Err(error) => refuse(error.to_string()),
            },
            EventEndpoint::Function { name: reference } => match shared.catalog.functions.referred(reference, |_| ()) {
                Some(()) => Ok(()),
                None => refuse(format!("there is no function `{reference}`")),
            },
            EventEndpoint::Queue { name } => match (&shared.options.queues, shared.catalog.queues.get(name)) {
                (None, _) => Err(EventError::NotSupported { feature: "delivery to a queue" }),
                (Some(_), Some(_)) => Ok(()),
                (Some(_), None) => refuse(format!("there is no queue `{name}`")),
            },
        }
    }
}

/// An endpoint for people: without the query of an address, which may hold a secret.
pub(super) fn shown(endpoint: &EventEndpoint) -> String {
    match endpoint {
        EventEndpoint::Webhook { url } => url.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect(),
        EventEndpoint::Stream { name } | EventEndpoint::Function { name } | EventEndpoint::Queue { name } => {
            name.clone()
        }
    }
}
