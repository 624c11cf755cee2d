//! What clients measure themselves, under names and in units of their own.
//!
//! Values are kept by the minute for as long as there is room, at most [`KEPT`]; a metric without any goes. Those that are
//! asked for in high resolution are kept by the second too, for a short time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_types::Millis;

use super::minute::{MINUTE, Minute, Minutes, SECOND};

/// Metrics of clients that are kept, each unit counted; more are refused, because a name with an id in it would fill the
/// memory.
pub const CUSTOM_METRICS_MAX: usize = 10_000;

/// Metrics of clients that are kept by the second too: about 50 MB of memory.
pub const HIGH_RESOLUTION_MAX: usize = 100;

/// How long minutes are kept: the service family's own 15 days.
pub const KEPT: Millis = 15 * 24 * 60 * MINUTE;

/// The most minutes of one metric.
const MINUTES_MAX: usize = (KEPT / MINUTE) as usize;

/// The most seconds of one metric: three hours, the service family's own.
const SECONDS_MAX: usize = 3 * 3_600;

/// Minutes of all metrics together: about 80 MB of memory. Beyond, minutes are kept for a shorter time: a quarter of them at
/// least goes at once, so that it does not happen with each value.
const POINTS_MAX: usize = 2_000_000;

/// What a client's metric is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomMetric {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Names and values, sorted by name.
    pub dimensions: Vec<(String, String)>,
}

/// Values of a client's metric.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomValues {
    /// Of which metric.
    pub metric: CustomMetric,
    /// What they are measured in: values in different units are not mixed.
    pub unit: String,
    /// Whether they are kept by the second too.
    pub high_resolution: bool,
    /// The values; each one's `start` is its time.
    pub values: Vec<Minute>,
}

/// There are as many metrics as are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {limit} {what} of clients: there are as many already, each is let go when it has no values")]
pub struct TooManyMetrics {
    /// How many are kept.
    pub limit: usize,
    /// Which kind.
    pub what: &'static str,
}

/// Clients' metrics. Cheap to clone.
#[derive(Clone)]
pub struct CustomMetrics(Arc<Mutex<All>>);

impl Default for CustomMetrics {
    fn default() -> Self {
        Self::with_room(POINTS_MAX)
    }
}

/// What is kept of each metric, by unit.
type ByMetric = BTreeMap<CustomMetric, BTreeMap<String, Kept>>;

struct All {
    metrics: ByMetric,
    /// Minutes of all metrics, and how many there may be.
    points: usize,
    points_max: usize,
}

#[derive(Default)]
struct Kept {
    minutes: Minutes,
    seconds: Option<Minutes>,
}

impl CustomMetrics {
    fn with_room(points_max: usize) -> Self {
        Self(Arc::new(Mutex::new(All { metrics: ByMetric::new(), points: 0, points_max })))
    }

    /// Adds values to metrics, which are made if new: all of them, or none. Gives the minutes that changed, as they are now.
    ///
    /// # Errors
    /// [`TooManyMetrics`].
    pub(super) fn add(
        &self,
        values: &[CustomValues],
    ) -> Result<BTreeMap<(CustomMetric, String, Millis), Minute>, TooManyMetrics> {
        let mut held = self.all();
        let all = &mut *held;
        check(&all.metrics, values)?;
        let mut changed = BTreeMap::new();
        for CustomValues { metric, unit, high_resolution, values } in values {
            let kept = all.metrics.entry(metric.clone()).or_default().entry(unit.clone()).or_default();
            let before = kept.minutes.len();
            kept.add(values, *high_resolution);
            for start in values.iter().map(|value| value.in_period(MINUTE).start) {
                let minute = kept.minutes.of(start).copied();
                changed.extend(minute.map(|minute| ((metric.clone(), unit.clone(), start), minute)));
            }
            all.points = all.points + kept.minutes.len() - before;
            all.make_room();
        }
        Ok(changed)
    }

    /// A metric by periods of `period` milliseconds, with the unit of each, oldest first; of all units, or of one.
    /// Periods below a minute are of values in high resolution alone.
    #[must_use]
    pub fn periods(
        &self,
        metric: &CustomMetric,
        unit: Option<&str>,
        (from, to): (Millis, Millis),
        period: Millis,
    ) -> Vec<(String, Minute)> {
        let all = self.all();
        let of_units = all.metrics.get(metric).into_iter().flatten();
        let mut periods = Vec::new();
        for (name, kept) in of_units.filter(|(name, _)| unit.is_none_or(|unit| unit == *name)) {
            let source = if period < MINUTE { kept.seconds.as_ref() } else { Some(&kept.minutes) };
            let found = source.map(|source| source.periods(from, to, period)).unwrap_or_default();
            periods.extend(found.into_iter().map(|minute| (name.clone(), minute)));
        }
        periods.sort_by(|(unit, minute), (other_unit, other)| (minute.start, unit).cmp(&(other.start, other_unit)));
        periods
    }

