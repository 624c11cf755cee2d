//! Where the ends of asynchronous invocations are told: the engine's port. What is written there, and how a target is
//! named, is the implementor's matter.

use bytes::Bytes;
use millstream_types::{BoxFuture, ErrorKind, InvocationId, Millis};

/// Takes the ends of asynchronous invocations to where their function says.
pub trait Destination: Send + Sync + 'static {
    /// Writes an end to a target; what was written is durable when the future resolves.
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliveryError>>;
}

/// An end on its way to a target.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What the target is to the function.
    pub purpose: Purpose,
    /// The target, as the client named it.
    pub target: String,
    /// What is told.
    pub ended: EndedInvocation,
}

/// What a target is to its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It gets the events of invocations that failed for good.
    DeadLetter,
    /// It gets a record of each invocation that succeeded, or of each that failed for good.
    Record,
}

/// An asynchronous invocation that has ended.
#[derive(Debug, Clone)]
pub struct EndedInvocation {
    /// The function as its invoker referred to it.
    pub function: String,
    /// The version that ran; `None`: the function itself.
    pub version: Option<u32>,
    /// The id that the caller was given.
    pub id: InvocationId,
    /// The event.
    pub payload: Bytes,
    /// When it ended.
    pub time: Millis,
    /// Why nothing more is tried.
    pub condition: Condition,
    /// How often it was run.
    pub attempts: u32,
    /// What the last attempt ended with; `None` when there was none.
    pub answer: Option<Answered>,
}

/// What an attempt ended with.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The function's answer, or the error document.
    pub payload: Bytes,
    /// `Unhandled` when the function failed.
    pub error: Option<String>,
}

/// What an error document says in words: its message, or the document itself.
#[must_use]
pub fn error_message(document: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(document)
        .ok()
        .and_then(|document| document.get("errorMessage")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(document).into_owned())
}

/// Why nothing more is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It succeeded.
    Success,
    /// It failed as often as it may.
    RetriesExhausted,
    /// It became too old.
    EventAgeExceeded,
    /// Its function may not run at all.
    ZeroConcurrency,
}

/// Why a target has not got an end.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// [`ErrorKind::Unavailable`] and [`ErrorKind::Throttled`] are worth another attempt.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
}
