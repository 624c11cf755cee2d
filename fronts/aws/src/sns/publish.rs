//! `Publish`, `PublishBatch`, and how messages and their attributes are read

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use millstream_event::Message;
use millstream_event::message::{Attribute, AttributeValue};
use serde_json::Value;

use super::attributes::message_bytes_max;
use super::{Answer, Sns, error};
use crate::batch_ids;
use crate::json_protocol::ServiceError;
use crate::query_protocol::{Parameters, members};

/// Characters of a subject.
const SUBJECT_CHARS_MAX: usize = 100;
/// Characters of an attribute's name.
const NAME_CHARS_MAX: usize = 256;

pub(super) async fn one(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    if parameters.get("PhoneNumber").is_some() {
        return Err(error::unsupported("a message to a PhoneNumber"));
    }
    let name = if parameters.get("TopicArn").is_some() { "TopicArn" } else { "TargetArn" };
    let topic = sns.events.message_topic(&sns.topic_of(parameters, name)?)?;
    let message = message(parameters)?;
    if bytes(&message) > message_bytes_max(&topic.attributes) {
        return Err(error::invalid("Message too long"));
    }
    let id = message.id.clone();
    sns.events.publish_messages(&topic.name, &[message]).await?;
    Ok(Box::new(move |result| result.text("MessageId", &id)))
}

pub(super) async fn batch(sns: &Sns, parameters: &Parameters) -> Result<Answer, ServiceError> {
    let topic = sns.events.message_topic(&sns.topic_of(parameters, "TopicArn")?)?;
    let entries = parameters.structures("PublishBatchRequestEntries");
    let ids: Vec<&str> = entries.iter().map(|entry| entry.get("Id").unwrap_or_default()).collect();
    batch_ids::check(&ids)?;
    let (mut messages, mut successful, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, id) in entries.iter().zip(ids.into_iter().map(str::to_owned)) {
        match message(entry) {
            Ok(message) => {
                successful.push((id, message.id.clone()));
                messages.push(message);
            }
            Err(error) => failed.push((id, error)),
        }
    }
    let bytes_max = message_bytes_max(&topic.attributes);
    if messages.iter().map(bytes).sum::<usize>() > bytes_max {
        let message = format!("Batch requests cannot be longer than {bytes_max} bytes");
        return Err(ServiceError::new("BatchRequestTooLong", message));
    }
    sns.events.publish_messages(&topic.name, &messages).await?;
    Ok(Box::new(move |result| {
        members(result, "Successful", &successful, |member, (id, message)| {
            member.text("Id", id);
            member.text("MessageId", message);
        });
        members(result, "Failed", &failed, |member, (id, error)| {
            member.text("Id", id);
            member.text("Code", &error.code);
            member.text("Message", &error.message);
            member.text("SenderFault", if error.status < 500 { "true" } else { "false" });
        });
    }))
}

/// The message of a request or of an entry.
fn message(parameters: &Parameters) -> Result<Message, ServiceError> {
    if parameters.get("MessageDeduplicationId").is_some() {
        let reason = "The request includes MessageDeduplicationId parameter that is not valid for this topic type";
        return Err(error::invalid_because("MessageDeduplicationId", reason));
    }
    let text =
        parameters.get("Message").filter(|text| !text.is_empty()).ok_or_else(|| error::invalid("Empty message"))?;
    let (body, bodies) = match parameters.get("MessageStructure") {
        Some("json") => structured(text)?,
        None | Some("") => (text.to_owned(), BTreeMap::new()),
        Some(_) => return Err(error::invalid("MessageStructure")),
    };
    Ok(Message {
        id: uuid::Uuid::new_v4().to_string(),
        subject: subject(parameters.get("Subject"))?,
        body,
        bodies,
        attributes: attributes(parameters)?,
        group: group(parameters.get("MessageGroupId"))?,
    })
}

/// The name of a group of messages, which queues are told.
fn group(name: Option<&str>) -> Result<Option<String>, ServiceError> {
    match name {
        Some(name) if !batch_ids::is_group(name) => Err(error::invalid("MessageGroupId")),
        name => Ok(name.map(str::to_owned)),
    }
}

/// A message that is another one for some protocols.
fn structured(text: &str) -> Result<(String, BTreeMap<String, String>), ServiceError> {
    let broken = || error::invalid("Message Structure - JSON message body failed to parse");
    let texts: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| broken())?;
    let mut bodies = BTreeMap::new();
    for (protocol, text) in texts {
        // What is no text is passed over, as the service does.
        if let Value::String(text) = text {
            bodies.insert(protocol, text);
        }
    }
    let usual = bodies.remove("default");
    let missing = || error::invalid("Message Structure - No default entry in JSON message body");
    Ok((usual.ok_or_else(missing)?, bodies))
}

