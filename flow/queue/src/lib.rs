//! Queues: a message is sent once, received until somebody deletes it, and hidden from others while one has it.
//!
//! What a queue holds is durable before it is acknowledged; when a message is visible again is a stored time, so a crash
//! shows nobody a message early and loses none: at least once, roughly in the order of sending. Knows no wire format.
//! Read next: [`engine`] (the operations), `index.rs` (which message is next: pure), `record.rs` (bytes on disk: pure).

pub mod engine;
mod error;
mod index;
mod message;
mod record;

pub use engine::{
    BATCH_MESSAGES_MAX, Changed, IN_FLIGHT_MAX, MESSAGE_BYTES_MAX, NewQueue, QUEUES_MAX, Queues, Receive, RedriveState,
    RedriveTask, Update, WAIT_MAX,
};
pub use error::QueueError;
pub use index::Counts;
pub use message::{Attribute, AttributeValue, Message, MessageId, NewMessage, Receipt, Sent};
