//! `Subscribe`, `ConfirmSubscription`, `Unsubscribe`, the listings, `GetSubscriptionAttributes`, `SetSubscriptionAttributes`

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use millstream_catalog::{EventEndpoint, EventSubscriptionDefinition, SubscriptionState, TopicDefinition};
use millstream_event::{EventError, MessageSubscription};

use super::settings::AUTHENTICATE;
use super::{Answer, Sns, attributes, delivery_policy, endpoint, error, nothing, page_of, settings, write_entries};
use crate::json_protocol::ServiceError;
use crate::place::resource;
use crate::query_protocol::{Parameters, members};

pub(super) async fn subscribe(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.events.message_topic(&sns.topic_of(parameters, "TopicArn")?)?;
    let protocol = parameters.get("Protocol").ok_or_else(|| error::invalid("Protocol"))?;
    let address = parameters.get("Endpoint").filter(|address| !address.is_empty());
    let endpoint = endpoint::read(protocol, address.ok_or_else(|| error::invalid("Endpoint"))?)?;
    let attributes: BTreeMap<String, String> =
        parameters.entries("Attributes", "entry", "key", "value").into_iter().collect();
    if attributes.contains_key(AUTHENTICATE) {
        return Err(error::invalid("AttributeName"));
    }
    let known = sns.events.subscriptions(&topic.name);
    let endpoints = known.iter().map(|known| &known.endpoint).chain(iter::once(&endpoint));
    attributes::check_subscribers(&topic.attributes, endpoints)?;
    let settings = settings::read(&endpoint, attributes, &topic)?;
    sns.signer.prepare().await.map_err(|error| ServiceError::internal("InternalError", error.to_string()))?;
    let new = MessageSubscription { topic: topic.name.clone(), endpoint, settings };
    let subscription = sns.events.subscribe(new).await?.definition;
    let always = parameters.get("ReturnSubscriptionArn") == Some("true");
    let told = match subscription.state {
        SubscriptionState::AwaitingValidation { .. } if !always => "pending confirmation".to_owned(),
        _ => arn(&topic, &subscription),
    };
    Ok(Box::new(move |result| result.text("SubscriptionArn", &told)))
}

pub(super) async fn confirm(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.events.message_topic(&sns.topic_of(parameters, "TopicArn")?)?;
    let token = parameters.get("Token").filter(|token| !token.is_empty()).ok_or_else(|| error::invalid("Token"))?;
    let mut confirmed = sns.events.confirm_token(&topic.name, token).await?;
    if parameters.get(AUTHENTICATE) == Some("true") {
        confirmed = set(sns, (&topic.name, &confirmed.name), AUTHENTICATE, "true").await?;
    }
    let told = arn(&topic, &confirmed);
    Ok(Box::new(move |result| result.text("SubscriptionArn", &told)))
}