fn subject(subject: Option<&str>) -> Result<Option<String>, ServiceError> {
    let Some(subject) = subject else { return Ok(None) };
    let fine = (1..=SUBJECT_CHARS_MAX).contains(&subject.chars().count()) && !subject.chars().any(char::is_control);
    if fine { Ok(Some(subject.to_owned())) } else { Err(error::invalid("Subject")) }
}

fn attributes(parameters: &Parameters) -> Result<BTreeMap<String, Attribute>, ServiceError> {
    let entries = parameters.structures_of("MessageAttributes", "entry");
    entries.into_iter().map(|entry| attribute(&entry)).collect()
}

fn attribute(entry: &Parameters) -> Result<(String, Attribute), ServiceError> {
    let name = entry.get("Name").unwrap_or_default().to_owned();
    let refuse = |why: &str| {
        let shown: String = name.chars().take(80).collect();
        ServiceError::new("ParameterValueInvalid", format!("The message attribute '{shown}' {why}"))
    };
    let plain = name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.'));
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !plain {
        return Err(refuse("has a name that cannot be one."));
    }
    let value = entry.under("Value");
    let kind = value.get("DataType").unwrap_or_default().to_owned();
    let (text, binary) = (value.get("StringValue"), value.get("BinaryValue"));
    let value = match (kind.split('.').next(), text, binary) {
        (Some("Number"), Some(text), None) if !text.trim().parse().is_ok_and(f64::is_finite) => {
            return Err(refuse(&format!("with type 'Number' must use a number as its value, not '{text}'.")));
        }
        (Some("String" | "Number"), Some(text), None) if !text.is_empty() => AttributeValue::Text(text.to_owned()),
        (Some("Binary"), None, Some(text)) if !text.is_empty() => match STANDARD.decode_to_vec(text) {
            Ok(_) => AttributeValue::Binary(text.to_owned()),
            Err(_) => return Err(refuse("has a BinaryValue that is no base64.")),
        },
        (Some("String" | "Number" | "Binary"), ..) => {
            let what = format!("must contain non-empty message attribute value for message attribute type '{kind}'.");
            return Err(refuse(&what));
        }
        _ => {
            return Err(refuse(
                "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.",
            ));
        }
    };
    Ok((name, Attribute { kind, value }))
}

/// What a message counts for.
fn bytes(message: &Message) -> usize {
    let attribute = |(name, attribute): (&String, &Attribute)| {
        let value = match &attribute.value {
            AttributeValue::Text(text) | AttributeValue::Binary(text) => text.len(),
        };
        name.len() + attribute.kind.len() + value
    };
    let texts = message.body.len() + message.bodies.values().map(String::len).sum::<usize>();
    texts + message.attributes.iter().map(attribute).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Message, ServiceError> {
        message(&Parameters::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn messages_are_read() {
        let read = read(
            "Message=%7B%22default%22%3A%22d%22%2C%22sqs%22%3A%22q%22%2C%22x%22%3A1%7D&MessageStructure=json&Subject=s\
             &MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.DataType=Number\
             &MessageAttributes.entry.1.Value.StringValue=7",
        )
        .unwrap();
        assert_eq!((read.body_for("sqs"), read.body_for("http"), read.subject.as_deref()), ("q", "d", Some("s")));
        assert_eq!(read.attributes["a"], Attribute { kind: "Number".into(), value: AttributeValue::Text("7".into()) });
        assert_eq!(bytes(&read), 2 + 1 + 6 + 1);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let attribute = |rest: &str| format!("Message=m&MessageAttributes.entry.1.Name=a&{rest}");
        let value = "MessageAttributes.entry.1.Value";
        for (form, expected) in [
            ("Message=".to_owned(), "Empty message"),
            ("Message=m&Subject=".to_owned(), "Subject"),
            (format!("Message=m&Subject={}", "x".repeat(101)), "Subject"),
            ("Message=m&MessageStructure=xml".to_owned(), "MessageStructure"),
            ("Message=m&MessageStructure=json".to_owned(), "failed to parse"),
            ("Message=%7B%7D&MessageStructure=json".to_owned(), "No default entry"),
            ("Message=m&MessageGroupId=a+b".to_owned(), "MessageGroupId"),
            ("Message=m&MessageDeduplicationId=d".to_owned(), "MessageDeduplicationId"),
            (attribute(&format!("{value}.DataType=String")), "non-empty"),
            (attribute(&format!("{value}.DataType=Number&{value}.StringValue=x")), "must use a number"),
            (attribute(&format!("{value}.DataType=Number&{value}.StringValue=NaN")), "must use a number"),
            (attribute(&format!("{value}.DataType=Binary&{value}.BinaryValue=*")), "base64"),
            (attribute(&format!("{value}.DataType=Colour&{value}.StringValue=x")), "supported type prefixes"),
        ] {
            let found = read(&form).unwrap_err().message;
            assert!(found.contains(expected), "{form}: {found}");
        }
    }
}
