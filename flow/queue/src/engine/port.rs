//! The ports through which other engines send messages and take them.

use futures_util::future::join_all;
use millstream_types::{
    BoxFuture, MessageAttribute, MessageAttributeValue, OutgoingMessage, ReceiveMessages, ReceiveMessagesError,
    ReceivedMessage, SendMessage, SendMessageError, WantedMessages,
};

use super::Queues;
use super::change::Update;
use super::receive::Receive;
use crate::error::QueueError;
use crate::message::{Attribute, AttributeValue, Message, NewMessage, Receipt};

impl SendMessage for Queues {
    fn send_messages(
        &self,
        queue: String,
        messages: Vec<OutgoingMessage>,
    ) -> BoxFuture<'_, Result<(), SendMessageError>> {
        Box::pin(async move {
            match self.send_own(&queue, messages.into_iter().map(NewMessage::from).collect()).await {
                Ok(_) => Ok(()),
                Err(error) => Err(SendMessageError { kind: error.kind(), message: error.to_string() }),
            }
        })
    }
}

impl ReceiveMessages for Queues {
    fn receive_messages(
        &self,
        queue: String,
        wanted: WantedMessages,
    ) -> BoxFuture<'_, Result<Vec<ReceivedMessage>, ReceiveMessagesError>> {
        Box::pin(async move {
            let receive = Receive { max: wanted.max, hidden: None, wait: Some(wanted.wait) };
            let messages = self.receive(&queue, receive).await.map_err(told)?;
            Ok(messages.into_iter().map(received).collect())
        })
    }

    fn delete_messages(&self, queue: String, receipts: Vec<String>) -> BoxFuture<'_, Result<(), ReceiveMessagesError>> {
        Box::pin(async move {
            // Together, so that they become durable together.
            let deletes = parsed(&receipts).map(|receipt| self.delete_message(&queue, receipt));
            join_all(deletes).await.into_iter().try_for_each(unless_gone)
        })
    }

    fn release_messages(
        &self,
        queue: String,
        receipts: Vec<String>,
    ) -> BoxFuture<'_, Result<(), ReceiveMessagesError>> {
        Box::pin(async move {
            let now = || Update { hidden: 0, body: None, renew: false };
            let releases = parsed(&receipts).map(|receipt| self.update(&queue, receipt, now()));
            join_all(releases).await.into_iter().map(|outcome| outcome.map(drop)).try_for_each(unless_gone)
        })
    }
}

/// Receipts that are none name nothing that is there.
fn parsed(receipts: &[String]) -> impl Iterator<Item = Receipt> {
    receipts.iter().filter_map(|receipt| receipt.parse().ok())
}

fn unless_gone(outcome: Result<(), QueueError>) -> Result<(), ReceiveMessagesError> {
    match outcome {
        Ok(()) | Err(QueueError::MessageNotFound { .. } | QueueError::OldReceipt { .. }) => Ok(()),
        Err(error) => Err(told(error)),
    }
}

fn received(message: Message) -> ReceivedMessage {
    ReceivedMessage {
        id: message.id.to_string(),
        receipt: message.receipt.to_string(),
        body: message.body,
        attributes: message.attributes.into_iter().map(attribute).collect(),
        sent: message.sent,
        first_received: message.first_received.unwrap_or(message.sent),
        receives: message.receives,
        visible_at: message.visible_at,
        trace: message.trace,
        group: message.group,
        dead_from: message.dead_from,
    }
}

fn attribute(attribute: Attribute) -> MessageAttribute {
    let value = match attribute.value {
        AttributeValue::Text(text) => MessageAttributeValue::Text(text),
        AttributeValue::Binary(bytes) => MessageAttributeValue::Binary(bytes.into()),
    };
    MessageAttribute { name: attribute.name, kind: attribute.kind, value }
}

fn told(error: QueueError) -> ReceiveMessagesError {
    ReceiveMessagesError { kind: error.kind(), message: error.to_string() }
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
        Self { body: message.body, attributes: attributes.collect(), group: message.group, ..Self::default() }
    }
}
