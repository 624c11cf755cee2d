//! What subscribers get: notifications as JSON, as requests to webhooks, messages of queues and events of functions.
//!
//! Source: "Amazon SNS message and JSON formats", "Parsing message formats". Every document is signed with the node's own
//! key, see [`signer`].

mod certificate;
mod handshake;
mod signer;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use millstream_event::message::{AttributeValue, FormError, Handshake, Notification, NotificationForm, WebhookRequest};
use millstream_types::time::rfc3339;
use millstream_types::{BoxFuture, MessageAttribute, OutgoingMessage};
use serde_json::{Map, Value, json};

use super::{delivery_policy, endpoint};
pub(super) use signer::is_certificate;
pub use signer::{Signer, SignerError};

const MESSAGE_TYPE: HeaderName = HeaderName::from_static("x-amz-sns-message-type");
const MESSAGE_ID: HeaderName = HeaderName::from_static("x-amz-sns-message-id");
const TOPIC_ARN: HeaderName = HeaderName::from_static("x-amz-sns-topic-arn");
const SUBSCRIPTION_ARN: HeaderName = HeaderName::from_static("x-amz-sns-subscription-arn");
const RAW_DELIVERY: HeaderName = HeaderName::from_static("x-amz-sns-rawdelivery");

/// Notifications of this service, for the event engine.
#[derive(Clone)]
pub struct NotificationDocuments {
    signer: Signer,
    /// Where subscribers find this node: `http://127.0.0.1:4566`.
    endpoint: String,
}

impl NotificationDocuments {
    /// Documents signed by `signer`, with addresses at `endpoint`.
    #[must_use]
    pub fn new(signer: Signer, endpoint: &str) -> Self {
        Self { signer, endpoint: endpoint.to_owned() }
    }

    /// A notification's document.
    async fn document(&self, notification: Notification<'_>) -> Result<Map<String, Value>, FormError> {
        let Notification { topic, subscription, message, published } = notification;
        let body = message.body_for(endpoint::protocol(&subscription.endpoint));
        let mut document = Map::new();
        let mut put = |name: &str, value: &str| drop(document.insert(name.to_owned(), json!(value)));
        put("Type", "Notification");
        put("MessageId", &message.id);
        put("TopicArn", &topic.address);
        if let Some(subject) = &message.subject {
            put("Subject", subject);
        }
        put("Message", body);
        put("Timestamp", &rfc3339(published));
        self.sign(&mut document, topic.attributes.get("SignatureVersion")).await?;
        let unsubscribe =
            format!("{}/?Action=Unsubscribe&SubscriptionArn={}:{}", self.endpoint, topic.address, subscription.name);
        document.insert("UnsubscribeURL".to_owned(), json!(unsubscribe));
        if !message.attributes.is_empty() {
            document.insert("MessageAttributes".to_owned(), attributes(notification));
        }
        Ok(document)
    }

    /// Adds the three members of a signature over those that are there.
    async fn sign(&self, document: &mut Map<String, Value>, version: Option<&String>) -> Result<(), FormError> {
        let version = version.map_or("1", String::as_str);
        let text = signer::text_to_sign(document);
        let signed = self.signer.sign(version, text).await.map_err(|error| FormError(error.to_string()))?;
        document.insert("SignatureVersion".to_owned(), json!(version));
        document.insert("Signature".to_owned(), json!(signed.signature));
        let address = format!("{}{}", self.endpoint, signed.certificate_path);
        document.insert("SigningCertURL".to_owned(), json!(address));
        Ok(())
    }

    async fn text(&self, notification: Notification<'_>) -> Result<Bytes, FormError> {
        if notification.subscription.raw {
            let kind = endpoint::protocol(&notification.subscription.endpoint);
            return Ok(Bytes::copy_from_slice(notification.message.body_for(kind).as_bytes()));
        }
        Ok(Bytes::from(Value::Object(self.document(notification).await?).to_string()))
    }
}

impl NotificationForm for NotificationDocuments {
    fn request<'n>(&'n self, notification: Notification<'n>) -> BoxFuture<'n, Result<WebhookRequest, FormError>> {
        Box::pin(async move {
            let Notification { topic, subscription, message, .. } = notification;
            let arn = format!("{}:{}", topic.address, subscription.name);
            let mut headers = headers("Notification", &message.id, &topic.address, Some(&arn));
            if subscription.raw {
                headers.insert(RAW_DELIVERY, HeaderValue::from_static("true"));
            }
            let content_type = delivery_policy::content_type(&topic.attributes, &subscription.attributes);
            if let Some(value) = content_type.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(header::CONTENT_TYPE, value);
            }
            Ok(WebhookRequest { headers, body: self.text(notification).await? })
        })
    }

    fn queue_message<'n>(
        &'n self,
        notification: Notification<'n>,
    ) -> BoxFuture<'n, Result<OutgoingMessage, FormError>> {
        Box::pin(async move {
            let attributes: Vec<MessageAttribute> =
                if notification.subscription.raw { notification.message.queue_attributes() } else { Vec::new() };
            let group = notification.message.group.clone();
            Ok(OutgoingMessage { body: self.text(notification).await?, attributes, group })
        })
    }

    fn function_event<'n>(&'n self, notification: Notification<'n>) -> BoxFuture<'n, Result<Bytes, FormError>> {
        Box::pin(async move {
            let mut document = self.document(notification).await?;
            // Functions have always got these in another spelling, and what is not there as well.
            for (name, other) in [("SigningCertURL", "SigningCertUrl"), ("UnsubscribeURL", "UnsubscribeUrl")] {
                if let Some(value) = document.shift_remove(name) {
                    document.insert(other.to_owned(), value);
                }
            }
            document.entry("Subject").or_insert(Value::Null);
            document.entry("MessageAttributes").or_insert_with(|| json!({}));
            let arn = format!("{}:{}", notification.topic.address, notification.subscription.name);
            let record = json!({
                "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": arn, "Sns": document,
            });
            Ok(Bytes::from(json!({ "Records": [record] }).to_string()))
        })
    }

    fn record<'n>(&'n self, notification: Notification<'n>) -> BoxFuture<'n, Result<Bytes, FormError>> {
        Box::pin(async move {
            let text = self.text(notification).await?;
            Ok(if notification.subscription.raw { text } else { Bytes::from([text.as_ref(), b"\n"].concat()) })
        })
    }

    fn handshake<'n>(&'n self, asked: Handshake<'n>) -> BoxFuture<'n, Result<WebhookRequest, FormError>> {
        Box::pin(self.handshake_request(asked))
    }
}

/// Headers of requests to webhooks.
fn headers(kind: &'static str, id: &str, topic: &str, subscription: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("Amazon Simple Notification Service Agent"));
    headers.insert(MESSAGE_TYPE, HeaderValue::from_static(kind));
    for (name, value) in [(MESSAGE_ID, Some(id)), (TOPIC_ARN, Some(topic)), (SUBSCRIPTION_ARN, subscription)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

fn attributes(notification: Notification<'_>) -> Value {
    let attribute = |(name, attribute): (&String, &millstream_event::message::Attribute)| {
        let value = match &attribute.value {
            AttributeValue::Text(text) | AttributeValue::Binary(text) => text,
        };
        (name.clone(), json!({ "Type": attribute.kind, "Value": value }))
    };
    Value::Object(notification.message.attributes.iter().map(attribute).collect())
}
