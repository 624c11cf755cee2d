//! The service's own error conditions, and engines' errors as the service tells them.

use millstream_amqp::{AmqpError, condition};
use millstream_stream::{AppendError, StreamError};
use millstream_types::ErrorKind;

pub const ARGUMENT_ERROR: &str = "com.microsoft:argument-error";
pub const ARGUMENT_OUT_OF_RANGE: &str = "com.microsoft:argument-out-of-range";
pub const SERVER_BUSY: &str = "com.microsoft:server-busy";
pub const PRODUCER_STOLEN: &str = "com.microsoft:producer-epoch-stolen";
pub const OUT_OF_ORDER: &str = "com.microsoft:out-of-order-sequence";

/// No such hub, consumer group or partition.
pub fn not_found(address: &str) -> AmqpError {
    AmqpError::new(condition::NOT_FOUND, not_found_text(address))
}

/// The words for what is not there.
pub fn not_found_text(address: &str) -> String {
    format!("The messaging entity '{address}' could not be found.")
}

/// A partition that takes no events any more.
pub fn closed(partition: u32) -> AmqpError {
    AmqpError::new(ARGUMENT_OUT_OF_RANGE, closed_text(partition))
}

/// The words for a partition that takes no events any more.
pub fn closed_text(partition: u32) -> String {
    format!("Partition {partition} was split or merged and takes no events any more.")
}

/// A right that no token proved.
pub fn unauthorized(right: &str, resource: &str) -> AmqpError {
    let text = format!(
        "Unauthorized access. '{right}' claim(s) are required to perform this operation. Resource: '{resource}'."
    );
    AmqpError::new(condition::UNAUTHORIZED_ACCESS, text)
}

/// Why events were not taken.
pub fn not_taken(error: &StreamError) -> AmqpError {
    match error.kind() {
        // What was closed meanwhile has others in its place when the client tries again, and a full disk room.
        ErrorKind::Throttled | ErrorKind::Conflict | ErrorKind::Unavailable => {
            AmqpError::new(SERVER_BUSY, busy_text(&error.to_string()))
        }
        ErrorKind::NotFound => AmqpError::new(condition::NOT_FOUND, error.to_string()),
        ErrorKind::TooLarge => AmqpError::new(condition::MESSAGE_SIZE_EXCEEDED, error.to_string()),
        _ => AmqpError::new(condition::INTERNAL_ERROR, error.to_string()),
    }
}

/// More than a namespace takes in a second.
pub fn throttled(namespace: &str) -> AmqpError {
    AmqpError::new(SERVER_BUSY, throttled_text(namespace))
}

/// The words for more than a namespace takes in a second.
pub fn throttled_text(namespace: &str) -> String {
    busy_text(&format!("Please wait 4 seconds and try again. Namespace: '{namespace}'."))
}

/// Why numbered events were not taken, or their producer was not let in; `None` when they are there, now or before.
pub fn not_next(error: &AppendError) -> Option<AmqpError> {
    match error {
        AppendError::Repeated { .. } => None,
        AppendError::OutOfSequence { expected, .. } => {
            let text = format!("The events are out of order: expected the sequence number {expected}.");
            Some(AmqpError::new(OUT_OF_ORDER, text))
        }
        AppendError::Fenced { known, .. } => {
            let text = format!("Another producer with the same id has epoch {known}; this one is over.");
            Some(AmqpError::new(PRODUCER_STOLEN, text))
        }
        AppendError::UnknownProducer => {
            Some(AmqpError::new(PRODUCER_STOLEN, "The producer is not known any more: open the link again."))
        }
        AppendError::ShardClosed => Some(AmqpError::new(SERVER_BUSY, busy_text(&error.to_string()))),
        AppendError::Storage(error) => Some(not_taken(&StreamError::Storage(error.clone()))),
    }
}

/// The words for a node that cannot keep up.
pub fn busy_text(reason: &str) -> String {
    format!("The request was terminated because the namespace is being throttled. Error code : 50002. {reason}")
}

#[cfg(test)]
mod tests {
    use millstream_storage::StorageError;

    use super::*;

    #[test]
    fn a_node_that_cannot_keep_up_says_that_it_is_busy() {
        let overloaded = StorageError::Overloaded { waiting_bytes: 2, limit_bytes: 1 };
        assert_eq!(not_taken(&StreamError::Storage(overloaded)).condition, SERVER_BUSY);
        let missing = StreamError::StreamNotFound { stream: "trades".into() };
        assert_eq!(not_taken(&missing).condition, condition::NOT_FOUND);
        assert_eq!(not_taken(&StreamError::Storage(StorageError::DiskFull)).condition, SERVER_BUSY);
        let stopped = StorageError::Poisoned { reason: "the disk refused a sync".into() };
        assert_eq!(not_taken(&StreamError::Storage(stopped)).condition, condition::INTERNAL_ERROR);
    }
}
