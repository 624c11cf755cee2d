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
    visibility_seconds: Option<u32>,
    retention_seconds: Option<u32>,
    /// The queue for messages that were received too often.
    dead_letter: Option<Spanned<String>>,
    max_receives: Option<u32>,
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
        let visibility_seconds = table.visibility_seconds.unwrap_or(usual.visibility_seconds);
        let retention_seconds = table.retention_seconds.unwrap_or(usual.retention_seconds);
        let receives_max = table.max_receives.unwrap_or(RECEIVES_MAX);
        self.range(line, "visibility_seconds", visibility_seconds.into(), (0, 43_200));
        self.range(line, "retention_seconds", retention_seconds.into(), (60, 1_209_600));
        self.range(line, "max_receives", receives_max.into(), (1, 1_000));
        if table.max_receives.is_some() && table.dead_letter.is_none() {
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
