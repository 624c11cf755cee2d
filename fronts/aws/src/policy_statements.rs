//! Statements of resources' policies: as `AddPermission` and `RemovePermission` of SQS and SNS write them, and what lets a
//! topic send to a queue. Pure.

use serde_json::{Value, json};

/// What one statement allows.
pub(crate) struct Grant<'g> {
    /// The statement's name in its policy.
    pub(crate) label: &'g str,
    /// Accounts that are allowed it, by their numbers.
    pub(crate) accounts: &'g [String],
    /// What they may do: `SendMessage`.
    pub(crate) actions: &'g [String],
    /// The service, as actions name it: `SQS`.
    pub(crate) service: &'g str,
    /// The ARN of what they may do it with.
    pub(crate) resource: &'g str,
}

/// Why a statement is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdded {
    /// The policy has no list of statements.
    NoStatements,
    /// It has a statement of that name.
    Exists,
}

/// Adds a statement to a policy.
///
/// # Errors
/// [`NotAdded`] says why the policy stays as it is.
pub(crate) fn add(policy: &mut Value, grant: &Grant<'_>) -> Result<(), NotAdded> {
    statements_without(policy, grant.label)?.push(of_accounts(grant));
    Ok(())
}

/// Adds what lets a topic send to a queue, under a name.
///
/// # Errors
/// [`NotAdded`] says why the policy stays as it is.
pub(crate) fn add_topic(policy: &mut Value, label: &str, queue: &str, topic: &str) -> Result<(), NotAdded> {
    statements_without(policy, label)?.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "Service": "sns.amazonaws.com" },
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": { "ArnEquals": { "aws:SourceArn": topic } },
    }));
    Ok(())
}

/// The statements of a policy, none of which has the name.
fn statements_without<'p>(policy: &'p mut Value, label: &str) -> Result<&'p mut Vec<Value>, NotAdded> {
    let statements = policy.get_mut("Statement").ok_or(NotAdded::NoStatements)?;
    if statements.is_object() {
        // One may stand without a list.
        *statements = Value::Array(vec![statements.take()]);
    }
    let statements = statements.as_array_mut().ok_or(NotAdded::NoStatements)?;
    if statements.iter().any(|statement| statement["Sid"] == label) {
        return Err(NotAdded::Exists);
    }
    Ok(statements)
}

fn of_accounts(grant: &Grant<'_>) -> Value {
    let principals: Vec<String> = grant.accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
    let actions: Vec<String> = grant.actions.iter().map(|action| format!("{}:{action}", grant.service)).collect();
    json!({
        "Sid": grant.label,
        "Effect": "Allow",
        "Principal": { "AWS": principals },
        "Action": actions,
        "Resource": grant.resource,
    })
}

/// Takes the statement of a name out of a policy; gives how many statements are left, `None` when there is no such.
pub(crate) fn remove(policy: &mut Value, label: &str) -> Option<usize> {
    let statements = policy.get_mut("Statement")?.as_array_mut()?;
    let before = statements.len();
    statements.retain(|statement| statement["Sid"] != label);
    (statements.len() < before).then_some(statements.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_added_once_and_removed() {
        let mut policy = json!({ "Statement": [] });
        let (accounts, actions) = (["111111111111".to_owned()], ["Publish".to_owned()]);
        let grant = Grant { label: "l", accounts: &accounts, actions: &actions, service: "SNS", resource: "arn" };
        assert_eq!(add(&mut policy, &grant), Ok(()));
        assert_eq!(add(&mut policy, &grant), Err(NotAdded::Exists));
        let expected = json!([{
            "Sid": "l", "Effect": "Allow", "Principal": { "AWS": ["arn:aws:iam::111111111111:root"] },
            "Action": ["SNS:Publish"], "Resource": "arn",
        }]);
        assert_eq!(policy["Statement"], expected);
        assert_eq!(remove(&mut policy, "other"), None);
        assert_eq!(remove(&mut policy, "l"), Some(0));
        assert_eq!(add(&mut json!({}), &grant), Err(NotAdded::NoStatements));
        let mut single = json!({ "Statement": { "Sid": "first" } });
        assert_eq!(add_topic(&mut single, "t", "queue", "topic"), Ok(()));
        assert_eq!(add_topic(&mut single, "t", "queue", "topic"), Err(NotAdded::Exists));
        assert_eq!(
            (&single["Statement"][0]["Sid"], &single["Statement"][1]["Resource"]),
            (&json!("first"), &json!("queue"))
        );
    }
}
