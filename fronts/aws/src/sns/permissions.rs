//! `AddPermission`, `RemovePermission`: statements of a topic's policy. They are kept and shown.

use millstream_catalog::TopicDefinition;
use serde_json::{Value, json};

use super::{Answer, Sns, error, nothing};
use crate::json_protocol::ServiceError;
use crate::place::Place;
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

/// The policy of a topic that has been given none.
pub(super) fn usual(place: &Place, topic: &TopicDefinition) -> String {
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
    let topic = sns.events.message_topic(&sns.topic_of(parameters, "TopicArn")?)?;
    let label = label(parameters)?;
    let (accounts, actions) = (parameters.texts("AWSAccountId"), parameters.texts("ActionName"));
    if accounts.is_empty() {
        return Err(error::invalid("AWSAccountId"));
    }
    let known = |action: &String| action == "*" || ACTIONS.iter().any(|known| known.ends_with(&format!(":{action}")));
    if actions.is_empty() || !actions.iter().all(known) {
        return Err(error::invalid("Policy statement action out of service scope!"));
    }
    let mut policy = policy(sns, &topic);
    let statements = policy["Statement"].as_array_mut().ok_or_else(|| error::invalid("Policy"))?;
    if statements.iter().any(|statement| statement["Sid"] == *label) {
        return Err(error::invalid("Statement already exists"));
    }
    let account = |account: &String| format!("arn:aws:iam::{account}:root");
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": accounts.iter().map(account).collect::<Vec<_>>() },
        "Action": actions.iter().map(|action| format!("SNS:{action}")).collect::<Vec<_>>(),
        "Resource": topic.address,
    }));
    keep(sns, &topic.name, &policy).await
}

pub(super) async fn remove(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.events.message_topic(&sns.topic_of(parameters, "TopicArn")?)?;
    let label = label(parameters)?;
    let mut policy = policy(sns, &topic);
    if let Some(statements) = policy["Statement"].as_array_mut() {
        statements.retain(|statement| statement["Sid"] != *label);
    }
    keep(sns, &topic.name, &policy).await
}

fn label(parameters: &Parameters) -> Result<String, ServiceError> {
    let label = parameters.get("Label").filter(|label| !label.is_empty());
    label.map(str::to_owned).ok_or_else(|| error::invalid("Label"))
}

fn policy(sns: &Sns, topic: &TopicDefinition) -> Value {
    let text = topic.attributes.get("Policy").cloned().unwrap_or_else(|| usual(&sns.place, topic));
    serde_json::from_str(&text).unwrap_or_default()
}

async fn keep(sns: &Sns, topic: &str, policy: &Value) -> Result<Answer, ServiceError> {
    let text = policy.to_string();
    sns.events.change_message_topic(topic, |attributes, _| drop(attributes.insert("Policy".to_owned(), text))).await?;
    Ok(nothing())
}
