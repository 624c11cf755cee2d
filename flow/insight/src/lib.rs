//! What happened: the lines functions print, the rates of every stage, and each record's trail.
//!
//! Everything here is bounded and never makes the work it watches wait; who puts lines or values in waits until they are
//! durable.
//! Read next: [`logs`], [`log_groups`], [`metrics`], [`trail`].

mod error;
mod journal;
pub mod log_groups;
pub mod logs;
pub mod metrics;
pub mod trail;

use std::sync::Arc;

use millstream_storage::{Storage, StorageError};
use millstream_types::{BoxFuture, Clock};

pub use error::{LogError, MetricError};
pub use log_groups::{LogGroupSummary, LogGroups};
pub use logs::{LogEvent, LogStreamSummary, Logs};
use metrics::history::History;
pub use metrics::{Counter, CustomMetric, CustomValues, Distribution, Gauge, Metrics, Minute, Sample};
pub use trail::{Mark, Step, Trail};

/// The three views. Cheap to clone.
#[derive(Clone)]
pub struct Insight {
    /// What functions print.
    pub logs: Logs,
    /// Rates and levels.
    pub metrics: Metrics,
    /// What happened to records.
    pub trail: Trail,
    history: Arc<History>,
}

impl Insight {
    /// Opens the views over a store. Touches the disk: not for an async worker.
    ///
    /// # Errors
    /// [`StorageError`] when stored lines cannot be read.
    pub fn open(storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let metrics = Metrics::new(Arc::clone(&clock));
        Ok(Self {
            logs: Logs::open(storage, Arc::clone(&clock))?,
            history: Arc::new(History::open(storage.clone(), &metrics)?),
            metrics,
            trail: Trail::open(storage, clock)?,
        })
    }

