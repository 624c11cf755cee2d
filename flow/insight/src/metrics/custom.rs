//! What clients measure themselves, under names of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_types::Millis;

use super::minute::{Minute, Minutes};

/// Metrics of clients that are kept; more are refused, because a name with an id in it would fill the memory.
pub const CUSTOM_METRICS_MAX: usize = 10_000;

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

/// There are [`CUSTOM_METRICS_MAX`] already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {CUSTOM_METRICS_MAX} metrics of clients: there are as many already")]
pub struct TooManyMetrics;

/// Clients' metrics. Cheap to clone. In memory: they end with the node.
#[derive(Clone, Default)]
pub struct CustomMetrics(Arc<Mutex<BTreeMap<CustomMetric, Minutes>>>);

impl CustomMetrics {
    /// Adds values to a metric, which is made if new.
    ///
    /// # Errors
    /// [`TooManyMetrics`].
    pub fn add(&self, metric: &CustomMetric, values: &Minute) -> Result<(), TooManyMetrics> {
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(minutes) = metrics.get_mut(metric) {
            minutes.add(values);
            return Ok(());
        }
        if metrics.len() >= CUSTOM_METRICS_MAX {
            return Err(TooManyMetrics);
        }
        metrics.entry(metric.clone()).or_default().add(values);
        Ok(())
    }

    /// A metric by periods of `period` milliseconds, oldest first.
    #[must_use]
    pub fn periods(&self, metric: &CustomMetric, from: Millis, to: Millis, period: Millis) -> Vec<Minute> {
        let metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.get(metric).map(|minutes| minutes.periods(from, to, period)).unwrap_or_default()
    }

    /// All metrics with a value at `since` or later.
    #[must_use]
    pub fn list(&self, since: Millis) -> Vec<CustomMetric> {
        let metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let live = metrics.iter().filter(|(_, minutes)| minutes.last() >= Some(since));
        live.map(|(metric, _)| metric.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str) -> CustomMetric {
        CustomMetric { namespace: "shop".into(), name: name.into(), dimensions: vec![("till".into(), "1".into())] }
    }

    #[test]
    fn clients_metrics_are_kept_and_bounded() {
        let metrics = CustomMetrics::default();
        for count in 0..CUSTOM_METRICS_MAX {
            metrics.add(&metric(&count.to_string()), &Minute::of(0, 1.0)).unwrap();
        }
        assert_eq!(metrics.add(&metric("more"), &Minute::of(0, 1.0)), Err(TooManyMetrics));
        metrics.add(&metric("7"), &Minute::of(120_000, 5.0)).unwrap();
        assert_eq!(metrics.periods(&metric("7"), 0, 180_000, 60_000).len(), 2);
        assert_eq!(metrics.list(60_000), [metric("7")]);
    }
}
