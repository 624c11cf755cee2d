//! Tumbling windows: a shard's records by the time at which its log took them, with a state that the function hands on from
//! one batch to the next. Pure.
//!
//! A window is open from its first batch until it is over and its last invocation, which has no records, has been told of the
//! state. The open window is kept with the lane's place.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

/// Bytes of a state: the service's limit. A larger one ends its window early.
pub(crate) const STATE_BYTES_MAX: usize = 1 << 20;

/// The state of a window that has just begun.
const NO_STATE: &str = "{}";

/// A window that has begun and is not over for the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenWindow {
    /// The window holds what was taken at this time or later,
    pub(crate) start: Millis,
    /// and before this one.
    pub(crate) end: Millis,
    /// What the function handed on last: JSON.
    pub(crate) state: String,
    /// Failed attempts of its last invocation.
    #[serde(default)]
    pub(crate) attempts: u32,
}

/// What an event of a window says besides its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowShown {
    /// When the window begins.
    pub start: Millis,
    /// When it ends.
    pub end: Millis,
    /// The state, JSON.
    pub state: String,
    /// Whether no more records of the window follow.
    pub is_final: bool,
    /// Whether it ends before its time, since the state became too large.
    pub early: bool,
}

/// Where the window of so many seconds that a time is in begins and ends.
pub(crate) fn bounds(time: Millis, seconds: u32) -> (Millis, Millis) {
    let length = Millis::from(seconds.max(1)) * 1_000;
    let start = time.div_euclid(length) * length;
    (start, start + length)
}

impl OpenWindow {
    /// The window of so many seconds that a time is in.
    pub(crate) fn of(time: Millis, seconds: u32) -> Self {
        let (start, end) = bounds(time, seconds);
        Self { start, end, state: NO_STATE.to_owned(), attempts: 0 }
    }

    /// Whether it has to end before its time.
    pub(crate) fn is_too_large(&self) -> bool {
        self.state.len() > STATE_BYTES_MAX
    }

    pub(crate) fn shown(&self, is_final: bool) -> WindowShown {
        let (start, end, state) = (self.start, self.end, self.state.clone());
        WindowShown { start, end, state, is_final, early: is_final && self.is_too_large() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_at_whole_multiples_of_their_length() {
        for (time, seconds, start, end) in
            [(0, 60, 0, 60_000), (59_999, 60, 0, 60_000), (60_000, 60, 60_000, 120_000), (-1, 60, -60_000, 0)]
        {
            let window = OpenWindow::of(time, seconds);
            assert_eq!((window.start, window.end, window.state.as_str()), (start, end, "{}"), "{time}");
        }
    }

    #[test]
    fn only_the_last_event_ends_a_window() {
        let mut window = OpenWindow::of(0, 1);
        assert!(!window.shown(true).early && !window.is_too_large());
        window.state = format!("\"{}\"", "x".repeat(STATE_BYTES_MAX));
        assert!(window.is_too_large() && window.shown(true).early && !window.shown(false).early);
    }
}
