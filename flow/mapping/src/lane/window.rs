//! The tumbling window of a lane: when it begins, when it is over, and the invocation that ends it.

use millstream_types::Millis;

use super::{Item, Lane};
use crate::error::MappingError;
use crate::window::{OpenWindow, bounds};
use crate::work::{Said, pause, stopping};

impl Lane {
    /// The length of the mapping's windows; `None` when it has none.
    fn window_seconds(&self) -> Option<u32> {
        self.work.definition.settings.tumbling_window_seconds
    }

    /// The time before which the records of the batch at hand were taken: a batch is of one window.
    pub(super) fn batch_end(&self, first: Option<&Item>) -> Option<Millis> {
        let seconds = self.window_seconds()?;
        let begun = self.progress.window.as_ref().map(|window| window.end);
        begun.or_else(|| Some(bounds(first?.append_time, seconds).1))
    }

    /// Whether the window that is open has no more records to come: `frontier` is the time before which nothing can still
    /// appear, and what was before it has been read.
    pub(super) fn is_window_over(&self, frontier: Millis) -> bool {
        let ahead = self.ahead.front().map(|record| record.append_time);
        let over = |window: &OpenWindow| ahead.unwrap_or(frontier) >= window.end || window.is_too_large();
        self.progress.window.as_ref().is_some_and(over)
    }

    /// Opens the window of a batch, unless it is open.
    pub(super) fn open_window(&mut self, first: Option<&Item>) {
        if let (Some(seconds), None, Some(first)) = (self.window_seconds(), &self.progress.window, first) {
            self.progress.window = Some(OpenWindow::of(first.append_time, seconds));
        }
    }

    /// Takes over the state that the function handed on.
    pub(super) fn hand_on(&mut self, state: Option<String>) {
        if let (Some(window), Some(state)) = (&mut self.progress.window, state) {
            window.state = state;
        }
    }

    /// Tells the function that the open window is over; nothing is open afterwards, unless the lane is asked to stop.
    pub(super) async fn end_window(&mut self) -> Result<(), MappingError> {
        let mut not_run = 0;
        while let Some(window) = &self.progress.window {
            if stopping(&self.stop) {
                return Ok(());
            }
            let event = self.work.outside.codec.window_event(&self.origin, &[], &window.shown(true));
            let Ok(ran) = self.work.run(event, false).await else {
                not_run += 1;
                pause(&self.stop, self.work.wait(not_run)).await;
                continue;
            };
            let attempts = window.attempts.saturating_add(1);
            let failed = matches!(ran.said, Said::Failed { .. });
            if failed && self.work.policy().retries_max.is_none_or(|max| attempts <= max) {
                if let Some(window) = &mut self.progress.window {
                    window.attempts = attempts;
                }
                self.keep().await?;
                pause(&self.stop, self.work.wait(attempts)).await;
                continue;
            }
            if failed {
                self.window_given_up(window.start, window.end);
            }
            self.progress.window = None;
            self.keep().await?;
        }
        Ok(())
    }

    /// A state that the function did not take in its last attempt is lost: the function's log says so.
    fn window_given_up(&self, start: Millis, end: Millis) {
        let (mapping, function) = (&self.work.definition.id, &self.work.definition.function);
        tracing::warn!(mapping, function, start, end, "the end of a window is given up");
        self.work.tell_function(format!(
            "event source mapping {mapping}: the state of the window from {start} to {end} is lost: the function did not take its end"
        ));
        self.work.insight.metrics.counter("windows_discarded", &self.work.subject()).add(1);
    }
}
