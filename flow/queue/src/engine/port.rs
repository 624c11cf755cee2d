//! The port through which other engines send messages.

use bytes::Bytes;
use millstream_types::{BoxFuture, SendMessage, SendMessageError};

use super::Queues;
use crate::message::NewMessage;

impl SendMessage for Queues {
    fn send_messages(&self, queue: String, bodies: Vec<Bytes>) -> BoxFuture<'_, Result<(), SendMessageError>> {
        Box::pin(async move {
            let messages = bodies.into_iter().map(|body| NewMessage { body, ..NewMessage::default() }).collect();
            match self.send(&queue, messages).await {
                Ok(_) => Ok(()),
                Err(error) => Err(SendMessageError { kind: error.kind(), message: error.to_string() }),
            }
        })
    }
}
