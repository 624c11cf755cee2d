//! `AddPermission`, `RemovePermission`: statements of a queue's policy.

use millstream_catalog::QueueDefinition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sqs, error, queue_of};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::policy_statements::{self, Grant, NotAdded};

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
/// Characters of a label, and digits of an account, as the service has them.
const LABEL_CHARS_MAX: usize = 80;
const ACCOUNT_DIGITS: usize = 12;

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
        let label = self.label.as_deref().filter(|label| !label.is_empty()).ok_or_else(|| error::missing("Label"))?;
        let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        if label.len() > LABEL_CHARS_MAX || !label.chars().all(plain) {
            return Err(error::invalid(format!(
                "Value {label} for parameter Label is invalid. Reason: Can only include alphanumeric characters, \
                 hyphens, or underscores. 1 to {LABEL_CHARS_MAX} in length."
            )));
        }
        Ok(label)
    }

    fn check_grant(&self) -> Result<(), ServiceError> {
        if self.accounts.is_empty() {
            return Err(error::missing("AWSAccountIds"));
        }
        if self.actions.is_empty() {
            return Err(error::missing("Actions"));
        }
        let number = |account: &str| account.len() == ACCOUNT_DIGITS && account.bytes().all(|b| b.is_ascii_digit());
        if let Some(wrong) = self.accounts.iter().find(|account| !number(account)) {
            return Err(error::invalid(format!(
                "Value {wrong} for parameter PrincipalId is invalid. Reason: Unable to verify."
            )));
        }
        if let Some(unknown) = self.actions.iter().find(|action| !ACTIONS.contains(&action.as_str())) {
            return Err(error::invalid(format!("Value SQS:{unknown} for parameter ActionName is invalid.")));
        }
        Ok(())
    }
}

pub(super) async fn add(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let label = input.label()?;
    input.check_grant()?;
    let arn = sqs.arn(&queue);
    let grant = Grant { label, accounts: &input.accounts, actions: &input.actions, service: "SQS", resource: &arn };
    let changed = sqs.queues.change(&queue, |queue| {
        let mut policy = policy(queue, &arn);
        policy_statements::add(&mut policy, &grant).map_err(|why| {
            error::invalid(match why {
                NotAdded::NoStatements => "The queue's policy has no statements.".to_owned(),
                NotAdded::Exists => format!("Value {label} for parameter Label is invalid. Reason: Already exists."),
            })
        })?;
        queue.policy = Some(policy.to_string());
        Ok::<_, ServiceError>(())
    });
    changed.await?;
    Ok(json!({}))
}

pub(super) async fn remove(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let label = input.label()?;
    let arn = sqs.arn(&queue);
    let changed = sqs.queues.change(&queue, |queue| {
        let mut policy = policy(queue, &arn);
        let left = policy_statements::remove(&mut policy, label).ok_or_else(|| {
            error::invalid(format!(
                "Value {label} for parameter Label is invalid. Reason: can't find label on existing policy."
            ))
        })?;
        queue.policy = (left > 0).then(|| policy.to_string());
        Ok::<_, ServiceError>(())
    });
    changed.await?;
    Ok(json!({}))
}

/// A queue's policy, or one without statements.
pub(crate) fn policy(queue: &QueueDefinition, arn: &str) -> Value {
    let stored = queue.policy.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let empty = || json!({ "Version": "2012-10-17", "Id": format!("{arn}/SQSDefaultPolicy"), "Statement": [] });
    stored.unwrap_or_else(empty)
}
