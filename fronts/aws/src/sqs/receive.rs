//! `ReceiveMessage`, `DeleteMessage`, `ChangeMessageVisibility`, and their batches. Receipt handles are sealed: nobody
//! can make one up, nor use one at another queue.

use std::fmt::Display;
use std::time::Duration;

use base64_simd::STANDARD;
use millstream_queue::{Attribute, AttributeValue, Message, QueueError, Receipt, Receive};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::send::{attributes_md5, batch_answer, body_md5, failure};
use super::{Sqs, attributes, check_range, error, queue_of};
use crate::batch_ids;
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::seal::Seal;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveInput {
    queue_url: Option<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    receive_request_attempt_id: Option<String>,
}

/// One message of a request, by itself or in a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: Option<String>,
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchInput {
    queue_url: Option<String>,
    #[serde(default)]
    entries: Vec<Entry>,
}

pub(super) async fn receive(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: ReceiveInput = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    if input.receive_request_attempt_id.is_some() {
        return Err(error::invalid(
            "The request include parameter that is not valid for this queue type: ReceiveRequestAttemptId.".to_owned(),
        ));
    }
    input.check_names()?;
    let max = check_range("MaxNumberOfMessages", input.max_number_of_messages, 1, 10)?.unwrap_or(1);
    let hidden = check_range("VisibilityTimeout", input.visibility_timeout, 0, 43_200)?;
    let wait = check_range("WaitTimeSeconds", input.wait_time_seconds, 0, 20)?;
    let receive = Receive {
        max: usize::try_from(max).unwrap_or(1),
        hidden: hidden.map(|seconds| seconds * 1_000),
        wait: wait.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
    };
    let messages = sqs.queues.receive(&queue, receive).await?;
    if messages.is_empty() {
        return Ok(json!({}));
    }
    let number = sqs.queues.get(&queue)?.number;
    let told: Vec<Value> = messages.iter().map(|message| input.told(sqs, number, message)).collect();
    Ok(json!({ "Messages": told }))
}

pub(super) async fn delete(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let entry: Entry = request.input()?;
    entry.delete(sqs, &queue_of(entry.queue_url.as_deref())?).await?;
    Ok(json!({}))
}

pub(super) async fn change_visibility(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let entry: Entry = request.input()?;
    entry.change_visibility(sqs, &queue_of(entry.queue_url.as_deref())?).await?;
    Ok(json!({}))
}

pub(super) async fn delete_batch(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let (queue, entries) = batch(sqs, request)?;
    let outcomes = futures_util::future::join_all(entries.iter().map(|entry| entry.delete(sqs, &queue))).await;
    Ok(outcome(&entries, outcomes))
}

pub(super) async fn change_visibility_batch(sqs: &Sqs, request: &JsonRequest) -> Result<Value, ServiceError> {
    let (queue, entries) = batch(sqs, request)?;
    let changes = entries.iter().map(|entry| entry.change_visibility(sqs, &queue));
    Ok(outcome(&entries, futures_util::future::join_all(changes).await))
}

fn batch(sqs: &Sqs, request: &JsonRequest) -> Result<(String, Vec<Entry>), ServiceError> {
    let input: BatchInput = request.input()?;
    let queue = queue_of(input.queue_url.as_deref())?;
    let ids: Vec<&str> = input.entries.iter().map(|entry| entry.id.as_deref().unwrap_or_default()).collect();
    batch_ids::check(&ids)?;
    sqs.queues.get(&queue)?;
    Ok((queue, input.entries))
}

fn outcome(entries: &[Entry], outcomes: Vec<Result<(), ServiceError>>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (entry, outcome) in entries.iter().zip(outcomes) {
        let id = entry.id.as_deref().unwrap_or_default();
        match outcome {
            Ok(()) => successful.push(json!({ "Id": id })),
            Err(error) => failed.push(failure(id, &error)),
        }
    }
    batch_answer(successful, failed)
}

impl Entry {
    fn receipt(&self, sqs: &Sqs, queue: &str) -> Result<Receipt, ServiceError> {
        let handle = self.receipt_handle.as_deref().ok_or_else(|| error::missing("ReceiptHandle"))?;
        let number = sqs.queues.get(queue)?.number;
        read_receipt(sqs, number, handle).ok_or_else(|| error::bad_receipt(handle))
    }

