//! The figures of a run: throughput, latency percentiles, and what the process that served used.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A minute, in microseconds.
const MICROS_MAX: u64 = 60_000_000;

/// Latencies in microseconds, up to a minute, to three digits.
///
/// # Panics
/// Never: the bounds are constants that the histogram accepts.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("1 µs to 60 s at three digits are bounds that it takes")
}

/// A time as a histogram takes it: microseconds, within its bounds.
#[must_use]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).clamp(1, MICROS_MAX)
}

/// CPU time and memory of a process, or of several together, from `/proc`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// The largest resident size so far, KiB.
    pub peak_kib: u64,
    /// Resident size now, KiB.
    pub resident_kib: u64,
}

impl Usage {
    /// Of a process, or zeros when there is none.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        // Fields 14 and 15 of /proc/PID/stat count in ticks of 1/100 s on Linux; the name before them may hold spaces.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Self {
            cpu: Duration::from_millis(ticks * 10),
            peak_kib: kib("VmHWM:").unwrap_or_default(),
            resident_kib: kib("VmRSS:").unwrap_or_default(),
        }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            peak_kib: self.peak_kib + other.peak_kib,
            resident_kib: self.resident_kib + other.resident_kib,
        }
    }
}

/// The processes that a process has started and that run still.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Prints one line of a run; `used` is what the process that did the work had used before and after.
pub fn print(
    name: &str,
    records: u64,
    bytes: u64,
    took: Duration,
    latencies: &Histogram<u64>,
    used: Option<(Usage, Usage)>,
) {
    let seconds = took.as_secs_f64();
    let milliseconds = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    print!(
        "{name:<44} {:>11.0} /s {:>8.1} MB/s   p50 {:>8.3} ms  p99 {:>8.3} ms  p999 {:>8.3} ms",
        records as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        milliseconds(0.50),
        milliseconds(0.99),
        milliseconds(0.999),
    );
    if let Some((before, after)) = used {
        let cpu = (after.cpu - before.cpu).as_secs_f64();
        print!("   CPU {:.3} µs each, peak {} MiB", cpu * 1e6 / records.max(1) as f64, after.peak_kib / 1024);
    }
    println!();
}