    /// Keeps the log events and marks that were added since the last call, and once a minute the minutes of metrics. The
    /// server calls it once a second.
    ///
    /// # Errors
    /// [`StorageError`]: they wait for the next call.
    pub fn flush(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.flush_events().await?;
            self.history.keep(&self.metrics, false).await
        })
    }

    /// Takes values that clients measured, all of them or none; durable when this returns.
    ///
    /// # Errors
    /// [`MetricError::TooMany`]; [`MetricError::Storage`], after which they may count all the same.
    pub fn put_metrics<'a>(&'a self, values: &'a [CustomValues]) -> BoxFuture<'a, Result<(), MetricError>> {
        Box::pin(async move { self.history.put(&self.metrics, values).await })
    }

    /// Keeps all there is. The server calls it at its end.
    ///
    /// # Errors
    /// [`StorageError`]: what could not be kept is lost with the node.
    pub fn shutdown(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            self.flush_events().await?;
            // What was counted since the last second.
            self.metrics.sample();
            self.history.keep(&self.metrics, true).await
        })
    }

    async fn flush_events(&self) -> Result<(), StorageError> {
        self.logs.keep().await?;
        self.trail.keep().await
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::ManualClock;

    use super::*;

    fn open(storage: &Storage) -> Insight {
        Insight::open(storage, Arc::new(ManualClock::at(1_000))).unwrap()
    }

    fn messages(insight: &Insight, group: &str) -> Vec<String> {
        let events = insight.logs.events(group, None, (0, i64::MAX), 0, usize::MAX).unwrap_or_default();
        events.into_iter().map(|(_, event)| event.message).collect()
    }

    #[tokio::test]
    async fn lines_and_marks_outlive_the_node_and_ids_rise() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1_000)));
        let insight = open(&storage);
        insight.logs.append("g", "s", [(5, "one".to_owned()), (6, "two".to_owned())]);
        let step = Step::Read { query: "q".into(), log: 7, from: 0, to: 10 };
        insight.trail.mark(step.clone());
        insight.flush().await.unwrap();
        insight.logs.append("g", "s", [(7, "not flushed".to_owned())]);

        let again = open(&storage);
        assert_eq!(messages(&again, "g"), ["one", "two"]);
        assert_eq!(again.trail.of_record(millstream_types::LogId(7), 3)[0].step, step);
        let last = again.logs.events("g", None, (0, i64::MAX), 0, 10).unwrap()[1].1.id;
        again.logs.append("g", "s", [(8, "three".to_owned())]);
        assert_eq!(again.logs.events("g", Some("s"), (0, i64::MAX), last, 10).unwrap()[0].1.message, "three");
        assert_eq!(again.logs.streams("g").unwrap()[0].events, Some((5, 8)));
        assert!(again.logs.streams("none").is_none());
    }

    #[tokio::test]
    async fn a_burst_is_kept_in_several_flushes() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1_000)));
        let insight = open(&storage);
        let line = "x".repeat(100 << 10);
        insight.logs.append("g", "s", (0..80).map(|n| (n, line.clone())));
        insight.flush().await.unwrap();
        assert_eq!(messages(&open(&storage), "g").len(), 80);
        insight.logs.append("h", "s", (0..400).map(|n| (n, "y".repeat(200 << 10))));
        let held: usize = messages(&insight, "h").iter().map(String::len).sum();
        assert!(held <= 8 << 20, "{held} bytes are held");
    }

    #[tokio::test]
    async fn only_the_last_events_of_a_group_are_held() {
        let insight = open(&Storage::in_memory(Arc::new(ManualClock::at(1_000))));
        let lines = (0..logs::EVENTS_PER_GROUP_MAX as i64 + 5).map(|n| (n, n.to_string()));
        insight.logs.append("g", "s", lines);
        let held = messages(&insight, "g");
        assert_eq!((held.len(), held[0].as_str()), (logs::EVENTS_PER_GROUP_MAX, "5"));
        insight.logs.append("h", "s", [(0, "\u{e4}".repeat(300 << 10))]);
        assert!(messages(&insight, "h")[0].len() <= 256 << 10);
    }

    #[tokio::test]
    async fn what_was_counted_last_outlives_the_node() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1_000)));
        let insight = open(&storage);
        insight.metrics.counter("records_in", "stream/s").add(3);
        insight.metrics.distribution("ms", "function/f").observe(5.0);
        insight.shutdown().await.unwrap();
        let again = open(&storage);
        for (name, subject, sum) in [("records_in", "stream/s", 3.0), ("ms", "function/f", 5.0)] {
            let minutes = again.metrics.periods(name, subject, (0, 60_000), 60_000);
            assert_eq!(minutes.iter().map(|minute| minute.sum).collect::<Vec<_>>(), [sum], "{name}");
        }
    }

    #[test]
    fn the_group_used_longest_ago_is_let_go_when_all_are_too_large() {
        let insight = open(&Storage::in_memory(Arc::new(ManualClock::at(1_000))));
        // Each group holds at most 8 MiB, all together at most 64 MiB.
        let fill = |group: &str| insight.logs.append(group, "s", (0..32).map(|n| (n, "x".repeat(256 << 10))));
        ["h", "g", "f", "e", "d", "c", "b", "a"].into_iter().for_each(fill);
        assert_eq!(insight.logs.groups().len(), 8);
        assert_eq!(messages(&insight, "h").len(), 31);
        fill("z");
        let groups = insight.logs.groups();
        assert!(groups.contains(&"h".to_owned()) && !groups.contains(&"g".to_owned()), "{groups:?}");
    }

    #[test]
    fn the_last_marks_are_found_while_others_are_made() {
        let insight = open(&Storage::in_memory(Arc::new(ManualClock::at(1_000))));
        let mark = |log| Step::Read { query: "q".into(), log, from: 0, to: 1 };
        let total = trail::MARKS_MAX as u64 + 2_000;
        for log in 0..total {
            insight.trail.mark(mark(log));
        }
        // The search makes marks of its own: it does not hold what makers of marks wait for.
        let found = insight.trail.find(|step| {
            if matches!(step, Step::Read { log, .. } if *log == total - 1) {
                insight.trail.mark(mark(u64::MAX));
            }
            true
        });
        assert!((trail::MARKS_MAX..=trail::MARKS_MAX + 1_000).contains(&found.len()), "{}", found.len());
        assert_eq!(found[found.len() - 1].step, mark(total - 1));
        assert_eq!(insight.trail.find(|step| *step == mark(u64::MAX)).len(), 1);
    }
}
