//! The demo's summary in the terminal: what was sent, what is in the table, what ended in the queue for dead letters.
//!
//! On a terminal it is drawn over itself; elsewhere (a file, a pipe) a line is written each time.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_table::Scan;

use super::super::producer::Sent;
use crate::node::Node;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Items that are counted: a table that grows all day is not read to its end every time.
const ITEMS_MAX: usize = 20_000;

const TABLE: &str = "tweets";
const QUEUE: &str = "dead-tweets";

/// What is known to the summary from the start.
pub struct Summary {
    /// What the producer did.
    pub sent: Arc<Sent>,
    /// Whether the flaw is gone.
    pub fixed: bool,
}

impl Summary {
    /// Draws until the task is dropped.
    pub async fn show(&self, node: &Node) {
        let terminal = io::stdout().is_terminal();
        let mut drawn = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            let line = self.line(node).await;
            if !terminal {
                println!("{line}");
                continue;
            }
            let text = self.text(node, &line);
            // Up to where the last drawing began, then everything below is cleared.
            print!("\x1b[{drawn}F\x1b[J{text}");
            drawn = text.lines().count();
            let _ = io::stdout().flush();
        }
    }

    async fn line(&self, node: &Node) -> String {
        let sent = self.sent.accepted.load(Ordering::Relaxed);
        let letters = node.engines().queues.counts(QUEUE).map_or(0, |counts| counts.all());
        let items = items(node).await;
        let more = if items < ITEMS_MAX { "" } else { " or more" };
        format!("{sent} tweets sent, {items}{more} in the table, {letters} dead letters")
    }

    fn text(&self, node: &Node, line: &str) -> String {
        let variant = if self.fixed { "25 items a call" } else { "whole batches a call, which the table refuses" };
        let failed = self.sent.failed.load(Ordering::Relaxed);
        let failure =
            self.sent.last_error().map(|error| format!("  {failed} not taken: {error}\n")).unwrap_or_default();
        let look = format!(
            "  millstream logs SaveTweets --data {}    what the function says\n  console {}    the queue and the table\n",
            node.data().display(),
            node.console_url(),
        );
        format!("\x1b[1mMillstream demo\x1b[0m  tweets, {variant}\n  {line}\n{failure}{look}  Ctrl-C drains and ends\n")
    }
}

/// The table's items, counted to [`ITEMS_MAX`].
async fn items(node: &Node) -> usize {
    let (mut count, mut start) = (0, None);
    loop {
        let scan = Scan { start: start.take(), limit: Some(ITEMS_MAX - count), ..Scan::default() };
        let Ok(page) = node.engines().tables.scan(TABLE, scan).await else { return count };
        count += page.scanned;
        start = page.last_key;
        if start.is_none() || count >= ITEMS_MAX {
            return count;
        }
    }
}
