//! What can go wrong with queues and messages, as facts; protocols put them in their own words.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_types::ErrorKind;

use crate::message::MessageId;

/// An error of the queue engine.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum QueueError {
    #[error("there is no queue `{queue}`")]
    QueueNotFound { queue: String },
    #[error("there is a queue `{queue}` already")]
    QueueExists { queue: String },
    #[error("expected a name of 1 to 80 letters, digits, `-` and `_` for a queue, found `{found}`")]
    BadName { found: String },
    #[error("expected {what} from {min} to {max}, found {found}")]
    OutOfRange { what: &'static str, min: i64, max: i64, found: i64 },
    #[error("expected at most {max} {what}")]
    TooMany { what: &'static str, max: usize },
    /// `reason` completes the sentence.
    #[error("`{queue}` cannot take dead letters: {reason}")]
    DeadLetterQueue { queue: String, reason: &'static str },
    #[error("a message of {bytes} bytes is over the limit of {max}")]
    MessageTooLarge { bytes: usize, max: usize },
    #[error("the node's queues hold {max} messages, as many as they may; receive and delete some")]
    Full { max: usize },
    #[error("`{queue}` takes no dead letters of other queues")]
    NotDeadLetters { queue: String },
    #[error("the messages of `{queue}` are being moved already")]
    Redriving { queue: String },
    #[error("there is no such task that runs")]
    NoRedrive,
    #[error("the queue that message {id} came from is not known or gone; say where it is to go")]
    NoOrigin { id: MessageId },
    #[error("`{queue}` was purged less than {seconds} s ago")]
    PurgedLately { queue: String, seconds: i64 },
    #[error("{max} messages of `{queue}` are in flight, as many as may be; delete some")]
    TooManyInFlight { queue: String, max: usize },
    #[error("message {id} is not hidden: its time is over")]
    NotInFlight { id: MessageId },
    #[error("there is no message {id} in the queue: it was deleted, it expired, or it never was")]
    MessageNotFound { id: MessageId },
    #[error("the receipt of message {id} is an old one: the message was received or changed since")]
    OldReceipt { id: MessageId },
    /// A stored message was written by a later version, or is damaged.
    #[error("the stored message {id} cannot be read: a later version wrote it or it is damaged")]
    Unreadable { id: MessageId },
    /// A task of ours broke; a defect.
    #[error("reading messages broke: {reason}")]
    Broken { reason: String },
    #[error(transparent)]
    Catalog(CatalogError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl QueueError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::QueueNotFound { .. } | Self::MessageNotFound { .. } | Self::NoRedrive => ErrorKind::NotFound,
            Self::QueueExists { .. } => ErrorKind::Exists,
            Self::NotDeadLetters { .. }
            | Self::NoOrigin { .. }
            | Self::BadName { .. }
            | Self::OutOfRange { .. }
            | Self::TooMany { .. }
            | Self::DeadLetterQueue { .. } => ErrorKind::Invalid,
            Self::MessageTooLarge { .. } => ErrorKind::TooLarge,
            Self::Full { .. } | Self::TooManyInFlight { .. } | Self::PurgedLately { .. } => ErrorKind::Throttled,
            Self::OldReceipt { .. } | Self::NotInFlight { .. } | Self::Redriving { .. } => ErrorKind::Conflict,
            Self::Unreadable { .. } | Self::Broken { .. } => ErrorKind::Internal,
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for QueueError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Storage(error) => Self::Storage(error),
            other => Self::Catalog(other),
        }
    }
}
