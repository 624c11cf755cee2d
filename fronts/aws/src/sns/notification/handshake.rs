//! `SubscriptionConfirmation` and `UnsubscribeConfirmation`: what a webhook is told of its subscription.

use bytes::Bytes;
use millstream_event::message::{FormError, Handshake, HandshakeKind, WebhookRequest};
use millstream_types::time::rfc3339;
use serde_json::{Map, Value, json};

use super::{NotificationDocuments, headers};

impl NotificationDocuments {
    pub(super) async fn handshake_request(&self, asked: Handshake<'_>) -> Result<WebhookRequest, FormError> {
        let Handshake { topic, subscription, kind, now } = asked;
        let id = uuid::Uuid::new_v4().to_string();
        let arn = format!("{}:{}", topic.address, subscription.name);
        let mut document = Map::new();
        let mut put = |name: &str, value: &str| drop(document.insert(name.to_owned(), json!(value)));
        let (name, told) = match kind {
            HandshakeKind::Subscribed(token) => {
                put("Type", "SubscriptionConfirmation");
                put("MessageId", &id);
                put("Token", token);
                put("TopicArn", &topic.address);
                put(
                    "Message",
                    &format!(
                        "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit the SubscribeURL \
                     included in this message.",
                        topic.address
                    ),
                );
                let visit =
                    format!("{}/?Action=ConfirmSubscription&TopicArn={}&Token={token}", self.endpoint, topic.address);
                put("SubscribeURL", &visit);
                ("SubscriptionConfirmation", None)
            }
            HandshakeKind::Unsubscribed => {
                put("Type", "UnsubscribeConfirmation");
                put("MessageId", &id);
                put("TopicArn", &topic.address);
                put("Message", &format!("You have chosen to deactivate subscription {arn}."));
                ("UnsubscribeConfirmation", Some(arn.as_str()))
            }
        };
        put("Timestamp", &rfc3339(now));
        self.sign(&mut document, topic.attributes.get("SignatureVersion")).await?;
        let headers = headers(name, &id, &topic.address, told);
        Ok(WebhookRequest { headers, body: Bytes::from(Value::Object(document).to_string()) })
    }
}
