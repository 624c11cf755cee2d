//! The demo's summary in the terminal: what comes in, what the windows say, where to look.
//!
//! On a terminal it is drawn over itself each second; elsewhere (a file, a pipe) a line is written every ten seconds.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, interval};

use super::producer::Sent;
use crate::node::Node;

/// Result rows that are shown.
const ROWS: usize = 12;

/// Seconds over which the rate is averaged.
const RATE_SECONDS: usize = 5;

/// Seconds between lines when nobody looks at a terminal.
const LINE_SECONDS: u64 = 10;

/// What is known to the summary from the start.
pub struct Summary {
    /// Where trades are posted.
    pub api: String,
    /// The query whose rows are shown, and its output.
    pub query: (&'static str, &'static str),
    /// What the producer did.
    pub sent: Arc<Sent>,
}

impl Summary {
    /// Draws until the task is dropped.
    pub async fn show(&self, node: &Node) {
        let terminal = io::stdout().is_terminal();
        let start = Instant::now();
        let mut history = VecDeque::from([0u64]);
        let mut drawn = 0;
        let mut tick = interval(Duration::from_secs(1));
        for second in 0u64.. {
            tick.tick().await;
            let accepted = self.sent.accepted.load(Ordering::Relaxed);
            history.push_back(accepted);
            if history.len() > RATE_SECONDS + 1 {
                history.pop_front();
            }
            let oldest = history.front().copied().unwrap_or_default();
            let rate = (accepted - oldest) as f64 / (history.len() - 1) as f64;
            if terminal {
                let text = self.text(node, start, accepted, rate);
                // Up to where the last drawing began, then everything below is cleared.
                print!("\x1b[{drawn}F\x1b[J{text}");
                drawn = text.lines().count();
                let _ = io::stdout().flush();
            } else if second % LINE_SECONDS == 0 {
                println!("{accepted} trades accepted, {rate:.0}/s, {} rows", node.recent_rows(self.query).len());
            }
        }
    }

    fn text(&self, node: &Node, start: Instant, accepted: u64, rate: f64) -> String {
        let mut text = String::new();
        let failed = self.sent.failed.load(Ordering::Relaxed);
        let ended = if self.sent.ended.load(Ordering::Relaxed) { "  (file ended)" } else { "" };
        let seconds = start.elapsed().as_secs();
        // Writing to a String does not fail.
        let _ = writeln!(text, "\x1b[1mMillstream demo\x1b[0m  {seconds} s   console {}", node.console_url());
        let _ = writeln!(text, "  POST {}", self.api);
        let _ = writeln!(text, "  trades   {accepted} accepted   {rate:.0}/s   {failed} failed{ended}");
        if let Some(error) = self.sent.last_error() {
            let _ = writeln!(text, "  last failure: {error}");
        }
        let rows = node.recent_rows(self.query);
        if rows.is_empty() {
            let _ = writeln!(text, "  share changes per minute: the first minute has not ended yet");
        } else {
            let _ = writeln!(text, "  share changes per minute (latest rows of {}):", self.query.1);
        }
        for row in rows.iter().rev().take(ROWS) {
            let _ = writeln!(text, "    {row}");
        }
        let _ = writeln!(text, "  Ctrl-C drains and ends; the next start goes on from {}", node.data().display());
        text
    }
}
