//! `GetQueueAttributes`, `SetQueueAttributes`, and how attributes are read

use std::collections::BTreeMap;

use millstream_access::policy::{Policy, Use};
use millstream_catalog::{QueueSettings, Redrive, RedriveSources};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Sqs, error, queue_of};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::place::resource;

/// The attributes that can be asked for.
pub(super) const NAMES: [&str; 21] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "VisibilityTimeout",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "QueueArn",
    "SqsManagedSseEnabled",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "Policy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
    attributes: Option<BTreeMap<String, String>>,
}

pub(super) fn get(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let queue = sqs.queues.get(&queue_of(input.queue_url.as_deref())?)?;
    let counts = sqs.queues.counts(&queue.name)?;
    let settings = &queue.settings;
    let mut all = BTreeMap::from([
        ("ApproximateNumberOfMessages", counts.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
        ("CreatedTimestamp", (queue.created / 1_000).to_string()),
        ("LastModifiedTimestamp", (queue.modified / 1_000).to_string()),
        ("VisibilityTimeout", settings.visibility_seconds.to_string()),
        ("MaximumMessageSize", settings.message_bytes_max.to_string()),
        ("MessageRetentionPeriod", settings.retention_seconds.to_string()),
        ("DelaySeconds", settings.delay_seconds.to_string()),
        ("ReceiveMessageWaitTimeSeconds", settings.wait_seconds.to_string()),
        ("QueueArn", sqs.arn(&queue.name)),
        ("SqsManagedSseEnabled", "false".to_owned()),
    ]);
    if let Some(redrive) = &settings.redrive {
        let policy = json!({ "deadLetterTargetArn": sqs.arn(&redrive.queue), "maxReceiveCount": redrive.receives_max });
        all.insert("RedrivePolicy", policy.to_string());
    }
    match &settings.sources {
        RedriveSources::All => {}
        RedriveSources::None => {
            drop(all.insert("RedriveAllowPolicy", json!({ "redrivePermission": "denyAll" }).to_string()))
        }
        RedriveSources::Queues(queues) => {
            let arns: Vec<String> = queues.iter().map(|queue| sqs.arn(queue)).collect();
            let policy = json!({ "redrivePermission": "byQueue", "sourceQueueArns": arns });
            all.insert("RedriveAllowPolicy", policy.to_string());
        }
    }
    if let Some(policy) = &queue.policy {
        all.insert("Policy", policy.clone());
    }
    let wanted = &input.attribute_names;
    if let Some(unknown) = wanted.iter().find(|name| *name != "All" && !NAMES.contains(&name.as_str())) {
        return Err(ServiceError::new("InvalidAttributeName", format!("Unknown Attribute {unknown}.")));
    }
    let everything = wanted.iter().any(|name| name == "All");
    all.retain(|name, _| everything || wanted.iter().any(|wanted| wanted == name));
    let chosen: Map<String, Value> =
        all.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
    if chosen.is_empty() { Ok(json!({})) } else { Ok(json!({ "Attributes": chosen })) }
}

pub(super) async fn set(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let attributes = input.attributes.ok_or_else(|| error::missing("Attributes"))?;
    let changed = sqs.queues.change(&queue, |queue| {
        read(&attributes, &mut queue.settings)?;
        if let Some(policy) = policy(&attributes)? {
            queue.policy = policy;
        }
        Ok::<_, ServiceError>(())
    });
    changed.await?;
    Ok(json!({}))
}

/// Puts attributes of a request into settings; those that are not named stay.
pub(super) fn read(attributes: &BTreeMap<String, String>, settings: &mut QueueSettings) -> Result<(), ServiceError> {
    for (name, value) in attributes {
        let field = match name.as_str() {
            "VisibilityTimeout" => &mut settings.visibility_seconds,
            "MaximumMessageSize" => &mut settings.message_bytes_max,
            "MessageRetentionPeriod" => &mut settings.retention_seconds,
            "DelaySeconds" => &mut settings.delay_seconds,
            "ReceiveMessageWaitTimeSeconds" => &mut settings.wait_seconds,
            "RedrivePolicy" => {
                settings.redrive = redrive(value)?;
                continue;
            }
            "RedriveAllowPolicy" => {
                settings.sources = sources(value)?;
                continue;
            }
            // It is kept beside the settings, see `policy`.
            "Policy" => continue,
            "SqsManagedSseEnabled" if value == "false" => continue,
            "FifoQueue" | "ContentBasedDeduplication" | "DeduplicationScope" | "FifoThroughputLimit" => {
                return Err(error::unsupported(&format!("The attribute {name} of FIFO queues")));
            }
            "KmsMasterKeyId" | "KmsDataKeyReusePeriodSeconds" | "SqsManagedSseEnabled" => {
                return Err(error::unsupported(&format!("The attribute {name}")));
            }
            _ => return Err(ServiceError::new("InvalidAttributeName", format!("Unknown Attribute {name}."))),
        };
        *field = value.parse().map_err(|_| invalid(name))?;
    }
    Ok(())
}

/// The policy among attributes; an empty text takes one away.
#[allow(clippy::option_option)]
pub(super) fn policy(attributes: &BTreeMap<String, String>) -> Result<Option<Option<String>>, ServiceError> {
    match attributes.get("Policy") {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(Some(None)),
        Some(text) => match Policy::parse(text, Use::Resource) {
            Ok(_) => Ok(Some(Some(text.clone()))),
            Err(error) => Err(ServiceError::new(
                "InvalidAttributeValue",
                format!("Invalid value for the parameter Policy: {error}"),
            )),
        },
    }
}

/// Whose dead letters a queue takes; an empty text: those of all queues.
fn sources(text: &str) -> Result<RedriveSources, ServiceError> {
    /// Queues that such a policy may name.
    const SOURCES_MAX: usize = 10;
    if text.is_empty() {
        return Ok(RedriveSources::All);
    }
    let refuse = || invalid("RedriveAllowPolicy");
    let policy: Value = serde_json::from_str(text).map_err(|_| refuse())?;
    match (policy["redrivePermission"].as_str(), policy["sourceQueueArns"].as_array()) {
        (Some("allowAll"), None) => Ok(RedriveSources::All),
        (Some("denyAll"), None) => Ok(RedriveSources::None),
        (Some("byQueue"), Some(arns)) if (1..=SOURCES_MAX).contains(&arns.len()) => {
            let queue = |arn: &Value| arn.as_str().and_then(|arn| resource(arn, "sqs", "")).map(str::to_owned);
            Ok(RedriveSources::Queues(arns.iter().map(queue).collect::<Option<_>>().ok_or_else(refuse)?))
        }
        _ => Err(refuse()),
    }
}

/// A redrive policy; an empty text takes one away.
fn redrive(text: &str) -> Result<Option<Redrive>, ServiceError> {
    if text.is_empty() {
        return Ok(None);
    }
    let policy: Value = serde_json::from_str(text).map_err(|_| invalid("RedrivePolicy"))?;
    let queue = policy["deadLetterTargetArn"].as_str().and_then(|arn| resource(arn, "sqs", ""));
    // Clients send the count as a number or as text.
    let count = match &policy["maxReceiveCount"] {
        Value::String(text) => text.parse().ok(),
        count => count.as_u64().and_then(|count| u32::try_from(count).ok()),
    };
    match (queue, count) {
        (Some(queue), Some(receives_max)) => Ok(Some(Redrive { queue: queue.to_owned(), receives_max })),
        _ => Err(invalid("RedrivePolicy")),
    }
}

fn invalid(name: &str) -> ServiceError {
    ServiceError::new("InvalidAttributeValue", format!("Invalid value for the parameter {name}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_or_refused() {
        let mut settings = QueueSettings::default();
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":"3"}"#;
        let pairs = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        read(&pairs("DelaySeconds", "7"), &mut settings).unwrap();
        read(&pairs("RedrivePolicy", policy), &mut settings).unwrap();
        assert_eq!(settings.delay_seconds, 7);
        assert_eq!(settings.redrive, Some(Redrive { queue: "dead".into(), receives_max: 3 }));
        read(&pairs("RedrivePolicy", ""), &mut settings).unwrap();
        assert_eq!(settings.redrive, None);
        for (name, value, code) in [
            ("DelaySeconds", "x", "InvalidAttributeValue"),
            ("RedrivePolicy", "{}", "InvalidAttributeValue"),
            ("FifoQueue", "true", "UnsupportedOperation"),
            ("Colour", "red", "InvalidAttributeName"),
        ] {
            assert_eq!(read(&pairs(name, value), &mut settings).unwrap_err().code, code);
        }
    }
}
