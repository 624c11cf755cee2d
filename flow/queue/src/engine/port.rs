//! The port through which other engines send messages.

use millstream_types::{BoxFuture, MessageAttributeValue, OutgoingMessage, SendMessage, SendMessageError};

use super::Queues;
use crate::message::{Attribute, AttributeValue, NewMessage};

impl SendMessage for Queues {
    fn send_messages(
        &self,
        queue: String,
        messages: Vec<OutgoingMessage>,
    ) -> BoxFuture<'_, Result<(), SendMessageError>> {
        Box::pin(async move {
            match self.send(&queue, messages.into_iter().map(NewMessage::from).collect()).await {
                Ok(_) => Ok(()),
                Err(error) => Err(SendMessageError { kind: error.kind(), message: error.to_string() }),
            }
        })
    }
}

impl From<OutgoingMessage> for NewMessage {
    fn from(message: OutgoingMessage) -> Self {
        let attributes = message.attributes.into_iter().map(|attribute| Attribute {
            name: attribute.name,
            kind: attribute.kind,
            value: match attribute.value {
                MessageAttributeValue::Text(text) => AttributeValue::Text(text),
                MessageAttributeValue::Binary(bytes) => AttributeValue::Binary(bytes.to_vec()),
            },
        });
        Self { body: message.body, attributes: attributes.collect(), ..Self::default() }
    }
}