    /// All metrics with a value at `since` or later.
    #[must_use]
    pub fn list(&self, since: Millis) -> Vec<CustomMetric> {
        let all = self.all();
        let live =
            all.metrics.iter().filter(|(_, units)| units.values().any(|kept| kept.minutes.last() >= Some(since)));
        live.map(|(metric, _)| metric.clone()).collect()
    }

    /// Lets go what is old, and metrics without values.
    pub(super) fn sweep(&self, now: Millis) {
        let mut all = self.all();
        for of_unit in all.metrics.values_mut().flat_map(BTreeMap::values_mut) {
            if let Some(seconds) = &mut of_unit.seconds {
                seconds.forget_before(now - SECONDS_MAX as Millis * SECOND);
            }
            of_unit.seconds.take_if(|seconds| seconds.last().is_none());
        }
        all.forget_before(now - KEPT);
    }

    /// Minutes that have changed since the last call.
    pub(super) fn take_changed(&self) -> Vec<(CustomMetric, String, Minute)> {
        let mut changed = Vec::new();
        for (metric, units) in &mut self.all().metrics {
            for (unit, kept) in units {
                let minutes = kept.minutes.take_changed().into_iter();
                changed.extend(minutes.map(|minute| (metric.clone(), unit.clone(), minute)));
            }
        }
        changed
    }

    /// Puts a minute, as it is kept, in the place of what is known of it.
    pub(super) fn restore(&self, metric: CustomMetric, unit: String, minute: &Minute) {
        let mut held = self.all();
        let all = &mut *held;
        let kept = all.metrics.entry(metric).or_default().entry(unit).or_default();
        let before = kept.minutes.len();
        kept.minutes.restore(minute, MINUTES_MAX, false);
        all.points = all.points + kept.minutes.len() - before;
        all.make_room();
    }

    /// Notes that a minute is not kept as it is.
    pub(super) fn mark_changed(&self, metric: &CustomMetric, unit: &str, start: Millis) {
        let mut all = self.all();
        if let Some(kept) = all.metrics.get_mut(metric).and_then(|units| units.get_mut(unit)) {
            kept.minutes.mark_changed(start);
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, values: &[Minute], high_resolution: bool) {
        if high_resolution {
            self.seconds.get_or_insert_default();
        }
        for value in values {
            self.minutes.add(&value.in_period(MINUTE), MINUTES_MAX);
            if let Some(seconds) = self.seconds.as_mut().filter(|_| high_resolution) {
                seconds.add(&value.in_period(SECOND), SECONDS_MAX);
            }
        }
    }
}

impl All {
    fn of_units(&self) -> impl Iterator<Item = &Kept> {
        self.metrics.values().flat_map(BTreeMap::values)
    }

    /// Lets the oldest minutes go if there are more than there may be.
    fn make_room(&mut self) {
        if self.points <= self.points_max {
            return;
        }
        let newest = self.of_units().filter_map(|kept| kept.minutes.last()).max().unwrap_or_default();
        let points = |since| self.of_units().map(|kept| kept.minutes.count_since(since)).sum::<usize>();
        let mut span = KEPT;
        while span > MINUTE && points(newest - span) > self.points_max / 4 * 3 {
            span /= 2;
        }
        self.forget_before(newest - span);
    }

