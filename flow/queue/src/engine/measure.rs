//! What is measured of queues by the second.

use millstream_insight::Insight;
use millstream_types::Millis;

use super::Queues;
use crate::index::Counts;

impl Queues {
    /// Measures into `insight` from now on.
    pub fn measure(&self, insight: Insight) {
        // A second call changes nothing: a node has one insight.
        let _ = self.shared.insight.set(insight);
    }

    /// Notes how full queues are. The server calls it once a second.
    pub fn sample(&self) {
        let Some(insight) = self.shared.insight.get() else { return };
        let now = self.shared.clock.now();
        for definition in self.list() {
            let (counts, oldest) = match self.live().queue(&definition) {
                Ok(queue) => (queue.index.counts(now), queue.index.oldest()),
                Err(_) => continue,
            };
            let subject = subject(&definition.name);
            let age = oldest.map_or(0, |sent: Millis| now.saturating_sub(sent).max(0) / 1_000);
            let Counts { visible, in_flight, delayed } = counts;
            for (name, count) in [("visible", visible), ("in_flight", in_flight), ("delayed", delayed)] {
                insight.metrics.gauge(name, &subject).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
            insight.metrics.gauge("oldest_age_seconds", &subject).set(age);
        }
    }

    /// Counts messages of a queue: `sent`, `received`, `deleted`, `dead_lettered`, or receives that were `empty`.
    pub(super) fn count(&self, what: &str, queue: &str, count: usize) {
        if let Some(insight) = self.shared.insight.get().filter(|_| count > 0) {
            insight.metrics.counter(what, &subject(queue)).add(count as u64);
        }
    }
}

fn subject(queue: &str) -> String {
    format!("queue/{queue}")
}
