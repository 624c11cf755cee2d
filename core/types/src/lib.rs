//! The words every other crate speaks: records, positions, error kinds, the ports between engines, the clock.
//!
//! Owns no behaviour of a service and touches no disk, socket or vendor's wire format.
//! Read next: [`record`] (what flows), [`port`] (how engines meet), [`clock`] (where time comes from).

pub mod address;
mod backoff;
pub mod clock;
pub mod error;
pub mod letter_pattern;
pub mod port;
pub mod properties;
pub mod record;
pub mod time;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::ErrorKind;
pub use port::{
    BoxFuture, CheckRole, Invocation, InvocationId, InvocationOutcome, Invoke, InvokeError, InvokeLater,
    MessageAttribute, MessageAttributeValue, NewObject, OutgoingMessage, PublishMessage, PublishMessageError,
    PutObject, PutObjectError, ReadObject, ReadObjectError, ReceiveMessages, ReceiveMessagesError, ReceivedMessage,
    RoleUse, SendMessage, SendMessageError, UpsertDocumentError, UpsertDocuments, WantedMessages,
};
pub use properties::{Properties, PropertiesView};
pub use record::{EncodedRecords, LogId, Record, RecordBatch, RecordView};
pub use time::Millis;
