//! Statements of resources' policies, as `AddPermission` and `RemovePermission` of SQS and SNS write them. Pure.

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
    let statements = policy.get_mut("Statement").and_then(Value::as_array_mut).ok_or(NotAdded::NoStatements)?;
    if statements.iter().any(|statement| statement["Sid"] == grant.label) {
        return Err(NotAdded::Exists);
    }
    let principals: Vec<String> = grant.accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
    let actions: Vec<String> = grant.actions.iter().map(|action| format!("{}:{action}", grant.service)).collect();
    statements.push(json!({
        "Sid": grant.label,
        "Effect": "Allow",
        "Principal": { "AWS": principals },
        "Action": actions,
        "Resource": grant.resource,
    }));
    Ok(())
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
    }
}
