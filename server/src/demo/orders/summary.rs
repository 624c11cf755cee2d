//! The demo's summary in the terminal: what was published, and what each subscriber got.
//!
//! On a terminal it is drawn over itself; elsewhere (a file, a pipe) a line is written each time.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_event::SubscriptionStatus;

use super::super::producer::Sent;
use super::TOPIC;
use crate::node::Node;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What is known to the summary from the start.
pub struct Summary {
    /// Where orders are posted.
    pub api: String,
    /// What the producer did.
    pub sent: Arc<Sent>,
}

impl Summary {
    /// Draws until the task is dropped.
    pub async fn show(&self, node: &Node) {
        let terminal = io::stdout().is_terminal();
        let mut drawn = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            if !terminal {
                println!("{}", self.line(node));
                continue;
            }
            let text = self.text(node);
            // Up to where the last drawing began, then everything below is cleared.
            print!("\x1b[{drawn}F\x1b[J{text}");
            drawn = text.lines().count();
            let _ = io::stdout().flush();
        }
    }

    fn line(&self, node: &Node) -> String {
        let mut line = format!("{} events published", self.sent.accepted.load(Ordering::Relaxed));
        for (name, status) in statuses(node) {
            // Writing to a String does not fail.
            let _ = write!(line, ", {} delivered to {name}", status.delivered);
        }
        line
    }

    fn text(&self, node: &Node) -> String {
        let mut text = String::new();
        let (accepted, failed) = (self.sent.accepted.load(Ordering::Relaxed), self.sent.failed.load(Ordering::Relaxed));
        let _ = writeln!(text, "\x1b[1mMillstream demo\x1b[0m  orders as events   console {}", node.console_url());
        let _ = writeln!(text, "  POST {}", self.api);
        let _ = writeln!(text, "  topic {TOPIC}   {accepted} published   {failed} refused");
        if let Some(error) = self.sent.last_error() {
            let _ = writeln!(text, "  last refusal: {error}");
        }
        for (name, status) in statuses(node) {
            let SubscriptionStatus { delivered, failed_attempts, filtered, waiting, .. } = status;
            let _ = writeln!(
                text,
                "    {name:<8} {delivered} delivered   {filtered} not wanted   {failed_attempts} failed attempts   {waiting} wait"
            );
        }
        let data = node.data().display();
        let _ = writeln!(text, "  millstream logs Ship --data {data}    what the function got");
        let _ = writeln!(text, "  millstream tail audit --data {data}   what the hub holds");
        let _ = writeln!(text, "  Ctrl-C drains and ends; the next start goes on from {data}");
        text
    }
}

/// How the topic's subscriptions are doing, by name.
fn statuses(node: &Node) -> Vec<(String, SubscriptionStatus)> {
    let events = &node.engines().events;
    let subscriptions = events.subscriptions(TOPIC).into_iter();
    subscriptions.filter_map(|one| Some((one.name.clone(), events.status(TOPIC, &one.name)?))).collect()
}
