//! `CreateTopic`, `DeleteTopic`, `ListTopics`, `GetTopicAttributes`, `SetTopicAttributes`

use std::collections::BTreeMap;

use millstream_catalog::{EventEndpoint, SubscriptionState, TopicDefinition};
use millstream_event::{EventError, NewMessageTopic};

use super::{
    Answer, Sns, attributes, delivery_policy, error, nothing, page_of, permissions, settings, tags, write_entries,
};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{Parameters, members};

pub(super) async fn create(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let name = parameters.get("Name").ok_or_else(|| error::invalid("Topic Name"))?.to_owned();
    let given: BTreeMap<String, String> =
        parameters.entries("Attributes", "entry", "key", "value").into_iter().collect();
    if name.ends_with(".fifo") || given.get("FifoTopic").is_some_and(|value| value == "true") {
        return Err(error::unsupported("a FIFO topic"));
    }
    if parameters.get("DataProtectionPolicy").is_some() {
        return Err(error::unsupported("DataProtectionPolicy"));
    }
    let mut kept = BTreeMap::new();
    for (name, value) in &given {
        attributes::put(&mut kept, name, value)?;
    }
    let tags = tags::read(parameters)?;
    let address = sns.place.arn("sns", &name);
    let new =
        NewMessageTopic { name: name.clone(), address: address.clone(), attributes: kept.clone(), tags: tags.clone() };
    match sns.events.create_message_topic(new).await {
        Ok(_) => {}
        Err(EventError::TopicExists { .. }) => {
            let found = sns.events.message_topic(&name).map_err(|_| EventError::TopicExists { topic: name })?;
            if kept.iter().any(|(name, value)| found.attributes.get(name) != Some(value)) {
                return Err(error::invalid_because("Attributes", "Topic already exists with different attributes"));
            }
            if !tags.is_empty() && tags != found.tags {
                return Err(error::invalid_because("Tags", "Topic already exists with different tags"));
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Box::new(move |result| result.text("TopicArn", &address)))
}

/// Removes a topic; one that is gone is no error, as the service has it.
pub(super) async fn delete(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    match sns.events.delete_message_topic(&sns.topic_of(parameters, "TopicArn")?).await {
        Ok(()) | Err(EventError::TopicNotFound { .. }) => Ok(nothing()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn list(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let (topics, next) = page_of(sns.events.message_topics(), parameters.get("NextToken"), |topic| &topic.name);
    Ok(Box::new(move |result| {
        members(result, "Topics", &topics, |member, topic| member.text("TopicArn", &topic.address));
        result.optional("NextToken", next.as_deref());
    }))
}

pub(super) fn attributes(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.events.message_topic(&sns.topic_of(parameters, "TopicArn")?)?;
    let entries = all_attributes(sns, &topic);
    Ok(Box::new(move |result| write_entries(result, "Attributes", &entries)))
}

fn all_attributes(sns: &Sns, topic: &TopicDefinition) -> Vec<(String, String)> {
    let subscriptions = sns.events.subscriptions(&topic.name);
    let confirmed = subscriptions.iter().filter(|found| found.state == SubscriptionState::Active).count();
    let mut all = BTreeMap::from([
        ("TopicArn".to_owned(), topic.address.clone()),
        ("Owner".to_owned(), sns.place.account.clone()),
        ("DisplayName".to_owned(), String::new()),
        ("Policy".to_owned(), permissions::policy_of(&sns.place, topic)),
        ("SubscriptionsConfirmed".to_owned(), confirmed.to_string()),
        ("SubscriptionsPending".to_owned(), (subscriptions.len() - confirmed).to_string()),
        ("SubscriptionsDeleted".to_owned(), "0".to_owned()),
        ("EffectiveDeliveryPolicy".to_owned(), delivery_policy::effective_of_topic(&topic.attributes)),
    ]);
    all.extend(topic.attributes.clone());
    all.into_iter().collect()
}

pub(super) async fn set_attribute(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.topic_of(parameters, "TopicArn")?;
    let name = parameters.get("AttributeName").ok_or_else(|| error::invalid("AttributeName"))?;
    let value = parameters.get("AttributeValue").unwrap_or_default();
    let changed = sns.events.change_message_topic(&topic, |known| {
        attributes::put(&mut known.attributes, name, value)?;
        let subscriptions = sns.events.subscriptions(&known.name);
        attributes::check_subscribers(&known.attributes, subscriptions.iter().map(|found| &found.endpoint))
    });
    changed.await?;
    if name == "DeliveryPolicy" {
        serve_anew(sns, &topic).await?;
    }
    Ok(nothing())
}

/// Webhooks without a delivery policy of their own go by their topic's.
async fn serve_anew(sns: &Sns, topic: &str) -> Result<(), ServiceError> {
    for subscription in sns.events.subscriptions(topic) {
        if matches!(subscription.endpoint, EventEndpoint::Webhook { .. }) {
            let changed = sns.events.change_message_subscription(topic, &subscription.name, |known, topic| {
                settings::read(&known.endpoint, known.attributes.clone(), topic)
            });
            match changed.await {
                // It ended meanwhile.
                Ok(_) | Err(ServiceError { status: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
