//! `PutResourcePolicy`, `GetResourcePolicy`, `DeleteResourcePolicy`: the policies of streams and of their consumers.

use bytes::Bytes;
use millstream_access::policy::{Policy, Use};
use serde::Deserialize;
use serde_json::{Value, json};

use super::resource::Resource;
use super::{Kinesis, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Bytes of a policy: the service's limit.
const POLICY_BYTES_MAX: usize = 20 << 10;

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(rename = "Policy")]
    policy: Option<String>,
}

pub(super) async fn put(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    constraints
        .required("resourceARN", input.resource_arn.as_ref())
        .required("policy", input.policy.as_ref())
        .finish()?;
    let policy = input.policy.unwrap_or_default();
    let arn = input.resource_arn.unwrap_or_default();
    let resource = Resource::of_arn(kinesis, &arn)?;
    check(&policy, &arn)?;
    set(kinesis, &resource, Some(policy)).await
}

pub(super) fn get(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let resource = named(kinesis, request)?;
    // A resource without a policy has an empty one.
    Ok(json!({ "Policy": policy(&resource).unwrap_or("{}") }))
}

pub(super) async fn delete(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let resource = named(kinesis, request)?;
    if policy(&resource).is_none() {
        let message = "The resource has no policy.";
        return Err(ServiceError::new("ResourceNotFoundException", message));
    }
    set(kinesis, &resource, None).await
}

fn named(kinesis: &Kinesis, request: &JsonRequest) -> Result<Resource, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new().required("resourceARN", input.resource_arn.as_ref()).finish()?;
    Resource::of_arn(kinesis, input.resource_arn.as_deref().unwrap_or_default())
}

fn policy(resource: &Resource) -> Option<&str> {
    match &resource.consumer {
        Some(consumer) => consumer.policy.as_deref(),
        None => resource.stream.settings.policy.as_deref(),
    }
}

async fn set(kinesis: &Kinesis, resource: &Resource, policy: Option<String>) -> Result<Bytes, ServiceError> {
    let name = &resource.stream.name;
    let changed = match &resource.consumer {
        Some(consumer) => {
            kinesis.streams.change_consumer(name, &consumer.name, |consumer| consumer.policy = policy).await
        }
        None => kinesis.streams.change_settings(name, |settings| settings.policy = policy).await.map(|_| ()),
    };
    changed.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

/// Whether a text is a policy whose statements say who may do what with the resource, and with nothing else.
fn check(policy: &str, arn: &str) -> Result<(), ServiceError> {
    if policy.len() > POLICY_BYTES_MAX {
        return Err(invalid(format!("The policy has {} bytes; the limit is {POLICY_BYTES_MAX}.", policy.len())));
    }
    Policy::parse(policy, Use::Resource).map_err(|error| invalid(format!("The policy is not valid: {error}.")))?;
    let document: Value =
        serde_json::from_str(policy).map_err(|error| invalid(format!("The policy is no JSON: {error}.")))?;
    let statements = match &document["Statement"] {
        Value::Array(statements) if !statements.is_empty() => statements.iter().collect(),
        statement @ Value::Object(_) => vec![statement],
        _ => return Err(invalid("The policy has no Statement.")),
    };
    for statement in statements {
        let has = |member: &str| !statement[member].is_null();
        if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
            return Err(invalid("Every Statement of a policy needs an Effect of Allow or Deny."));
        }
        if !has("Principal") || !has("Action") || !has("Resource") {
            return Err(invalid("Every Statement of a resource's policy needs Principal, Action and Resource."));
        }
        if !texts(&statement["Resource"]).all(|resource| resource == arn) {
            return Err(invalid(format!("Every Resource of the policy must be {arn}.")));
        }
        if !texts(&statement["Action"]).all(|action| action.starts_with("kinesis:")) {
            return Err(invalid("Every Action of the policy must be one of Kinesis."));
        }
    }
    Ok(())
}

/// A member that is a text or a list of texts.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value.as_str().into_iter().chain(list.iter().map(|text| text.as_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_speak_of_their_resource() {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        let policy = |change: &dyn Fn(&mut Value)| {
            let mut statement = json!({
                "Effect": "Allow", "Principal": { "AWS": "000000000000" },
                "Action": ["kinesis:GetRecords"], "Resource": arn,
            });
            change(&mut statement);
            check(&json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string(), arn)
        };
        assert_eq!(policy(&|_| {}), Ok(()));
        for (member, value) in [
            ("Effect", json!("Maybe")),
            ("Principal", Value::Null),
            ("Action", json!("s3:GetObject")),
            ("Resource", json!("*")),
        ] {
            assert!(policy(&|statement| statement[member] = value.clone()).is_err(), "{member}");
        }
        assert!(check("{}", arn).is_err() && check("no JSON", arn).is_err());
    }
}
