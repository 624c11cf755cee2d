//! Counters and gauges by name and subject, sampled once a second for charts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_types::{Clock, Millis};

/// A number that only rises. Cheap to clone; keep it, do not look it up on a hot path.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Its value since the node started.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One second of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub time: Millis,
    /// Counters: growth in that second. Gauges: the level.
    pub value: f64,
}

/// Seconds that are kept of each metric: ten minutes of live charts.
pub const SAMPLES_MAX: usize = 600;

/// All metrics. Cheap to clone. A metric is found by `(name, subject)`: `("records_in", "stream/trades")`.
#[derive(Clone)]
pub struct Metrics {
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Series>>,
}

#[derive(Default)]
struct Series {
    counters: BTreeMap<(String, String), (Counter, u64, VecDeque<Sample>)>,
    gauges: BTreeMap<(String, String), (Gauge, VecDeque<Sample>)>,
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, shared: Arc::default() }
    }

    /// The counter of that name and subject, made if new.
    #[must_use]
    pub fn counter(&self, name: &str, subject: &str) -> Counter {
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        series.counters.entry((name.to_owned(), subject.to_owned())).or_default().0.clone()
    }

    /// The gauge of that name and subject, made if new.
    #[must_use]
    pub fn gauge(&self, name: &str, subject: &str) -> Gauge {
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        series.gauges.entry((name.to_owned(), subject.to_owned())).or_default().0.clone()
    }

    /// Takes a sample of every metric. The server calls it once a second.
    pub fn sample(&self) {
        let time = self.clock.now();
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, last, samples) in series.counters.values_mut() {
            let value = counter.value();
            keep(samples, Sample { time, value: (value - *last) as f64 });
            *last = value;
        }
        for (gauge, samples) in series.gauges.values_mut() {
            keep(samples, Sample { time, value: gauge.value() as f64 });
        }
    }

    /// The samples of a metric, oldest first; empty when there is no such metric.
    #[must_use]
    pub fn series(&self, name: &str, subject: &str) -> Vec<Sample> {
        let key = (name.to_owned(), subject.to_owned());
        let series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match (series.counters.get(&key), series.gauges.get(&key)) {
            (Some((_, _, samples)), _) | (None, Some((_, samples))) => samples.iter().copied().collect(),
            (None, None) => Vec::new(),
        }
    }
}

fn keep(samples: &mut VecDeque<Sample>, sample: Sample) {
    if samples.len() == SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(sample);
}
