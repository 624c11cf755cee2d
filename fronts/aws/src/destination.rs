//! What functions and event source mappings could not do, or did, on its way to a queue, a topic or a function: targets as
//! ARNs, messages as the service writes them.
//!
//! Sources: the Lambda developer guide, "Retain records of asynchronous invocations" and "Adding a dead-letter queue".
//! Which end goes where is the engines' matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_catalog::{FunctionDefinition, LATEST};
use millstream_event::{Events, Message, message};
use millstream_function::{
    Condition, Delivery, DeliveryError, Destination, EndedInvocation, FunctionError, Functions, Purpose, error_message,
};
use millstream_types::{
    BoxFuture, ErrorKind, Invocation, MessageAttribute, MessageAttributeValue, OutgoingMessage, SendMessage,
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::SetOnce;

use crate::authorize::Authorizer;
use crate::place::{Place, resource};

/// What a dead letter says of its error: the service's limit, bytes.
const ERROR_MESSAGE_BYTES_MAX: usize = 1_024;

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A queue, by its name.
    Queue(&'a str),
    /// A topic, by its name.
    Topic(&'a str),
    /// A function, by its name.
    Function(&'a str),
}

impl<'a> Target<'a> {
    /// Reads a target's ARN; `None` when it is of no kind that this node serves.
    #[must_use]
    pub fn parse(arn: &'a str) -> Option<Self> {
        let function = || resource(arn, "lambda", "function:").map(|name| name.trim_end_matches(":$LATEST"));
        resource(arn, "sqs", "")
            .map(Self::Queue)
            .or_else(|| resource(arn, "sns", "").map(Self::Topic))
            .or_else(|| function().map(Self::Function))
    }

    /// The action that writing to it is.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Queue(_) => "sqs:SendMessage",
            Self::Topic(_) => "sns:Publish",
            Self::Function(_) => "lambda:InvokeFunction",
        }
    }
}

/// Writes to targets on behalf of functions.
pub struct Destinations {
    place: Place,
    queues: Arc<dyn SendMessage>,
    authorizer: Authorizer,
    engines: SetOnce<(Functions, Events)>,
}

impl Destinations {
    /// Targets in a place; before each write it is asked whether the function's role allows it.
    #[must_use]
    pub fn new(place: Place, queues: Arc<dyn SendMessage>, authorizer: Authorizer) -> Self {
        Self { place, queues, authorizer, engines: SetOnce::new() }
    }

    /// Plugs in the engines that are opened after this, since they need it. Only the first call counts; what is for them
    /// waits until then.
    pub fn connect(&self, functions: Functions, events: Events) {
        let _ = self.engines.set((functions, events));
    }

    /// Writes a message to a target for a function; durable when the future resolves. A function gets the body as its
    /// event, later.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] names the action that the function's role does not allow; [`ErrorKind::NotFound`] what is not there.
    pub async fn send(&self, function: &str, target: &str, message: OutgoingMessage) -> Result<(), DeliveryError> {
        let wrong = |kind: ErrorKind, message: String| DeliveryError { kind, message };
        let Some(kind) = Target::parse(target) else {
            let message = format!("expected the ARN of a queue, a topic or a function, found `{target}`");
            return Err(wrong(ErrorKind::Invalid, message));
        };
        let permitted = self.authorizer.function_may(function, kind.action(), &self.place.own_arn(target));
        permitted.map_err(|reason| wrong(ErrorKind::Forbidden, reason))?;
        match kind {
            Target::Queue(name) => self
                .queues
                .send_messages(name.to_owned(), vec![message])
                .await
                .map_err(|error| wrong(error.kind, error.message)),
            Target::Function(name) => self.invoke_later(name, message.body).await,
            Target::Topic(name) => self.publish(name, message).await,
        }
    }

    async fn invoke_later(&self, name: &str, payload: Bytes) -> Result<(), DeliveryError> {
        let (functions, _) = self.engines.wait().await;
        let invocation = Invocation {
            function: name.to_owned(),
            payload,
            source: "destination".to_owned(),
            client_context: None,
            log_tail: false,
        };
        let refused = |error: FunctionError| DeliveryError { kind: error.kind(), message: error.to_string() };
        functions.enqueue(invocation).await.map(drop).map_err(refused)
    }

    async fn publish(&self, topic: &str, message: OutgoingMessage) -> Result<(), DeliveryError> {
        let (_, events) = self.engines.wait().await;
        let attributes = message.attributes.into_iter().map(|attribute| {
            let value = match attribute.value {
                MessageAttributeValue::Text(text) => message::AttributeValue::Text(text),
                MessageAttributeValue::Binary(bytes) => {
                    message::AttributeValue::Binary(STANDARD.encode_to_string(&bytes))
                }
            };
            (attribute.name, message::Attribute { kind: attribute.kind, value })
        });
        let message = Message {
            id: uuid::Uuid::new_v4().to_string(),
            subject: None,
            body: String::from_utf8_lossy(&message.body).into_owned(),
            bodies: BTreeMap::new(),
            attributes: attributes.collect(),
            group: message.group,
        };
        let published = events.publish_messages(topic, &[message]).await;
        published.map(drop).map_err(|error| DeliveryError { kind: error.kind(), message: error.to_string() })
    }
}

impl Destination for Destinations {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move {
            let message = match delivery.purpose {
                Purpose::DeadLetter => dead_letter(&delivery.ended),
                Purpose::Record => Bytes::from(record(&self.place, &delivery.ended)).into(),
            };
            self.send(&delivery.ended.function, &delivery.target, message).await
        })
    }
}