    /// Lets minutes go that are older, and metrics without any.
    fn forget_before(&mut self, time: Millis) {
        for units in self.metrics.values_mut() {
            units.values_mut().for_each(|kept| kept.minutes.forget_before(time));
            units.retain(|_, kept| kept.minutes.last().is_some());
        }
        self.metrics.retain(|_, units| !units.is_empty());
        self.points = self.of_units().map(|kept| kept.minutes.len()).sum();
    }
}

/// Whether there is room for the metrics among `all` that are new.
fn check(metrics: &ByMetric, all: &[CustomValues]) -> Result<(), TooManyMetrics> {
    let known = |values: &CustomValues| metrics.get(&values.metric).and_then(|units| units.get(&values.unit));
    let name = |values: &'_ CustomValues| (values.metric.clone(), values.unit.clone());
    let new: BTreeSet<_> = all.iter().filter(|values| known(values).is_none()).map(name).collect();
    let count = || metrics.values().map(BTreeMap::len).sum::<usize>();
    if !new.is_empty() && count() + new.len() > CUSTOM_METRICS_MAX {
        return Err(TooManyMetrics { limit: CUSTOM_METRICS_MAX, what: "metrics" });
    }
    let fine = all.iter().filter(|values| values.high_resolution);
    let new: BTreeSet<_> =
        fine.filter(|values| known(values).is_none_or(|kept| kept.seconds.is_none())).map(name).collect();
    let count = || metrics.values().flatten().filter(|(_, kept)| kept.seconds.is_some()).count();
    if !new.is_empty() && count() + new.len() > HIGH_RESOLUTION_MAX {
        return Err(TooManyMetrics { limit: HIGH_RESOLUTION_MAX, what: "metrics in high resolution" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str) -> CustomMetric {
        CustomMetric { namespace: "shop".into(), name: name.into(), dimensions: vec![("till".into(), "1".into())] }
    }

    fn values(name: &str, unit: &str, times: &[Millis]) -> CustomValues {
        let values = times.iter().map(|time| Minute { start: *time, ..Minute::of(0, 1.0) }).collect();
        CustomValues { metric: metric(name), unit: unit.into(), high_resolution: false, values }
    }

    #[test]
    fn clients_metrics_are_bounded_and_taken_as_a_whole() {
        let metrics = CustomMetrics::default();
        let all: Vec<_> = (0..CUSTOM_METRICS_MAX - 1).map(|count| values(&count.to_string(), "None", &[0])).collect();
        metrics.add(&all).unwrap();
        let refused = metrics.add(&[values("7", "None", &[0]), values("a", "None", &[0]), values("b", "None", &[0])]);
        assert!(refused.is_err());
        assert_eq!(metrics.periods(&metric("7"), None, (0, 1), MINUTE)[0].1.count, 1.0, "nothing of it was taken");
        metrics.add(&[values("7", "None", &[120_000]), values("a", "None", &[0]), values("a", "None", &[0])]).unwrap();
        assert!(metrics.add(&[values("a", "Seconds", &[0])]).is_err(), "a unit counts");
        assert_eq!(metrics.list(60_000), [metric("7")]);
        metrics.sweep(KEPT + MINUTE);
        assert_eq!(metrics.list(0), [metric("7")], "old ones are let go");
        metrics.add(&[values("a", "Seconds", &[KEPT])]).unwrap();
    }

    #[test]
    fn the_oldest_minutes_go_as_soon_as_there_are_too_many() {
        let metrics = CustomMetrics::with_room(100);
        let mut told = 0;
        for minute in 0..1_000 {
            let name = format!("m{}", minute % 3);
            told += metrics.add(&[values(&name, "None", &[minute * MINUTE, minute * MINUTE + 1])]).unwrap().len();
            let points = metrics.all().points;
            assert!(points <= 100, "{points} at {minute}");
        }
        assert_eq!(told, 1_000, "each minute that changed once");
        let last = metrics.periods(&metric("m0"), None, (0, Millis::MAX), MINUTE);
        assert_eq!(last.last().map(|(_, minute)| (minute.start, minute.count)), Some((999 * MINUTE, 2.0)));
        let all = metrics.all();
        assert_eq!(all.points, all.of_units().map(|kept| kept.minutes.len()).sum::<usize>());
    }

    #[test]
    fn units_are_not_mixed() {
        let metrics = CustomMetrics::default();
        metrics.add(&[values("m", "Seconds", &[5, 7, 61_000]), values("m", "Bytes", &[8])]).unwrap();
        let told = |unit| -> Vec<(String, f64)> {
            let periods = metrics.periods(&metric("m"), unit, (0, 120_000), MINUTE);
            periods.into_iter().map(|(unit, minute)| (unit, minute.count)).collect()
        };
        assert_eq!(told(None), [("Bytes".into(), 1.0), ("Seconds".into(), 2.0), ("Seconds".into(), 1.0)]);
        assert_eq!(told(Some("Bytes")), [("Bytes".into(), 1.0)]);
        assert_eq!(told(Some("Count")), []);
    }

    #[test]
    fn high_resolution_is_kept_by_the_second() {
        let metrics = CustomMetrics::default();
        let fine = |name: &str, times: &[Millis]| CustomValues { high_resolution: true, ..values(name, "None", times) };
        metrics.add(&[fine("m", &[1_000, 1_999, 12_000]), values("n", "None", &[1_000])]).unwrap();
        let starts = |name, period| -> Vec<Millis> {
            let periods = metrics.periods(&metric(name), None, (0, MINUTE), period);
            periods.iter().map(|(_, minute)| minute.start).collect()
        };
        assert_eq!((starts("m", SECOND), starts("m", 10_000)), (vec![1_000, 12_000], vec![0, 10_000]));
        assert_eq!((starts("m", MINUTE), starts("n", MINUTE), starts("n", SECOND)), (vec![0], vec![0], vec![]));
        let many: Vec<_> = (0..HIGH_RESOLUTION_MAX).map(|count| fine(&count.to_string(), &[0])).collect();
        assert!(metrics.add(&many).is_err());
        metrics.sweep(4 * 3_600 * SECOND);
        assert!(metrics.add(&many).is_ok(), "seconds go after three hours, minutes stay");
        assert_eq!((starts("m", SECOND), starts("m", MINUTE)), (vec![], vec![0]));
    }
}
