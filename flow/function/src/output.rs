//! What a process prints: read from a pipe, cut into lines and events, written to its log stream.
//!
//! The bootstraps of Python and Node.js mark what is one event though it has several lines: it begins with [`EVENT`] and its
//! line breaks are [`LINE_BREAK`]s.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::unix::pipe::Receiver;

use crate::log_capture::LogCapture;

/// A line is cut here: the largest event of the log service.
const LINE_BYTES_MAX: usize = 256 << 10;

/// Begins an event, ASCII's record separator.
const EVENT: u8 = 0x1e;

/// A line break within an event, ASCII's unit separator.
const LINE_BREAK: char = '\u{1f}';

/// What is read at once.
const READ_BYTES: usize = 16 << 10;

/// What is read before others have their turn: what a pipe holds. Whoever prints without end is not read without end.
const TURN_BYTES_MAX: usize = 64 << 10;

/// One pipe of a process. A task follows it; whoever needs all that was printed so far catches up without waiting for the task.
pub(crate) struct Output {
    pipe: Receiver,
    log: Arc<LogCapture>,
    splitter: Mutex<LineSplitter>,
}

/// What a turn of reading left.
enum Left {
    /// Nothing for now.
    Nothing,
    /// Perhaps more.
    More,
    /// The pipe has ended or broken.
    End,
}

impl Output {
    /// Takes the reading end of a pipe, and follows it until it ends.
    pub(crate) fn follow(pipe: OwnedFd, log: Arc<LogCapture>) -> io::Result<Arc<Self>> {
        let output = Arc::new(Self { pipe: Receiver::from_owned_fd(pipe)?, log, splitter: Mutex::default() });
        tokio::spawn(Arc::clone(&output).read_to_end());
        Ok(output)
    }

    /// Writes what is in the pipe already, bounded by [`TURN_BYTES_MAX`], and ends the line it ends in.
    pub(crate) fn catch_up(&self) {
        let mut splitter = self.splitter.lock().unwrap_or_else(PoisonError::into_inner);
        // The pipe itself is asked: the readiness that the runtime remembers may be older than what was just printed.
        self.turn(&mut splitter, |buffer| Ok(rustix::io::read(&self.pipe, buffer)?));
        self.write(splitter.rest());
    }

    async fn read_to_end(self: Arc<Self>) {
        while self.pipe.readable().await.is_ok() {
            let left = {
                let mut splitter = self.splitter.lock().unwrap_or_else(PoisonError::into_inner);
                self.turn(&mut splitter, |buffer| self.pipe.try_read(buffer))
            };
            match left {
                Left::Nothing => {}
                Left::More => tokio::task::yield_now().await,
                Left::End => break,
            }
        }
        self.catch_up();
    }

    /// Reads until there is nothing for now. The splitter's lock keeps lines in the order in which they were printed.
    fn turn(&self, splitter: &mut LineSplitter, read: impl Fn(&mut [u8]) -> io::Result<usize>) -> Left {
        let mut buffer = [0; READ_BYTES];
        let mut taken = 0;
        while taken < TURN_BYTES_MAX {
            match read(&mut buffer) {
                Ok(0) => return Left::End,
                Ok(count) => {
                    self.write(splitter.push(&buffer[..count]));
                    taken += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Left::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Left::End,
            }
        }
        Left::More
    }

    fn write(&self, lines: impl IntoIterator<Item = String>) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_some() {
            self.log.write(lines);
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
    use std::io::Write as _;

    use millstream_insight::Insight;
    use millstream_storage::Storage;
    use millstream_types::SystemClock;

    use super::*;

    /// Nothing here waits, so the task that follows the pipe has no turn.
    #[tokio::test]
    async fn what_was_printed_is_caught_up_with_at_once_and_within_bounds() {
        let clock = Arc::new(SystemClock);
        let logs = Insight::open(&Storage::in_memory(clock.clone()), clock.clone()).unwrap().logs;
        let (reader, mut writer) = io::pipe().unwrap();
        let log = Arc::new(LogCapture::new(logs.clone(), clock, "group".into(), "stream".into()));
        let output = Output::follow(reader.into(), Arc::clone(&log)).unwrap();
        let mut caught_up = |printed: &[u8]| {
            writer.write_all(printed).unwrap();
            output.catch_up();
            String::from_utf8(log.take_tail().to_vec()).unwrap()
        };
        assert_eq!(
            ["one\ntwo", "", "three\n"].map(|printed| caught_up(printed.as_bytes())),
            ["one\ntwo\n", "", "three\n"]
        );
        // As much as a pipe holds.
        caught_up(&b"0123456789abcde\n".repeat(TURN_BYTES_MAX / 16));
        let lines = logs.events("group", None, (0, i64::MAX), 0, 10_000).unwrap().len();
        assert_eq!(lines, 3 + TURN_BYTES_MAX / 16);
    }

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