    /// A handle of a message that was received again, or is gone, deletes nothing and is no error, as the service has it.
    async fn delete(&self, sqs: &Sqs, queue: &str) -> Result<(), ServiceError> {
        match sqs.queues.delete_message(queue, self.receipt(sqs, queue)?).await {
            Ok(()) | Err(QueueError::MessageNotFound { .. } | QueueError::OldReceipt { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn change_visibility(&self, sqs: &Sqs, queue: &str) -> Result<(), ServiceError> {
        let receipt = self.receipt(sqs, queue)?;
        let seconds = check_range("VisibilityTimeout", self.visibility_timeout, 0, 43_200)?;
        let seconds = seconds.ok_or_else(|| error::missing("VisibilityTimeout"))?;
        sqs.queues.hide(queue, receipt, seconds * 1_000).await?;
        Ok(())
    }
}

/// What can be asked for of the service's own; besides, the service takes the names of queues' attributes, which no message
/// has.
const SYSTEM_NAMES: [&str; 10] = [
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

impl ReceiveInput {
    fn check_names(&self) -> Result<(), ServiceError> {
        let mut asked = self.attribute_names.iter().chain(&self.message_system_attribute_names);
        match asked.find(|name| !SYSTEM_NAMES.contains(&name.as_str()) && !attributes::NAMES.contains(&name.as_str())) {
            Some(unknown) => Err(ServiceError::new("InvalidAttributeName", format!("Unknown Attribute {unknown}."))),
            None => Ok(()),
        }
    }

    /// A message with what was asked for.
    fn told(&self, sqs: &Sqs, number: u64, message: &Message) -> Value {
        let mut told = json!({
            "MessageId": message.id.to_string(),
            "ReceiptHandle": seal_receipt(&sqs.seal, number, message.receipt),
            "MD5OfBody": body_md5(&message.body),
            "Body": String::from_utf8_lossy(&message.body),
        });
        let wanted = self.attribute_names.iter().chain(&self.message_system_attribute_names);
        let all = [
            ("SenderId", sqs.place.account.clone()),
            ("SentTimestamp", message.sent.to_string()),
            ("ApproximateReceiveCount", message.receives.to_string()),
            ("ApproximateFirstReceiveTimestamp", message.first_received.unwrap_or_default().to_string()),
        ];
        let rare = [
            ("AWSTraceHeader", message.trace.clone()),
            ("MessageGroupId", message.group.clone()),
            ("DeadLetterQueueSourceArn", message.dead_from.as_ref().map(|queue| sqs.arn(queue))),
        ];
        let rare = rare.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let named = |name: &str| wanted.clone().any(|wanted| wanted == "All" || wanted == name);
        let system: Map<String, Value> = all
            .into_iter()
            .chain(rare)
            .filter(|(name, _)| named(name))
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect();
        if !system.is_empty() {
            told["Attributes"] = Value::Object(system);
        }
        let own: Vec<&Attribute> = message.attributes.iter().filter(|attribute| self.wants(&attribute.name)).collect();
        if let Some(sum) = attributes_md5(own.iter().copied()) {
            told["MD5OfMessageAttributes"] = json!(sum);
            let pairs = own.iter().map(|attribute| (attribute.name.clone(), shown(attribute)));
            told["MessageAttributes"] = Value::Object(pairs.collect());
        }
        told
    }

    /// Whether an attribute was asked for: by its name, by how it begins (`trace.*`), or all.
    fn wants(&self, name: &str) -> bool {
        self.message_attribute_names.iter().any(|wanted| {
            wanted == "All" || wanted == name || wanted.strip_suffix(".*").is_some_and(|begin| name.starts_with(begin))
        })
    }
}

/// What receipt handles are sealed for.
const RECEIPT: &str = "sqs receipt";

/// A receipt as clients get it, of the queue with this number.
pub(crate) fn seal_receipt(seal: &Seal, queue: u64, receipt: impl Display) -> String {
    seal.seal(RECEIPT, format!("{queue:016x}{receipt}").as_bytes())
}

/// The receipt of a handle that this node gave for this queue.
fn read_receipt(sqs: &Sqs, queue: u64, handle: &str) -> Option<Receipt> {
    let content = sqs.seal.open_text(RECEIPT, handle)?;
    let text = std::str::from_utf8(&content).ok()?;
    text.strip_prefix(&format!("{queue:016x}"))?.parse().ok()
}

fn shown(attribute: &Attribute) -> Value {
    match &attribute.value {
        AttributeValue::Text(text) => json!({ "DataType": attribute.kind, "StringValue": text }),
        AttributeValue::Binary(bytes) => {
            json!({ "DataType": attribute.kind, "BinaryValue": STANDARD.encode_to_string(bytes) })
        }
    }
}