/// The event as it came; what went wrong stands in the attributes.
fn dead_letter(ended: &EndedInvocation) -> OutgoingMessage {
    let (code, message) = match &ended.answer {
        Some(answer) => ("200", error_attribute(&answer.payload)),
        None => ("429", "Rate Exceeded.".to_owned()),
    };
    let attribute = |name: &str, kind: &str, value: &str| MessageAttribute {
        name: name.to_owned(),
        kind: kind.to_owned(),
        value: MessageAttributeValue::Text(value.to_owned()),
    };
    OutgoingMessage {
        body: ended.payload.clone(),
        attributes: vec![
            attribute("RequestID", "String", &ended.id),
            attribute("ErrorCode", "Number", code),
            attribute("ErrorMessage", "String", &message),
        ],
        group: None,
    }
}

/// The message of an error document, at most as long as it may be. An attribute may not be empty.
fn error_attribute(document: &[u8]) -> String {
    let mut message = error_message(document);
    message.truncate(message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
    if message.is_empty() { "Unhandled".to_owned() } else { message }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvocationRecord<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    request_payload: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: String,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    executed_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'a str>,
}

/// The record of an ended invocation, as destinations get it.
fn record(place: &Place, ended: &EndedInvocation) -> String {
    let (name, qualifier) = FunctionDefinition::split_reference(&ended.function);
    let record = InvocationRecord {
        version: "1.0",
        timestamp: timestamp(ended.time),
        request_context: RequestContext {
            request_id: &ended.id,
            function_arn: place.arn("lambda", &format!("function:{name}:{}", qualifier.unwrap_or(LATEST))),
            condition: condition(ended.condition),
            approximate_invoke_count: ended.attempts,
        },
        request_payload: raw(&ended.payload),
        response_context: ended.answer.as_ref().map(|answer| ResponseContext {
            status_code: 200,
            executed_version: ended.version.map_or_else(|| LATEST.to_owned(), |number| number.to_string()),
            function_error: answer.error.as_deref(),
        }),
        response_payload: ended.answer.as_ref().map(|answer| raw(&answer.payload)),
    };
    // The type holds only texts, numbers and JSON: it always has a JSON form.
    serde_json::to_string(&record).unwrap_or_default()
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Success => "Success",
        Condition::RetriesExhausted => "RetriesExhausted",
        Condition::EventAgeExceeded => "EventAgeExceeded",
        Condition::ZeroConcurrency => "ZeroReservedConcurrency",
    }
}

/// Milliseconds since 1970 as records of destinations write them.
#[must_use]
pub fn timestamp(time: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// JSON as it came; what is none becomes a text.
fn raw(bytes: &[u8]) -> Box<RawValue> {
    let whole = std::str::from_utf8(bytes).ok().and_then(|text| RawValue::from_string(text.to_owned()).ok());
    whole.unwrap_or_else(|| {
        let text = serde_json::Value::from(String::from_utf8_lossy(bytes).into_owned());
        RawValue::from_string(text.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use millstream_function::Answered;
    use serde_json::{Value, json};

    use super::*;

    fn ended(payload: &'static str, answer: Option<&'static str>) -> EndedInvocation {
        EndedInvocation {
            function: "writer".into(),
            version: None,
            id: "id-1".into(),
            payload: Bytes::from_static(payload.as_bytes()),
            time: 1_480_000_000_123,
            condition: Condition::RetriesExhausted,
            attempts: 3,
            answer: answer.map(|payload| Answered {
                payload: Bytes::from_static(payload.as_bytes()),
                error: Some("Unhandled".into()),
            }),
        }
    }

    #[test]
    fn targets_are_told_apart() {
        for (arn, expected) in [
            ("arn:aws:sqs:us-east-1:000000000000:dlq", Some(Target::Queue("dlq"))),
            ("arn:aws:sns:us-east-1:000000000000:alarms", Some(Target::Topic("alarms"))),
            ("arn:aws:lambda:us-east-1:000000000000:function:f", Some(Target::Function("f"))),
            ("arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST", Some(Target::Function("f"))),
            ("arn:aws:events:us-east-1:000000000000:event-bus/b", None),
            ("dlq", None),
        ] {
            assert_eq!(Target::parse(arn), expected, "{arn}");
        }
    }

    #[test]
    fn a_dead_letter_is_the_event_with_its_error_beside() {
        let letter = dead_letter(&ended(r#"{"n": 1}"#, Some(r#"{"errorMessage":"too many items"}"#)));
        assert_eq!(letter.body, r#"{"n": 1}"#);
        let found: Vec<_> = letter.attributes.iter().map(|found| (found.name.as_str(), found.value.clone())).collect();
        let text = |value: &str| MessageAttributeValue::Text(value.into());
        assert_eq!(
            found,
            [("RequestID", text("id-1")), ("ErrorCode", text("200")), ("ErrorMessage", text("too many items"))]
        );
        let long = format!(r#"{{"errorMessage":"{}"}}"#, "ä".repeat(2_000));
        assert_eq!(error_attribute(long.as_bytes()).len(), ERROR_MESSAGE_BYTES_MAX);
        assert_eq!(error_attribute(b""), "Unhandled");
    }

    #[test]
    fn a_record_has_the_services_members() {
        let place = Place::new("us-east-1");
        let record: Value = serde_json::from_str(&record(&place, &ended(r#"{"n":1}"#, Some("no json")))).unwrap();
        assert_eq!(
            record,
            json!({
                "version": "1.0",
                "timestamp": "2016-11-24T15:06:40.123Z",
                "requestContext": {
                    "requestId": "id-1",
                    "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:writer:$LATEST",
                    "condition": "RetriesExhausted",
                    "approximateInvokeCount": 3
                },
                "requestPayload": {"n": 1},
                "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
                "responsePayload": "no json"
            })
        );
    }
}
