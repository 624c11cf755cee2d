//! Carrying out what a pipeline file says of topics of messages.

use std::collections::BTreeMap;

use anyhow::Context as _;
use millstream_aws::sns::read_settings;
use millstream_catalog::pipeline::{MessageSubscriptionSpec, MessageTopicSpec};
use millstream_catalog::{EventEndpoint, PatternScope, TopicDefinition};
use millstream_event::{EventError, MessageSubscription, NewMessageTopic};
use serde_json::json;

use super::azure::ENDPOINT;
use super::carry_out::Outcome;
use crate::node::Engines;

/// Gives what was done, and the topic's address.
pub(super) async fn topic(engines: &Engines, spec: &MessageTopicSpec) -> anyhow::Result<(Outcome, String)> {
    let display_name = spec.display_name.clone().map(|name| ("DisplayName".to_owned(), name));
    let new = NewMessageTopic {
        name: spec.name.clone(),
        address: engines.place.arn("sns", &spec.name),
        attributes: display_name.into_iter().collect(),
        tags: BTreeMap::new(),
    };
    let mut outcome = match engines.events.create_message_topic(new).await {
        Ok(_) => Outcome::Created,
        Err(EventError::TopicExists { .. }) => Outcome::Unchanged,
        Err(error) => return Err(error.into()),
    };
    let topic = engines.events.message_topic(&spec.name).context("an event grid topic has its name")?;
    for located in &spec.subscriptions {
        let changed = subscription(engines, &topic, &located.value).await;
        if changed.with_context(|| format!("the subscription of line {}", located.line))?
            && outcome == Outcome::Unchanged
        {
            outcome = Outcome::Updated;
        }
    }
    Ok((outcome, topic.address.clone()))
}

/// Whether a subscription was made or changed.
async fn subscription(
    engines: &Engines,
    topic: &TopicDefinition,
    spec: &MessageSubscriptionSpec,
) -> anyhow::Result<bool> {
    let endpoint = match spec.endpoint.clone() {
        EventEndpoint::Webhook { url } => EventEndpoint::Webhook { url: url.replace(ENDPOINT, &engines.endpoint) },
        other => other,
    };
    let known = engines.events.subscriptions(&topic.name).into_iter().find(|known| known.endpoint == endpoint);
    let mut reached = engines.reach.let_topic(&topic.name, &endpoint).await?;
    if let Some(name) = spec.dead_letter_queue.clone() {
        reached |= engines.reach.let_topic(&topic.name, &EventEndpoint::Queue { name }).await?;
    }
    let attributes = attributes(engines, spec);
    if known.as_ref().is_some_and(|known| known.attributes == attributes) {
        return Ok(reached);
    }
    let settings = read_settings(&endpoint, attributes, topic).map_err(|error| anyhow::anyhow!(error.message))?;
    match known {
        Some(known) => {
            let as_described = |_: &_, _: &_| Ok::<_, EventError>(settings);
            engines.events.change_message_subscription(&topic.name, &known.name, as_described).await?;
        }
        None => {
            let new = MessageSubscription { topic: topic.name.clone(), endpoint, settings };
            engines.events.subscribe(new).await?;
        }
    }
    Ok(true)
}

/// A subscription in the protocol's words, as clients would have made it.
fn attributes(engines: &Engines, spec: &MessageSubscriptionSpec) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut put = |name: &str, value: String| drop(attributes.insert(name.to_owned(), value));
    if spec.raw {
        put("RawMessageDelivery", "true".to_owned());
    }
    if let Some(pattern) = &spec.pattern {
        put("FilterPolicy", pattern.text.clone());
        if pattern.scope == PatternScope::Body {
            put("FilterPolicyScope", "MessageBody".to_owned());
        }
    }
    if let Some(queue) = &spec.dead_letter_queue {
        put("RedrivePolicy", json!({ "deadLetterTargetArn": engines.place.arn("sqs", queue) }).to_string());
    }
    attributes
}
