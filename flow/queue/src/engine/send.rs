//! Messages come in.

use millstream_catalog::QueueDefinition;
use millstream_storage::Transaction;
use millstream_types::BoxFuture;

use super::{MESSAGES_MAX, Queues, millis};
use crate::error::QueueError;
use crate::message::{Attribute, MessageId, NewMessage, Sent};
use crate::record::{Head, State, content_key, encode_content, state_key};

/// Bytes of a message with its attributes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a message that another engine sends: what it accepted whole, with what it says around it. A dead letter must
/// not be lost because it is told of.
pub(super) const OWN_MESSAGE_BYTES_MAX: usize = 3 << 20;
/// Messages of one batch.
pub const BATCH_MESSAGES_MAX: usize = 1_000;

impl Queues {
    /// Sends messages: all or none; durable when this returns.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`], [`QueueError::MessageTooLarge`], [`QueueError::TooMany`], [`QueueError::Full`];
    /// [`QueueError::Storage`].
    pub fn send<'a>(
        &'a self,
        queue: &'a str,
        messages: Vec<NewMessage>,
    ) -> BoxFuture<'a, Result<Vec<Sent>, QueueError>> {
        Box::pin(async move {
            let definition = self.get(queue)?;
            check(&messages, (definition.settings.message_bytes_max as usize).min(MESSAGE_BYTES_MAX))?;
            self.take_in(&definition, messages).await
        })
    }

    /// Takes messages of another engine, which may be larger than those of clients.
    ///
    /// # Errors
    /// As [`Queues::send`].
    pub(super) async fn send_own(&self, queue: &str, messages: Vec<NewMessage>) -> Result<Vec<Sent>, QueueError> {
        let definition = self.get(queue)?;
        check(&messages, OWN_MESSAGE_BYTES_MAX)?;
        self.take_in(&definition, messages).await
    }

    async fn take_in(&self, definition: &QueueDefinition, messages: Vec<NewMessage>) -> Result<Vec<Sent>, QueueError> {
        let shared = &self.shared;
        let (sent, ticket) = {
            let mut live = self.live();
            let count = messages.len();
            if live.messages() + count > MESSAGES_MAX {
                return Err(QueueError::Full { max: MESSAGES_MAX });
            }
            let now = shared.clock.now();
            let first = live.next;
            let mut transaction = Transaction::new();
            let states: Vec<(MessageId, State)> = (first..)
                .map(MessageId)
                .zip(messages)
                .map(|(id, message)| {
                    let delay = message.delay.unwrap_or_else(|| millis(definition.settings.delay_seconds));
                    let state = State {
                        sent: now,
                        visible_at: now.saturating_add(delay),
                        expires: message.expires,
                        first_received: None,
                        receives: 0,
                        turn: 0,
                        dead_from: None,
                    };
                    transaction.put(&shared.states, state_key(definition.number, id), state.encode());
                    let head = Head { attributes: message.attributes, trace: message.trace, group: message.group };
                    let content = encode_content(&head, &message.body);
                    transaction.put(&shared.contents, content_key(id), content);
                    (id, state)
                })
                .collect();
            let queue = live.queue(definition)?;
            let ticket = shared.storage.submit(transaction)?;
            states.iter().for_each(|(id, state)| queue.index.put(*id, *state));
            queue.tell();
            let expires = |state: &State| queue.index.expires(state);
            let sent: Vec<Sent> = states
                .iter()
                .map(|(id, state)| Sent {
                    id: *id,
                    sent: state.sent,
                    expires: expires(state),
                    visible_at: state.visible_at,
                })
                .collect();
            live.next += count as u64;
            (sent, ticket)
        };
        // A receiver may have such a message already: its own transaction is behind this one and fails with it.
        if let Err(error) = ticket.durable().await {
            let mut live = self.live();
            let queue = live.queue(definition)?;
            sent.iter().for_each(|sent| queue.index.remove(sent.id));
            return Err(error.into());
        }
        self.count("sent", &definition.name, sent.len());
        Ok(sent)
    }
}

fn check(messages: &[NewMessage], max: usize) -> Result<(), QueueError> {
    if messages.len() > BATCH_MESSAGES_MAX {
        return Err(QueueError::TooMany { what: "messages in a batch", max: BATCH_MESSAGES_MAX });
    }
    for message in messages {
        let bytes = message.body.len() + message.attributes.iter().map(Attribute::bytes).sum::<usize>();
        if bytes > max {
            return Err(QueueError::MessageTooLarge { bytes, max });
        }
    }
    Ok(())
}
