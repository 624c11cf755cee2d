//! What the console reads from the metrics: rates, levels and sums of a resource.

use millstream_insight::{Metrics, Sample};

/// Seconds over which a rate is averaged: calm enough to read, quick enough to be live.
const RATE_SECONDS: usize = 5;

/// One resource's metrics.
#[derive(Clone)]
pub struct Measures {
    metrics: Metrics,
    subject: String,
}

impl Measures {
    /// The metrics of a subject such as `stream/trades`.
    pub fn of(metrics: &Metrics, subject: String) -> Self {
        Self { metrics: metrics.clone(), subject }
    }

    /// The seconds of a metric, oldest first.
    pub fn series(&self, name: &str) -> Vec<Sample> {
        self.metrics.series(name, &self.subject)
    }

    /// A counter's growth a second, over the last seconds.
    pub fn rate(&self, name: &str) -> f64 {
        mean_of_last(&self.series(name))
    }

    /// A gauge's level; `None` when nobody set it.
    pub fn level(&self, name: &str) -> Option<f64> {
        self.series(name).last().map(|sample| sample.value)
    }

    /// A counter's growth over the seconds that are kept (ten minutes).
    pub fn recent(&self, name: &str) -> u64 {
        self.series(name).iter().map(|sample| sample.value).sum::<f64>() as u64
    }
}

/// The average run time by the second, milliseconds: a function's summed run times by its invocations.
pub fn run_times(function: &Measures) -> Vec<Sample> {
    let (sums, counts) = (function.series("duration_ms"), function.series("invocations"));
    let skip = sums.len().abs_diff(counts.len());
    let (sums, counts) = match sums.len() > counts.len() {
        true => (&sums[skip..], &counts[..]),
        false => (&sums[..], &counts[skip..]),
    };
    let average = |(sum, count): (&Sample, &Sample)| Sample { time: sum.time, value: sum.value / count.value.max(1.0) };
    sums.iter().zip(counts).map(average).collect()
}

/// The average run time over the last seconds, milliseconds; `None` when nothing ran then.
pub fn run_time(function: &Measures) -> Option<f64> {
    let (sum, count) = (function.rate("duration_ms"), function.rate("invocations"));
    (count > 0.0).then(|| sum / count)
}

/// The average of the newest seconds.
pub fn mean_of_last(samples: &[Sample]) -> f64 {
    let last = &samples[samples.len().saturating_sub(RATE_SECONDS)..];
    if last.is_empty() { 0.0 } else { last.iter().map(|sample| sample.value).sum::<f64>() / last.len() as f64 }
}
