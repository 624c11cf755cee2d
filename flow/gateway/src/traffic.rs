//! What is counted of answered requests for charts and alarms, by subject: `api/NAME`, `api_stage/NAME/STAGE`,
//! `managed-api/SERVICE/NAME`.
//!
//! The metrics of a subject are looked up once and kept, because looking them up costs more than counting.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use millstream_insight::{Counter, Distribution, Insight};

/// Subjects whose metrics are kept; beyond them all are looked up anew, which lets go those of APIs that are gone.
const SUBJECTS_MAX: usize = 1_000;

/// The way to the metrics. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Traffic {
    insight: Insight,
    known: Arc<RwLock<HashMap<String, Arc<Meters>>>>,
}

/// The metrics of a subject.
struct Meters {
    requests: Counter,
    errors_4xx: Counter,
    errors_5xx: Counter,
    latency_ms: Distribution,
}

impl Traffic {
    pub(crate) fn new(insight: Insight) -> Self {
        Self { insight, known: Arc::default() }
    }

    /// Counts an answer to a subject that exists.
    pub(crate) fn answered(&self, subject: &str, status: u16, milliseconds: u64) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(subject).cloned();
        let meters = known.unwrap_or_else(|| self.look_up(subject));
        meters.requests.add(1);
        meters.errors_4xx.add(u64::from((400..500).contains(&status)));
        meters.errors_5xx.add(u64::from(status >= 500));
        meters.latency_ms.observe(milliseconds as f64);
    }

    fn look_up(&self, subject: &str) -> Arc<Meters> {
        let metrics = &self.insight.metrics;
        let meters = Arc::new(Meters {
            requests: metrics.counter("requests", subject),
            errors_4xx: metrics.counter("errors_4xx", subject),
            errors_5xx: metrics.counter("errors_5xx", subject),
            latency_ms: metrics.distribution("latency_ms", subject),
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SUBJECTS_MAX {
            known.clear();
        }
        known.insert(subject.to_owned(), Arc::clone(&meters));
        meters
    }
}
