//! `SendMessage`, `SendMessageBatch`, and how messages and their attributes are read and summed up

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use millstream_queue::{Attribute, AttributeValue, NewMessage, QueueError, Sent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sqs, check_range, error, queue_of};
use crate::batch_ids;
use crate::json_protocol::{JsonRequest, ServiceError};

/// Bytes of a batch's messages, as the service has it.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Attributes of a message.
const ATTRIBUTES_MAX: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: Option<String>,
    queue_url: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: BTreeMap<String, AttributeInput>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, AttributeInput>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeInput {
    data_type: Option<String>,
    string_value: Option<String>,
    binary_value: Option<String>,
    string_list_values: Option<Value>,
    binary_list_values: Option<Value>,
}

pub(super) async fn one(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let entry: Entry = request.input()?;
    let queue = queue_of(entry.queue_url.as_deref())?;
    let message = entry.message()?;
    let sums = Sums::of(&message);
    let sent = sqs.queues.send(&queue, vec![message]).await?;
    let sent = sent.first().ok_or_else(|| ServiceError::internal("InternalError", "nothing was sent"))?;
    Ok(sums.answer(sent))
}

pub(super) async fn batch(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        queue_url: Option<String>,
        #[serde(default)]
        entries: Vec<Entry>,
    }
    let input: Input = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let ids: Vec<&str> = input.entries.iter().map(|entry| entry.id.as_deref().unwrap_or_default()).collect();
    batch_ids::check(&ids)?;
    let bytes_max = sqs.queues.get(&queue)?.settings.message_bytes_max as usize;
    let (mut messages, mut told, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for entry in input.entries {
        let id = entry.id.clone().unwrap_or_default();
        match entry.message().and_then(|message| small_enough(message, bytes_max)) {
            Ok(message) => {
                told.push((id, Sums::of(&message)));
                messages.push(message);
            }
            Err(error) => failed.push(failure(&id, &error)),
        }
    }
    if messages.iter().map(bytes).sum::<usize>() > BATCH_BYTES_MAX {
        let message = format!("Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes.");
        return Err(ServiceError::new("BatchRequestTooLong", message));
    }
    let sent = sqs.queues.send(&queue, messages).await?;
    let answer = |((id, sums), sent): (&(String, Sums), &Sent)| {
        let mut answer = sums.answer(sent);
        answer["Id"] = json!(id);
        answer
    };
    let successful: Vec<Value> = told.iter().zip(&sent).map(answer).collect();
    Ok(batch_answer(successful, failed))
}

/// A message of a batch that its queue takes: one that is too large is no reason to refuse the others.
fn small_enough(message: NewMessage, max: usize) -> Result<NewMessage, ServiceError> {
    let bytes = bytes(&message);
    if bytes > max { Err(QueueError::MessageTooLarge { bytes, max }.into()) } else { Ok(message) }
}

fn bytes(message: &NewMessage) -> usize {
    message.body.len() + message.attributes.iter().map(Attribute::bytes).sum::<usize>()
}

/// What became of a batch: lists that would be empty are not there.
pub(super) fn batch_answer(successful: Vec<Value>, failed: Vec<Value>) -> Value {
    let mut answer = json!({ "Successful": successful });
    if !failed.is_empty() {
        answer["Failed"] = Value::Array(failed);
    }
    answer
}

/// An entry that failed.
pub(super) fn failure(id: &str, error: &ServiceError) -> Value {
    let code = super::error::query_code(&error.code);
    json!({ "Id": id, "Code": code, "Message": error.message, "SenderFault": error.status < 500 })
}

impl Entry {
    fn message(self) -> Result<NewMessage, ServiceError> {
        if self.message_deduplication_id.is_some() {
            return Err(error::unsupported("MessageDeduplicationId of FIFO queues"));
        }
        let group = self.message_group_id.map(group).transpose()?;
        let trace = trace(self.message_system_attributes)?;
        let body = self.message_body.filter(|body| !body.is_empty()).ok_or_else(|| error::missing("MessageBody"))?;
        check_characters(&body)?;
        let delay = check_range("DelaySeconds", self.delay_seconds, 0, 900)?.map(|seconds| seconds * 1_000);
        if self.message_attributes.len() > ATTRIBUTES_MAX {
            return Err(error::invalid(format!(
                "Number of message attributes exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
            )));
        }
        let attributes = self.message_attributes.into_iter().map(attribute).collect::<Result<_, _>>()?;
        Ok(NewMessage { body: Bytes::from(body), attributes, delay, expires: None, trace, group })
    }
}

/// The name of a group of messages.
fn group(name: String) -> Result<String, ServiceError> {
    let wrong = || {
        error::invalid(format!(
            "Value for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and \
             punctuation characters. 1 to {} in length.",
            batch_ids::GROUP_CHARS_MAX
        ))
    };
    if batch_ids::is_group(&name) { Ok(name) } else { Err(wrong()) }
}

