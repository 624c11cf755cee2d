//! The attributes of topics: which there are, and what their values may be. Pure.

use std::collections::BTreeMap;

use millstream_access::policy::{Policy, Use};
use millstream_catalog::EventEndpoint;

use super::{delivery_policy, error};
use crate::json_protocol::ServiceError;

/// Characters of a display name.
const DISPLAY_NAME_CHARS_MAX: usize = 100;
/// Bytes of a message with its attributes, and of a batch, unless the topic says otherwise; what it may say.
const MESSAGE_BYTES: usize = 256 << 10;
const MESSAGE_BYTES_MIN: usize = 1 << 10;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Subscriptions of a topic of larger messages.
const LARGE_SUBSCRIPTIONS_MAX: usize = 100;

/// The name of the attribute that says how large messages may be.
const MAXIMUM_MESSAGE_SIZE: &str = "MaximumMessageSize";

/// Sets an attribute; an empty value takes it away.
pub(super) fn put(attributes: &mut BTreeMap<String, String>, name: &str, value: &str) -> Result<(), ServiceError> {
    if value.is_empty() && matches!(name, "DisplayName" | "Policy" | "DeliveryPolicy" | "SignatureVersion") {
        attributes.remove(name);
        return Ok(());
    }
    let fine = match name {
        "DisplayName" => value.chars().count() <= DISPLAY_NAME_CHARS_MAX && !value.chars().any(char::is_control),
        "Policy" => {
            Policy::parse(value, Use::Resource).map_err(|error| error::invalid(&format!("Policy Error: {error}")))?;
            true
        }
        "DeliveryPolicy" => {
            delivery_policy::check_topic(value)?;
            true
        }
        "SignatureVersion" => matches!(value, "1" | "2"),
        MAXIMUM_MESSAGE_SIZE => {
            value.parse().is_ok_and(|bytes: usize| (MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(&bytes))
        }
        "TracingConfig" if value == "Active" => return Err(error::unsupported("TracingConfig Active")),
        "TracingConfig" => value == "PassThrough",
        // These say what holds anyway.
        "FifoTopic" | "ContentBasedDeduplication" if value == "false" => return Ok(()),
        "FifoTopic" | "ContentBasedDeduplication" | "FifoThroughputScope" | "ArchivePolicy" | "KmsMasterKeyId" => {
            return Err(error::unsupported(&format!("the attribute {name}")));
        }
        feedback if feedback.contains("Feedback") => {
            return Err(error::unsupported(&format!("the attribute {feedback}")));
        }
        _ => return Err(error::invalid("AttributeName")),
    };
    if !fine {
        return Err(error::invalid(&format!("Attributes: {name}")));
    }
    attributes.insert(name.to_owned(), value.to_owned());
    Ok(())
}

/// Bytes of a message and of a batch that a topic takes.
pub(super) fn message_bytes_max(attributes: &BTreeMap<String, String>) -> usize {
    // It was checked when it was set.
    attributes.get(MAXIMUM_MESSAGE_SIZE).and_then(|bytes| bytes.parse().ok()).unwrap_or(MESSAGE_BYTES)
}

/// Checks that a topic's subscribers can get messages as large as it takes: not all can.
pub(super) fn check_subscribers<'e>(
    attributes: &BTreeMap<String, String>,
    endpoints: impl Iterator<Item = &'e EventEndpoint>,
) -> Result<(), ServiceError> {
    if message_bytes_max(attributes) <= MESSAGE_BYTES {
        return Ok(());
    }
    let mut count = 0;
    for endpoint in endpoints {
        count += 1;
        if matches!(endpoint, EventEndpoint::Webhook { .. }) || count > LARGE_SUBSCRIPTIONS_MAX {
            let reason = format!(
                "A topic of messages above {MESSAGE_BYTES} bytes has at most {LARGE_SUBSCRIPTIONS_MAX} subscriptions, \
                 of queues, functions and delivery streams"
            );
            return Err(error::invalid_because(MAXIMUM_MESSAGE_SIZE, &reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_messages_are_not_for_webhooks() {
        let mut attributes = BTreeMap::new();
        assert_eq!(message_bytes_max(&attributes), 262_144);
        for wrong in ["", "1023", "1048577", "x"] {
            assert!(put(&mut attributes, MAXIMUM_MESSAGE_SIZE, wrong).is_err(), "{wrong}");
        }
        let webhook = [EventEndpoint::Webhook { url: "https://a.example/".into() }];
        put(&mut attributes, MAXIMUM_MESSAGE_SIZE, "262144").unwrap();
        assert!(check_subscribers(&attributes, webhook.iter()).is_ok());
        put(&mut attributes, MAXIMUM_MESSAGE_SIZE, "1048576").unwrap();
        assert_eq!(message_bytes_max(&attributes), 1_048_576);
        assert!(check_subscribers(&attributes, webhook.iter()).is_err());
        let queues = vec![EventEndpoint::Queue { name: "q".into() }; LARGE_SUBSCRIPTIONS_MAX + 1];
        assert!(check_subscribers(&attributes, queues[1..].iter()).is_ok());
        assert!(check_subscribers(&attributes, queues.iter()).is_err());
    }
}
