//! Messages are deleted, hidden for another time, given another body.

use bytes::Bytes;
use millstream_storage::Transaction;
use millstream_types::{BoxFuture, Millis};

use super::Queues;
use crate::error::QueueError;
use crate::message::{MessageId, Receipt};
use crate::record::{Head, State, content_key, encode_content, state_key};

/// What changes of a received message.
#[derive(Debug, Clone)]
pub struct Update {
    /// Milliseconds from now on for which it is hidden; 0: it can be received at once.
    pub hidden: Millis,
    /// Another body; attributes go with the one before.
    pub body: Option<Bytes>,
    /// Whether the receipt becomes an old one and another counts.
    pub renew: bool,
}

/// A message after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The receipt that counts.
    pub receipt: Receipt,
    /// When it can be received again.
    pub visible_at: Millis,
}

impl Queues {
    /// Deletes a received message; durable when this returns.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`], [`QueueError::MessageNotFound`], [`QueueError::OldReceipt`];
    /// [`QueueError::Storage`].
    pub fn delete_message<'a>(&'a self, queue: &'a str, receipt: Receipt) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let definition = self.get(queue)?;
            let ticket = {
                let mut live = self.live();
                let index = &mut live.queue(&definition)?.index;
                let id = named(index.get(receipt.message), receipt)?.0;
                let mut transaction = Transaction::new();
                self.remove(&mut transaction, definition.number, id);
                let ticket = self.shared.storage.submit(transaction)?;
                index.remove(id);
                ticket
            };
            ticket.durable().await?;
            self.count("deleted", queue, 1);
            Ok(())
        })
    }

    /// Hides a received message for longer or less from now on; one whose time is over is refused.
    ///
    /// # Errors
    /// As [`Queues::delete_message`], and [`QueueError::NotInFlight`].
    pub fn hide<'a>(
        &'a self,
        queue: &'a str,
        receipt: Receipt,
        hidden: Millis,
    ) -> BoxFuture<'a, Result<Changed, QueueError>> {
        Box::pin(async move {
            let definition = self.get(queue)?;
            let (id, state) = named(self.live().queue(&definition)?.index.get(receipt.message), receipt)?;
            if state.visible_at <= self.shared.clock.now() {
                return Err(QueueError::NotInFlight { id });
            }
            self.update(queue, receipt, Update { hidden, body: None, renew: false }).await
        })
    }

    /// Changes a received message; durable when this returns.
    ///
    /// # Errors
    /// As [`Queues::delete_message`], and [`QueueError::MessageTooLarge`].
    pub fn update<'a>(
        &'a self,
        queue: &'a str,
        receipt: Receipt,
        update: Update,
    ) -> BoxFuture<'a, Result<Changed, QueueError>> {
        Box::pin(async move {
            let definition = self.get(queue)?;
            let max = definition.settings.message_bytes_max as usize;
            if let Some(bytes) = update.body.as_ref().map(Bytes::len).filter(|bytes| *bytes > max) {
                return Err(QueueError::MessageTooLarge { bytes, max });
            }
            let shared = &self.shared;
            let (changed, ticket) = {
                let mut live = self.live();
                let queue = live.queue(&definition)?;
                let (id, state) = named(queue.index.get(receipt.message), receipt)?;
                let visible_at = shared.clock.now().saturating_add(update.hidden);
                let turn = if update.renew { state.turn.wrapping_add(1) } else { state.turn };
                let state = State { visible_at, turn, ..state };
                let mut transaction = Transaction::new();
                transaction.put(&shared.states, state_key(definition.number, id), state.encode());
                if let Some(body) = &update.body {
                    transaction.put(&shared.contents, content_key(id), encode_content(&Head::default(), body));
                }
                let ticket = shared.storage.submit(transaction)?;
                queue.index.put(id, state);
                queue.tell();
                (Changed { receipt: Receipt { message: id, turn }, visible_at }, ticket)
            };
            ticket.durable().await?;
            Ok(changed)
        })
    }
}

/// The message that a receipt names, if the receipt is the one that counts.
fn named(found: Option<&State>, receipt: Receipt) -> Result<(MessageId, State), QueueError> {
    let id = receipt.message;
    match found {
        None => Err(QueueError::MessageNotFound { id }),
        Some(state) if state.turn != receipt.turn => Err(QueueError::OldReceipt { id }),
        Some(state) => Ok((id, *state)),
    }
}
