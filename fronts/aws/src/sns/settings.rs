//! The attributes of subscriptions: which there are, what their values may be, and what the engine makes of them. Pure.

use std::collections::BTreeMap;

use millstream_catalog::{EventEndpoint, EventFilter, MessagePattern, PatternScope, TopicDefinition};
use millstream_event::MessageSettings;
use serde_json::Value;

use super::{delivery_policy, error};
use crate::json_protocol::ServiceError;
use crate::place::resource;

/// What is set when a webhook's subscription is confirmed: it may only be ended by a signed request.
pub(super) const AUTHENTICATE: &str = "AuthenticateOnUnsubscribe";

/// Reads attributes, which are kept as they are. An empty value takes an attribute away.
///
/// # Errors
/// `InvalidParameter` names what is wrong.
pub fn read(
    endpoint: &EventEndpoint,
    mut attributes: BTreeMap<String, String>,
    topic: &TopicDefinition,
) -> Result<MessageSettings, ServiceError> {
    attributes.retain(|_, value| !value.is_empty());
    let mut settings = MessageSettings::default();
    let (mut policy, mut scope) = (None, PatternScope::Attributes);
    for (name, value) in &attributes {
        match name.as_str() {
            "FilterPolicy" => policy = Some(value.clone()),
            "FilterPolicyScope" => scope = read_scope(value)?,
            "RawMessageDelivery" => settings.raw = raw(endpoint, value)?,
            "RedrivePolicy" => settings.dead_letter_queue = Some(dead_letter_queue(value)?),
            "DeliveryPolicy" if matches!(endpoint, EventEndpoint::Webhook { .. }) => {
                delivery_policy::check_subscription(value)?;
            }
            "DeliveryPolicy" => {
                return Err(error::invalid_because("Attributes", "DeliveryPolicy is for http and https endpoints"));
            }
            "SubscriptionRoleArn" if matches!(endpoint, EventEndpoint::Stream { .. }) => {}
            "SubscriptionRoleArn" => {
                return Err(error::invalid_because("Attributes", "SubscriptionRoleArn is for firehose endpoints"));
            }
            "ReplayPolicy" => return Err(error::unsupported("the attribute ReplayPolicy")),
            AUTHENTICATE => {}
            _ => return Err(error::invalid("AttributeName")),
        }
    }
    if matches!(endpoint, EventEndpoint::Stream { .. }) && !attributes.contains_key("SubscriptionRoleArn") {
        return Err(error::invalid_because("Attributes", "SubscriptionRoleArn is required for firehose endpoints"));
    }
    // A policy without fields wants everything.
    let pattern = policy.map(|text| MessagePattern { text, scope });
    settings.filter = EventFilter { pattern, ..EventFilter::default() };
    settings.retry_waits = match endpoint {
        EventEndpoint::Webhook { .. } => delivery_policy::waits(&topic.attributes, &attributes),
        _ => delivery_policy::own_waits(),
    };
    settings.attempts_max = match endpoint {
        EventEndpoint::Webhook { .. } => u32::try_from(settings.retry_waits.len()).unwrap_or(u32::MAX - 1) + 1,
        _ => delivery_policy::OWN_ATTEMPTS_MAX,
    };
    settings.attributes = attributes;
    Ok(settings)
}

fn read_scope(value: &str) -> Result<PatternScope, ServiceError> {
    match value {
        "MessageAttributes" => Ok(PatternScope::Attributes),
        "MessageBody" => Ok(PatternScope::Body),
        _ => {
            let what = "FilterPolicyScope: Invalid value. Please use either MessageBody or MessageAttributes";
            Err(error::invalid(what))
        }
    }
}

fn raw(endpoint: &EventEndpoint, value: &str) -> Result<bool, ServiceError> {
    match (value.to_ascii_lowercase().as_str(), endpoint) {
        ("false", _) => Ok(false),
        ("true", EventEndpoint::Function { .. }) => Err(error::invalid_because(
            "Attributes",
            "Delivery protocol [lambda] does not support raw message delivery.",
        )),
        ("true", _) => Ok(true),
        _ => Err(error::invalid_because("Attributes", "Raw Message Delivery has to be true or false")),
    }
}

fn dead_letter_queue(text: &str) -> Result<String, ServiceError> {
    let policy: Value =
        serde_json::from_str(text).map_err(|_| error::invalid("RedrivePolicy: failed to parse JSON."))?;
    let queue = policy["deadLetterTargetArn"].as_str().and_then(|arn| resource(arn, "sqs", ""));
    let queue = queue.map(str::to_owned);
    queue.ok_or_else(|| error::invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn"))
}
