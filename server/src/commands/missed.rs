//! What the records of ad-hoc SQL were that gave no row: told beside the rows, every few seconds and at the end.

use std::time::{Duration, Instant};

use serde_json::Value;

/// How often it is told while rows come.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What went wrong so far.
#[derive(Default)]
pub(super) struct Missed {
    /// The last notice that was not told yet.
    notice: Option<String>,
    told: Option<Instant>,
}

impl Missed {
    /// Takes the node's notice.
    pub(super) fn note(&mut self, notice: &Value) {
        self.notice = Some(text(notice));
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.tell();
        }
    }

    /// Tells what was not told yet.
    pub(super) fn tell(&mut self) {
        if let Some(notice) = self.notice.take() {
            eprintln!("{notice}");
            self.told = Some(Instant::now());
        }
    }
}

fn text(notice: &Value) -> String {
    let count = |kind: &str| notice.get(kind).and_then(Value::as_u64).unwrap_or_default();
    let kinds = [
        ("unreadable", "could not be read"),
        ("failed", "failed"),
        ("out_of_time", "came early, late or out of order"),
    ];
    let told = kinds.iter().map(|(kind, words)| (count(kind), words)).filter(|(count, _)| *count > 0);
    let told = told.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ");
    let last = notice.get("last").and_then(Value::as_str).filter(|last| !last.is_empty());
    let last = last.map(|last| format!("; the last one: {last}")).unwrap_or_default();
    format!("records: {told}{last}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn a_notice_tells_what_there_was() {
        let notice = json!({ "unreadable": 2, "failed": 0, "out_of_time": 1, "last": "late: at noon" });
        let expected = "records: 2 could not be read, 1 came early, late or out of order; the last one: late: at noon";
        assert_eq!(text(&notice), expected);
    }
}
