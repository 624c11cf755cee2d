//! What a pipeline file says of queues.

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{QueueSettings, Redrive};

/// Receives after which a message is a dead letter, when the file names a queue for such and no number.
const RECEIVES_MAX: u32 = 5;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueTable {
    pub(super) name: Spanned<String>,
    visibility_seconds: Option<Spanned<u32>>,
    retention_seconds: Option<Spanned<u32>>,
    /// The queue for messages that were received too often.
    dead_letter: Option<Spanned<String>>,
    max_receives: Option<Spanned<u32>>,
}

/// A queue to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name.
    pub name: String,
    /// How it treats its messages.
    pub settings: QueueSettings,
}

impl Resolver<'_> {
    pub(super) fn queue(&mut self, table: QueueTable) -> Located<QueueSpec> {
        let line = self.line(&table.name);
        let usual = QueueSettings::default();
        let (hidden, kept) = (usual.visibility_seconds, usual.retention_seconds);
        let visibility_seconds = self.number("visibility_seconds", table.visibility_seconds, hidden, (0, 43_200));
        let retention_seconds = self.number("retention_seconds", table.retention_seconds, kept, (60, 1_209_600));
        let receives_max = self.within("max_receives", table.max_receives.as_ref(), (1, 1_000)).unwrap_or(RECEIVES_MAX);
        if let (Some(receives), None) = (&table.max_receives, &table.dead_letter) {
            let line = self.line(receives);
            let hint = "add it: dead_letter = \"QUEUE\"";
            self.wrong(line, "`max_receives` says nothing without `dead_letter`".to_owned(), hint);
        }
        let redrive = table.dead_letter.map(|queue| {
            let queues = self.queues.clone();
            self.refers("queue", &queues, &queue);
            if queue.get_ref() == table.name.get_ref() {
                let line = self.line(&queue);
                self.wrong(line, "a queue cannot be its own `dead_letter` queue".to_owned(), "name another queue");
            }
            Redrive { queue: queue.into_inner(), receives_max }
        });
        let settings = QueueSettings { visibility_seconds, retention_seconds, redrive, ..usual };
        Located { value: QueueSpec { name: table.name.into_inner(), settings }, line }
    }
}
