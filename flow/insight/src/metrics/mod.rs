//! Counters and gauges by name and subject, sampled once a second for charts and kept by the minute for whoever asks later;
//! and what clients measure themselves.
//!
//! Read next: [`custom`] (clients' own), `minute` (what is left of a metric), `history` (how minutes outlive the node).

mod custom;
pub(crate) mod history;
mod minute;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_types::{Clock, Millis};

pub use self::custom::{
    CUSTOM_METRICS_MAX, CustomMetric, CustomMetrics, CustomValues, HIGH_RESOLUTION_MAX, KEPT, TooManyMetrics,
};
use self::history::{Point, Subject};
pub use self::minute::Minute;
use self::minute::{MINUTE, Minutes};

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

/// Values whose spread matters, such as how long something took. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Distribution(Arc<Mutex<Option<Minute>>>);

impl Distribution {
    /// Notes a value.
    pub fn observe(&self, value: f64) {
        let one = Minute::of(0, value);
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match noted.as_mut() {
            Some(values) => values.merge(&one),
            None => *noted = Some(one),
        }
    }

    /// Whether something was noted since it was last taken.
    fn is_noted(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What was noted since the last call.
    fn take(&self) -> Option<Minute> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One second of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When it was taken.
    pub time: Millis,
    /// Counters: growth in that second. Gauges: the level. Distributions: the sum of that second's values.
    pub value: f64,
}

/// Seconds that are kept of each metric: ten minutes of live charts.
pub const SAMPLES_MAX: usize = 600;

/// Minutes that are kept of each metric of the node: a day.
pub const MINUTES_MAX: usize = 24 * 60;

/// All metrics. Cheap to clone. A metric is found by `(name, subject)`: `("records_in", "stream/trades")`.
#[derive(Clone)]
pub struct Metrics {
    /// What clients measure.
    pub custom: CustomMetrics,
    clock: Arc<dyn Clock>,
    shared: Arc<Mutex<Series>>,
}

#[derive(Default)]
struct Series {
    counters: BTreeMap<(String, String), (Counter, u64, Kept)>,
    /// Without a gauge: what is kept of one that nobody has asked for since the node started.
    gauges: BTreeMap<(String, String), (Option<Gauge>, Kept)>,
    distributions: BTreeMap<(String, String), (Distribution, Kept)>,
}

impl Series {
    /// What is kept of a metric.
    fn kept(&self, name: &str, subject: &str) -> Option<&Kept> {
        let key = (name.to_owned(), subject.to_owned());
        let counter = self.counters.get(&key).map(|(_, _, kept)| kept);
        let gauge = || self.gauges.get(&key).map(|(_, kept)| kept);
        counter.or_else(gauge).or_else(|| self.distributions.get(&key).map(|(_, kept)| kept))
    }

    /// All metrics with what is kept of them.
    fn all(&self) -> impl Iterator<Item = (&(String, String), &Kept)> {
        let counters = self.counters.iter().map(|(key, (_, _, kept))| (key, kept));
        let gauges = self.gauges.iter().map(|(key, (_, kept))| (key, kept));
        counters.chain(gauges).chain(self.distributions.iter().map(|(key, (_, kept))| (key, kept)))
    }
}

/// What is kept of a metric.
#[derive(Default)]
struct Kept {
    seconds: VecDeque<Sample>,
    minutes: Minutes,
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { custom: CustomMetrics::default(), clock, shared: Arc::default() }
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
        let (gauge, _) = series.gauges.entry((name.to_owned(), subject.to_owned())).or_default();
        gauge.get_or_insert_default().clone()
    }

    /// The distribution of that name and subject, made if new.
    #[must_use]
    pub fn distribution(&self, name: &str, subject: &str) -> Distribution {
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        series.distributions.entry((name.to_owned(), subject.to_owned())).or_default().0.clone()
    }