/// The one system attribute that senders may set.
fn trace(attributes: BTreeMap<String, AttributeInput>) -> Result<Option<String>, ServiceError> {
    let mut trace = None;
    for (name, input) in attributes {
        let text = input.string_value.filter(|text| !text.is_empty());
        match (name.as_str(), input.data_type.as_deref(), text) {
            ("AWSTraceHeader", Some("String"), Some(text)) => trace = Some(text),
            _ => {
                let message = format!("Message system attribute name '{name}' is invalid, or its value is.");
                return Err(error::invalid(message));
            }
        }
    }
    Ok(trace)
}

/// A body is text as XML 1.0 may hold it.
fn check_characters(body: &str) -> Result<(), ServiceError> {
    let fine =
        |char: char| matches!(char, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if body.chars().all(fine) {
        return Ok(());
    }
    let message = "Invalid binary character was found in the message body, the set of allowed characters is \
                   #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";
    Err(ServiceError::new("InvalidMessageContents", message))
}

fn attribute((name, input): (String, AttributeInput)) -> Result<Attribute, ServiceError> {
    let kind = input.data_type.unwrap_or_default();
    let refuse = |why: &str| error::invalid(format!("The message attribute '{name}' {why}."));
    check_attribute_name(&name)?;
    if input.string_list_values.is_some() || input.binary_list_values.is_some() {
        return Err(error::unsupported(&format!("A list of values, as the message attribute '{name}' has it,")));
    }
    let value = match (kind.split('.').next(), input.string_value, input.binary_value) {
        (Some("Number"), Some(text), None) if !text.trim().parse().is_ok_and(f64::is_finite) => {
            return Err(refuse("has a StringValue that is no number"));
        }
        (Some("String" | "Number"), Some(text), None) if !text.is_empty() => {
            check_characters(&text)?;
            AttributeValue::Text(text)
        }
        (Some("Binary"), None, Some(text)) => {
            let bytes = STANDARD.decode_to_vec(&text).map_err(|_| refuse("has a BinaryValue that is no base64"))?;
            AttributeValue::Binary(bytes)
        }
        _ => return Err(refuse("needs a DataType of String, Number or Binary and a value of that type")),
    };
    Ok(Attribute { name, kind, value })
}

/// 1 to 256 letters, digits, `_`, `-` and `.`, no dots at the ends or side by side, none of the names that are the service's.
fn check_attribute_name(name: &str) -> Result<(), ServiceError> {
    let lower = name.to_ascii_lowercase();
    let fine = (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !(name.starts_with('.') || name.ends_with('.') || name.contains(".."))
        && !(lower.starts_with("aws.") || lower.starts_with("amazon."));
    if fine { Ok(()) } else { Err(error::invalid(format!("Message attribute name '{name}' is invalid."))) }
}

/// Checksums by which clients see that all came through.
struct Sums {
    body: String,
    attributes: Option<String>,
    system: Option<String>,
}

impl Sums {
    fn of(message: &NewMessage) -> Self {
        let system = message.trace.clone().map(|trace| Attribute {
            name: "AWSTraceHeader".to_owned(),
            kind: "String".to_owned(),
            value: AttributeValue::Text(trace),
        });
        Self {
            body: body_md5(&message.body),
            attributes: attributes_md5(message.attributes.iter()),
            system: attributes_md5(system.iter()),
        }
    }

    fn answer(&self, sent: &Sent) -> Value {
        let mut answer = json!({ "MessageId": sent.id.to_string(), "MD5OfMessageBody": self.body });
        if let Some(sum) = &self.attributes {
            answer["MD5OfMessageAttributes"] = json!(sum);
        }
        if let Some(sum) = &self.system {
            answer["MD5OfMessageSystemAttributes"] = json!(sum);
        }
        answer
    }
}

pub(super) fn body_md5(body: &[u8]) -> String {
    hex::encode(Md5::digest(body))
}

/// The checksum of attributes in the order of their names; `None` without any.
/// Source: "Calculating the MD5 message digest for message attributes".
pub(super) fn attributes_md5<'a>(attributes: impl Iterator<Item = &'a Attribute>) -> Option<String> {
    let mut attributes: Vec<&Attribute> = attributes.collect();
    if attributes.is_empty() {
        return None;
    }
    attributes.sort_by(|one, other| one.name.cmp(&other.name));
    let mut text = Vec::new();
    let mut add = |mark: Option<u8>, bytes: &[u8]| {
        text.extend(mark);
        text.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        text.extend(bytes);
    };
    for attribute in attributes {
        add(None, attribute.name.as_bytes());
        add(None, attribute.kind.as_bytes());
        match &attribute.value {
            AttributeValue::Text(value) => add(Some(1), value.as_bytes()),
            AttributeValue::Binary(value) => add(Some(2), value),
        }
    }
    Some(body_md5(&text))
}