/// Ends a subscription; one that is gone is no error, as the service has it.
pub(super) async fn unsubscribe(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let (topic, name) = names(sns, parameters)?;
    match sns.events.unsubscribe(&topic, &name).await {
        Ok(()) | Err(EventError::SubscriptionNotFound { .. }) => Ok(nothing()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn list(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    listing(sns, sns.events.message_subscriptions(), parameters)
}

pub(super) fn list_by_topic(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.events.message_topic(&sns.topic_of(parameters, "TopicArn")?)?;
    listing(sns, sns.events.subscriptions(&topic.name), parameters)
}

fn listing(
    sns: &Sns,
    subscriptions: Vec<Arc<EventSubscriptionDefinition>>,
    parameters: &Parameters,
) -> Result<Answer, ServiceError> {
    let (page, next) = page_of(subscriptions, parameters.get("NextToken"), |subscription| &subscription.id);
    let place = sns.place.clone();
    Ok(Box::new(move |result| {
        members(result, "Subscriptions", &page, |member, subscription| {
            let topic = place.arn("sns", &subscription.topic);
            match subscription.state {
                SubscriptionState::Active => member.text("SubscriptionArn", &format!("{topic}:{}", subscription.name)),
                SubscriptionState::AwaitingValidation { .. } => member.text("SubscriptionArn", "PendingConfirmation"),
            }
            member.text("Owner", &place.account);
            member.text("Protocol", endpoint::protocol(&subscription.endpoint));
            member.text("Endpoint", &endpoint::address(&subscription.endpoint, &place));
            member.text("TopicArn", &topic);
        });
        result.optional("NextToken", next.as_deref());
    }))
}

pub(super) fn attributes(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let (topic, name) = names(sns, parameters)?;
    let topic = sns.events.message_topic(&topic).map_err(|_| error::subscription_missing())?;
    let subscription = sns.events.message_subscription(&topic.name, &name)?;
    let pending = subscription.state != SubscriptionState::Active;
    let mut all = BTreeMap::from([
        ("SubscriptionArn", arn(&topic, &subscription)),
        ("TopicArn", topic.address.clone()),
        ("Owner", sns.place.account.clone()),
        ("Protocol", endpoint::protocol(&subscription.endpoint).to_owned()),
        ("Endpoint", endpoint::address(&subscription.endpoint, &sns.place)),
        ("SubscriptionPrincipal", format!("arn:aws:iam::{}:root", sns.place.account)),
        ("PendingConfirmation", pending.to_string()),
        ("RawMessageDelivery", subscription.raw.to_string()),
        ("ConfirmationWasAuthenticated", is_authenticated(&subscription).to_string()),
    ]);
    if let EventEndpoint::Webhook { .. } = subscription.endpoint {
        let effective = delivery_policy::effective_of_subscription(&topic.attributes, &subscription.attributes);
        all.insert("EffectiveDeliveryPolicy", effective);
    }
    if subscription.filter.pattern.is_some() {
        all.insert("FilterPolicyScope", "MessageAttributes".to_owned());
    }
    let own = subscription.attributes.iter().filter(|(name, _)| *name != AUTHENTICATE);
    all.extend(own.map(|(name, value)| (name.as_str(), value.clone())));
    let entries: Vec<(String, String)> = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Box::new(move |result| write_entries(result, "Attributes", &entries)))
}

pub(super) async fn set_attribute(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let (topic, name) = names(sns, parameters)?;
    let topic = sns.events.message_topic(&topic).map_err(|_| error::subscription_missing())?;
    let attribute = parameters.get("AttributeName").filter(|name| *name != AUTHENTICATE);
    let attribute = attribute.ok_or_else(|| error::invalid("AttributeName"))?;
    set(sns, (&topic.name, &name), attribute, parameters.get("AttributeValue").unwrap_or_default()).await?;
    Ok(nothing())
}

/// Sets one attribute of a topic's subscription; the others stay as they are.
async fn set(
    sns: &Sns,
    (topic, name): (&str, &str),
    attribute: &str,
    value: &str,
) -> Result<Arc<EventSubscriptionDefinition>, ServiceError> {
    let changed = sns.events.change_message_subscription(topic, name, |known, topic| {
        let mut attributes = known.attributes.clone();
        attributes.insert(attribute.to_owned(), value.to_owned());
        settings::read(&known.endpoint, attributes, topic)
    });
    changed.await
}

/// Whether only a signed request may end a subscription: those that need no confirmation were made by one.
pub(super) fn is_authenticated(subscription: &EventSubscriptionDefinition) -> bool {
    !matches!(subscription.endpoint, EventEndpoint::Webhook { .. })
        || subscription.attributes.contains_key(AUTHENTICATE)
}

fn arn(topic: &TopicDefinition, subscription: &EventSubscriptionDefinition) -> String {
    format!("{}:{}", topic.address, subscription.name)
}

/// The topic and the name of the subscription that a request names.
pub(super) fn names(sns: &Sns, parameters: &Parameters) -> Result<(String, String), ServiceError> {
    let arn = parameters.get("SubscriptionArn").ok_or_else(|| error::invalid("SubscriptionArn"))?;
    let invalid = || error::invalid_because("SubscriptionArn", "an ARN of a subscription was expected");
    let (topic, name) = resource(arn, "sns", "").and_then(|rest| rest.split_once(':')).ok_or_else(invalid)?;
    if !arn.starts_with(&sns.place.arn("sns", "")) {
        return Err(error::subscription_missing());
    }
    Ok((topic.to_owned(), name.to_owned()))
}
