//! What is told of batches that are given up: a front puts it in words and brings it where the mapping says.

use bytes::Bytes;
use millstream_catalog::FailureTarget;
use millstream_types::{BoxFuture, ErrorKind, Millis};

use crate::codec::Origin;

/// Records that are given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// The mapping's id.
    pub mapping: String,
    /// Where they come from, and the function that did not take them.
    pub origin: Origin,
    /// The first of them and the last.
    pub offsets: (u64, u64),
    /// When the log took the first of them, and the last.
    pub times: (Millis, Millis),
    /// How many they are.
    pub records: usize,
    /// Why they are given up.
    pub reason: DiscardReason,
    /// How often the function was run on the batch.
    pub invocations: u32,
    /// The last of these invocations, if one is known.
    pub invocation: Option<String>,
    /// The version of the function that it ran; `None`: the function itself, or there was none.
    pub version: Option<u32>,
    /// What the last one ended with: a failure of the function as the function engine names it.
    pub error: Option<String>,
    /// The event in which the function got them, or would have got them.
    pub event: Bytes,
    /// When they are given up.
    pub time: Millis,
}

/// Why records are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscardReason {
    /// The function failed as often as it may.
    Attempts,
    /// They are older than the function wants them.
    Age,
}

/// Why nothing was told.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct FailureTargetError {
    /// What can be done: [`ErrorKind::NotFound`], [`ErrorKind::Forbidden`] and [`ErrorKind::Invalid`] will not go away by
    /// trying again.
    pub kind: ErrorKind,
    /// What was expected, what came.
    pub message: String,
}

/// Where discarded batches are told of: a front's business, plugged in by the server.
pub trait FailureTargets: Send + Sync + 'static {
    /// Tells of discarded records; durable when the future resolves.
    fn tell(&self, target: &FailureTarget, discarded: Discarded) -> BoxFuture<'_, Result<(), FailureTargetError>>;
}
