//! What a process prints: line by line into its log stream, and the end of it kept for the caller.
//!
//! The bootstraps of Python and Node.js mark what is one event though it has several lines: it begins with [`EVENT`] and its
//! line breaks are [`LINE_BREAK`]s.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millstream_insight::Logs;
use millstream_types::Clock;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A line is cut here: the largest event of the log service.
const LINE_BYTES_MAX: usize = 256 << 10;

/// Begins an event, ASCII's record separator.
const EVENT: u8 = 0x1e;

/// A line break within an event, ASCII's unit separator.
const LINE_BREAK: char = '\u{1f}';

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

    /// Reads a pipe to its end.
    pub(crate) async fn read(self: Arc<Self>, mut pipe: impl AsyncRead + Unpin) {
        let mut splitter = LineSplitter::default();
        let mut buffer = vec![0; 16 << 10];
        loop {
            match pipe.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    let lines = splitter.push(&buffer[..read]);
                    if !lines.is_empty() {
                        self.write(lines);
                    }
                }
            }
        }
        if let Some(rest) = splitter.rest() {
            self.write([rest]);
        }
    }
}

/// Cuts bytes into lines and events, however they come.
#[derive(Default)]
struct LineSplitter {
    rest: Vec<u8>,
    /// Whether what comes is an event.
    event: bool,
}

impl LineSplitter {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n' || byte == EVENT) {
            if let Some(before) = part.strip_suffix(&[EVENT]) {
                // A line that was not ended yet ends here.
                self.take(before, &mut lines);
                lines.extend(self.rest());
                self.event = true;
                continue;
            }
            self.take(part, &mut lines);
            if part.ends_with(b"\n") {
                lines.extend(self.rest());
                self.event = false;
            }
        }
        lines
    }

    /// Takes bytes of one line; a line that is full ends, and what is too much of it is left out.
    fn take(&mut self, part: &[u8], lines: &mut Vec<String>) {
        let room = LINE_BYTES_MAX - self.rest.len();
        self.rest.extend_from_slice(&part[..part.len().min(room)]);
        if self.rest.len() == LINE_BYTES_MAX {
            lines.extend(self.rest());
        }
    }

    /// What stands in the line so far.
    fn rest(&mut self) -> Option<String> {
        if self.rest.is_empty() {
            return None;
        }
        let line = String::from_utf8_lossy(&self.rest).trim_end_matches(['\n', '\r']).to_owned();
        self.rest.clear();
        Some(if self.event { line.replace(LINE_BREAK, "\n") } else { line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_however_they_come() {
        let mut splitter = LineSplitter::default();
        assert_eq!(splitter.push(b"a"), Vec::<String>::new());
        assert_eq!(splitter.push(b"b\r\nc\n\nd"), ["ab", "c", ""]);
        assert_eq!(splitter.rest().as_deref(), Some("d"));
        let long = splitter.push(&vec![b'x'; LINE_BYTES_MAX + 10]);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES_MAX]);
        assert!(splitter.push(b"\n").len() <= 1);
    }
    #[test]
    fn events_keep_their_lines_and_lines_stay_as_they_are() {
        let mut splitter = LineSplitter::default();
        assert_eq!(splitter.push(b"printed\x1e[INFO]\ta\x1f"), ["printed"]);
        assert_eq!(splitter.push(b"b\nnext\x1fone\n"), ["[INFO]\ta\nb", "next\u{1f}one"]);
        assert_eq!(splitter.push(b"\x1efirst\n\x1esecond\n"), ["first", "second"]);
    }
}
