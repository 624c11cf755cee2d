//! The engine behind the port of whatever publishes messages.

use bytes::Bytes;
use millstream_types::{BoxFuture, PublishMessage, PublishMessageError};

use super::Events;
use crate::message::Message;

impl PublishMessage for Events {
    fn publish_message(&self, topic: String, message: Bytes) -> BoxFuture<'_, Result<(), PublishMessageError>> {
        Box::pin(async move {
            let message = Message {
                id: uuid::Uuid::new_v4().to_string(),
                body: String::from_utf8_lossy(&message).into_owned(),
                ..Message::default()
            };
            let published = self.publish_messages(&topic, &[message]).await;
            let refused =
                |error: crate::EventError| PublishMessageError { kind: error.kind(), message: error.to_string() };
            published.map(drop).map_err(refused)
        })
    }
}
