//! The log stream of a process: what is written to it, and the end of it kept for the caller.
//!
//! What the process prints comes through [`crate::output`].

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millstream_insight::Logs;
use millstream_types::Clock;

/// What a caller gets of the end.
const TAIL_BYTES: usize = 4 << 10;

/// The log stream of one process.
pub(crate) struct LogCapture {
    logs: Logs,
    clock: Arc<dyn Clock>,
    group: String,
    pub(crate) stream: String,
    tail: Mutex<Vec<u8>>,
}

impl LogCapture {
    pub(crate) fn new(logs: Logs, clock: Arc<dyn Clock>, group: String, stream: String) -> Self {
        Self { logs, clock, group, stream, tail: Mutex::default() }
    }

    /// Takes lines.
    pub(crate) fn write(&self, lines: impl IntoIterator<Item = String>) {
        let now = self.clock.now();
        let lines: Vec<(i64, String)> = lines.into_iter().map(|line| (now, line)).collect();
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, line) in &lines {
            tail.extend_from_slice(line.as_bytes());
            tail.push(b'\n');
        }
        let over = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..over);
        drop(tail);
        self.logs.append(&self.group, &self.stream, lines);
    }

    /// The end of what was printed since the last call.
    pub(crate) fn take_tail(&self) -> Bytes {
        Bytes::from(std::mem::take(&mut *self.tail.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
