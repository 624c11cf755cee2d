//! `AddPermission`, `RemovePermission`: statements of a topic's policy.

use millstream_catalog::TopicDefinition;
use serde_json::{Value, json};

use super::{Answer, Sns, error, nothing};
use crate::json_protocol::ServiceError;
use crate::place::Place;
use crate::policy_statements::{self, Grant, NotAdded};
use crate::query_protocol::Parameters;

/// What the owner of a topic may do with it.
const ACTIONS: [&str; 9] = [
    "SNS:GetTopicAttributes",
    "SNS:SetTopicAttributes",
    "SNS:AddPermission",
    "SNS:RemovePermission",
    "SNS:DeleteTopic",
    "SNS:Subscribe",
    "SNS:ListSubscriptionsByTopic",
    "SNS:Publish",
    "SNS:Receive",
];

/// The policy of a topic.
pub(crate) fn policy_of(place: &Place, topic: &TopicDefinition) -> String {
    topic.attributes.get("Policy").cloned().unwrap_or_else(|| usual(place, topic))
}

/// The policy of a topic that has been given none: it is for services that act for the topic's owner.
fn usual(place: &Place, topic: &TopicDefinition) -> String {
    json!({
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [{
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": { "AWS": "*" },
            "Action": ACTIONS,
            "Resource": topic.address,
            "Condition": { "StringEquals": { "AWS:SourceOwner": place.account } },
        }],
    })
    .to_string()
}

pub(super) async fn add(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.topic_of(parameters, "TopicArn")?;
    let label = label(parameters)?;
    let (accounts, actions) = (parameters.texts("AWSAccountId"), parameters.texts("ActionName"));
    if accounts.is_empty() {
        return Err(error::invalid("AWSAccountId"));
    }
    let known = |action: &String| action == "*" || ACTIONS.iter().any(|known| known.ends_with(&format!(":{action}")));
    if actions.is_empty() || !actions.iter().all(known) {
        return Err(error::invalid("Policy statement action out of service scope!"));
    }
    change(sns, &topic, |policy, address| {
        let (accounts, actions) = (&accounts[..], &actions[..]);
        let grant = Grant { label: &label, accounts, actions, service: "SNS", resource: address };
        policy_statements::add(policy, &grant).map_err(|why| match why {
            NotAdded::NoStatements => error::invalid("Policy"),
            NotAdded::Exists => error::invalid("Statement already exists"),
        })
    })
    .await
}

pub(super) async fn remove(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.topic_of(parameters, "TopicArn")?;
    let label = label(parameters)?;
    // A statement that is not there is none to remove: that is no error, as the service has it.
    change(sns, &topic, |policy, _| {
        policy_statements::remove(policy, &label);
        Ok(())
    })
    .await
}

fn label(parameters: &Parameters) -> Result<String, ServiceError> {
    let label = parameters.get("Label").filter(|label| !label.is_empty());
    label.map(str::to_owned).ok_or_else(|| error::invalid("Label"))
}

/// Changes a topic's policy, in its turn; `change` is told the topic's address.
async fn change(
    sns: &Sns,
    topic: &str,
    change: impl FnOnce(&mut Value, &str) -> Result<(), ServiceError>,
) -> Result<Answer, ServiceError> {
    let changed = sns.events.change_message_topic(topic, |topic| {
        let mut policy = serde_json::from_str(&policy_of(&sns.place, topic)).unwrap_or_default();
        change(&mut policy, &topic.address)?;
        match policy["Statement"].as_array() {
            // A policy without statements is none: the usual one counts again.
            Some(statements) if statements.is_empty() => drop(topic.attributes.remove("Policy")),
            _ => drop(topic.attributes.insert("Policy".to_owned(), policy.to_string())),
        }
        Ok::<_, ServiceError>(())
    });
    changed.await?;
    Ok(nothing())
}
