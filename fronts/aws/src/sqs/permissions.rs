//! `AddPermission`, `RemovePermission`: statements of a queue's policy. They are kept and shown.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sqs, error, queue_of};
use crate::json_protocol::{JsonRequest, ServiceError};

/// What others may be allowed, as the service has it.
const ACTIONS: [&str; 7] = [
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "*",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    queue_url: Option<String>,
    label: Option<String>,
    #[serde(default, rename = "AWSAccountIds")]
    accounts: Vec<String>,
    #[serde(default)]
    actions: Vec<String>,
}

impl Input {
    fn label(&self) -> Result<&str, ServiceError> {
        self.label.as_deref().filter(|label| !label.is_empty()).ok_or_else(|| error::missing("Label"))
    }
}

pub(super) async fn add(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let label = input.label()?;
    if input.accounts.is_empty() {
        return Err(error::missing("AWSAccountIds"));
    }
    if input.actions.is_empty() {
        return Err(error::missing("Actions"));
    }
    if let Some(unknown) = input.actions.iter().find(|action| !ACTIONS.contains(&action.as_str())) {
        return Err(error::invalid(format!("Value SQS:{unknown} for parameter ActionName is invalid.")));
    }
    let mut policy = policy(sqs, &queue)?;
    let statements = policy["Statement"].as_array_mut();
    let statements = statements.ok_or_else(|| error::invalid("The queue's policy has no statements.".to_owned()))?;
    if statements.iter().any(|statement| statement["Sid"] == label) {
        return Err(error::invalid(format!("Value {label} for parameter Label is invalid. Reason: Already exists.")));
    }
    let account = |account: &String| format!("arn:aws:iam::{account}:root");
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": input.accounts.iter().map(account).collect::<Vec<_>>() },
        "Action": input.actions.iter().map(|action| format!("SQS:{action}")).collect::<Vec<_>>(),
        "Resource": sqs.arn(&queue),
    }));
    sqs.queues.set_policy(&queue, Some(policy.to_string())).await?;
    Ok(json!({}))
}

pub(super) async fn remove(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let label = input.label()?;
    let mut policy = policy(sqs, &queue)?;
    let statements = policy["Statement"].as_array_mut().map(|statements| {
        let before = statements.len();
        statements.retain(|statement| statement["Sid"] != label);
        (before, statements.len())
    });
    match statements {
        Some((before, after)) if after < before => {
            sqs.queues.set_policy(&queue, (after > 0).then(|| policy.to_string())).await?;
            Ok(json!({}))
        }
        _ => Err(error::invalid(format!(
            "Value {label} for parameter Label is invalid. Reason: can't find label on existing policy."
        ))),
    }
}

fn policy(sqs: &Sqs, queue: &str) -> Result<Value, ServiceError> {
    let definition = sqs.queues.get(queue)?;
    let stored = definition.policy.as_deref().and_then(|text| serde_json::from_str(text).ok());
    Ok(stored.unwrap_or_else(|| {
        let id = format!("{}/SQSDefaultPolicy", sqs.arn(queue));
        json!({ "Version": "2012-10-17", "Id": id, "Statement": [] })
    }))
}