    /// Takes a sample of every metric. The server calls it once a second.
    pub fn sample(&self) {
        let time = self.clock.now();
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, last, kept) in series.counters.values_mut() {
            let value = counter.value();
            let grown = (value - *last) as f64;
            *last = value;
            kept.second(Sample { time, value: grown });
            if grown > 0.0 {
                kept.minutes.add(&Minute::of(time, grown), MINUTES_MAX);
            }
        }
        for (gauge, kept) in series.gauges.values_mut() {
            let Some(gauge) = gauge else { continue };
            let value = gauge.value() as f64;
            kept.second(Sample { time, value });
            kept.minutes.add(&Minute::of(time, value), MINUTES_MAX);
        }
        for (distribution, kept) in series.distributions.values_mut() {
            let values = distribution.take();
            kept.second(Sample { time, value: values.map_or(0.0, |values| values.sum) });
            if let Some(values) = values {
                kept.minutes.add(&Minute { start: time, ..values }.in_period(MINUTE), MINUTES_MAX);
            }
        }
    }

    /// Lets go minutes that are older than they are kept, and metrics that nobody counts any more and that have none left,
    /// not even what the next sample will find.
    fn sweep(&self) {
        let oldest = self.clock.now() - MINUTES_MAX as Millis * MINUTE;
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let lives = |needed: bool, kept: &mut Kept| {
            kept.minutes.forget_before(oldest);
            needed || kept.minutes.last().is_some()
        };
        series.counters.retain(|_, (counter, last, kept)| {
            lives(Arc::strong_count(&counter.0) > 1 || counter.value() != *last, kept)
        });
        series.gauges.retain(|_, (gauge, kept)| lives(gauge.is_some(), kept));
        series
            .distributions
            .retain(|_, (values, kept)| lives(Arc::strong_count(&values.0) > 1 || values.is_noted(), kept));
        drop(series);
        self.custom.sweep(self.clock.now());
    }

    /// Minutes that have changed since the last call.
    fn take_changed(&self) -> Vec<Point> {
        let custom = self.custom.take_changed().into_iter();
        let custom = custom.map(|(metric, unit, minute)| Point { subject: Subject::Custom(metric, unit), minute });
        let mut changed: Vec<Point> = custom.collect();
        let mut add = |subject: &dyn Fn() -> Subject, kept: &mut Kept| {
            changed.extend(kept.minutes.take_changed().into_iter().map(|minute| Point { subject: subject(), minute }));
        };
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for ((name, of), (_, _, kept)) in &mut series.counters {
            add(&|| Subject::Counter(name.clone(), of.clone()), kept);
        }
        for ((name, of), (_, kept)) in &mut series.gauges {
            add(&|| Subject::Gauge(name.clone(), of.clone()), kept);
        }
        for ((name, of), (_, kept)) in &mut series.distributions {
            add(&|| Subject::Distribution(name.clone(), of.clone()), kept);
        }
        changed
    }

    /// Puts minutes, as they are kept, in the places of what is known of them.
    fn restore(&self, points: Vec<Point>) {
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for Point { subject, minute } in points {
            let kept = match subject {
                Subject::Counter(name, of) => &mut series.counters.entry((name, of)).or_default().2,
                Subject::Gauge(name, of) => &mut series.gauges.entry((name, of)).or_default().1,
                Subject::Distribution(name, of) => &mut series.distributions.entry((name, of)).or_default().1,
                Subject::Custom(metric, unit) => {
                    self.custom.restore(metric, unit, &minute);
                    continue;
                }
            };
            kept.minutes.restore(&minute, MINUTES_MAX, false);
        }
    }

    /// Notes that minutes which were taken could not be kept; what has come to them since stays.
    fn mark_changed(&self, points: &[Point]) {
        let mut series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for Point { subject, minute } in points {
            let kept = match subject {
                Subject::Counter(name, of) => {
                    series.counters.get_mut(&(name.clone(), of.clone())).map(|(_, _, kept)| kept)
                }
                Subject::Gauge(name, of) => series.gauges.get_mut(&(name.clone(), of.clone())).map(|(_, kept)| kept),
                Subject::Distribution(name, of) => {
                    series.distributions.get_mut(&(name.clone(), of.clone())).map(|(_, kept)| kept)
                }
                Subject::Custom(metric, unit) => {
                    self.custom.mark_changed(metric, unit, minute.start);
                    None
                }
            };
            if let Some(kept) = kept {
                kept.minutes.mark_changed(minute.start);
            }
        }
    }

    /// The samples of a metric, oldest first; empty when there is no such metric.
    #[must_use]
    pub fn series(&self, name: &str, subject: &str) -> Vec<Sample> {
        let series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        series.kept(name, subject).map(|kept| kept.seconds.iter().copied().collect()).unwrap_or_default()
    }

    /// A metric by periods of `period` milliseconds, whole minutes, oldest first. The values are a
    /// counter's growth in a second in which it grew, a gauge's level by the second, and a distribution's own.
    #[must_use]
    pub fn periods(&self, name: &str, subject: &str, (from, to): (Millis, Millis), period: Millis) -> Vec<Minute> {
        let series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        series.kept(name, subject).map(|kept| kept.minutes.periods(from, to, period)).unwrap_or_default()
    }

    /// The subjects of a metric that had a value at `since` or later.
    #[must_use]
    pub fn subjects(&self, name: &str, since: Millis) -> Vec<String> {
        let series = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let live = series.all().filter(|(key, kept)| key.0 == name && kept.minutes.last() >= Some(since));
        live.map(|(key, _)| key.1.clone()).collect()
    }
}

impl Kept {
    fn second(&mut self, sample: Sample) {
        if self.seconds.len() == SAMPLES_MAX {
            self.seconds.pop_front();
        }
        self.seconds.push_back(sample);
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::ManualClock;

    use super::*;

    #[test]
    fn what_nobody_counts_any_more_goes_once_its_last_count_was_sampled_and_is_old() {
        let clock = Arc::new(ManualClock::at(0));
        let metrics = Metrics::new(clock.clone());
        metrics.counter("dropped", "function/f").add(2);
        metrics.distribution("ms", "function/f").observe(4.0);
        metrics.sweep();
        metrics.sample();
        let last = |name| metrics.series(name, "function/f").last().map(|sample| sample.value);
        assert_eq!((last("dropped"), last("ms")), (Some(2.0), Some(4.0)));
        clock.advance((MINUTES_MAX as Millis + 1) * MINUTE);
        metrics.sweep();
        assert_eq!((last("dropped"), last("ms")), (None, None));
    }
}
