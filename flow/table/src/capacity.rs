//! Capacity units: what reads and writes count for, and the budget that a provisioned table has of them.
//!
//! Pure: who is refused and what is charged when is `engine/throttle.rs`.

use millstream_types::Millis;

/// Bytes of an item that one unit writes.
const WRITE_UNIT_BYTES: usize = 1024;
/// Bytes that one unit reads.
const READ_UNIT_BYTES: usize = 4096;
/// Seconds of unused capacity that a budget keeps: the service family's own five minutes.
const BURST_SECONDS: f64 = 300.0;
/// Seconds of capacity that a new budget starts with.
const FIRST_SECONDS: f64 = 1.0;

/// Units of writing an item of `bytes`: one for each started kilobyte.
#[must_use]
pub fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as f64
}

/// Units of reading `bytes`: one for each started four kilobytes, half of it when the read need not be consistent.
#[must_use]
pub fn read_units(bytes: usize, consistent: bool) -> f64 {
    let units = bytes.div_ceil(READ_UNIT_BYTES).max(1) as f64;
    if consistent { units } else { units / 2.0 }
}

/// Units per second, with what was left unused in the last five minutes. It may be overdrawn by the one request whose
/// size is known only when it is done; nothing more is let through until that is paid back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    per_second: f64,
    left: f64,
    at: Millis,
}

impl Budget {
    /// A budget that nothing was taken from since `since`.
    pub(crate) fn new(per_second: u64, since: Millis, now: Millis) -> Self {
        let per_second = per_second as f64;
        let unused = (seconds(now - since)).clamp(FIRST_SECONDS, BURST_SECONDS);
        Self { per_second, left: per_second * unused, at: now }
    }

    /// Takes units if there are any left; `false`: the request is to be refused.
    pub(crate) fn take(&mut self, units: f64, now: Millis) -> bool {
        self.refill(now);
        let allowed = self.left > 0.0;
        if allowed {
            self.left -= units;
        }
        allowed
    }

    /// Corrects what was taken when more is known; gives units back when negative.
    pub(crate) fn correct(&mut self, units: f64) {
        self.left = (self.left - units).min(self.per_second * BURST_SECONDS);
    }

    /// Another rate from now on.
    pub(crate) fn set_rate(&mut self, per_second: u64, now: Millis) {
        self.refill(now);
        self.per_second = per_second as f64;
        // Whoever raises the rate is served at once, not when the debt of the old rate is paid.
        self.left = self.left.clamp(self.per_second * FIRST_SECONDS, self.per_second * BURST_SECONDS);
    }

    /// Units per second.
    pub(crate) fn per_second(&self) -> u64 {
        self.per_second as u64
    }

    fn refill(&mut self, now: Millis) {
        // A clock that is set back gives nothing.
        let grown = self.per_second * seconds((now - self.at).max(0));
        self.left = (self.left + grown).min(self.per_second * BURST_SECONDS);
        self.at = self.at.max(now);
    }
}

fn seconds(millis: Millis) -> f64 {
    millis as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_of_started_blocks() {
        for (bytes, written, read) in [(0, 1.0, 1.0), (1024, 1.0, 1.0), (1025, 2.0, 1.0), (4097, 5.0, 2.0)] {
            assert_eq!(write_units(bytes), written);
            assert_eq!((read_units(bytes, true), read_units(bytes, false)), (read, read / 2.0));
        }
    }

    #[test]
    fn five_minutes_of_unused_capacity_are_kept() {
        let taken = |budget: &mut Budget, now| (0..10_000).take_while(|_| budget.take(1.0, now)).count();
        let mut budget = Budget::new(5, 0, 0);
        assert_eq!(taken(&mut budget, 0), 5, "a new one has a second's worth");
        assert_eq!(taken(&mut budget, 2_000), 10);
        assert_eq!(taken(&mut budget, 10_000_000), 1_500);
        assert_eq!(taken(&mut budget, 9_000_000), 0, "a clock set back gives nothing");
        assert_eq!(taken(&mut Budget::new(2, 0, 60_000), 60_000), 120);
    }

    #[test]
    fn what_is_overdrawn_is_paid_back() {
        let mut budget = Budget::new(1, 0, 0);
        assert!(budget.take(10.0, 0));
        assert!(!budget.take(1.0, 8_000));
        assert!(budget.take(1.0, 9_001));
        budget.correct(-1.0);
        assert!(budget.take(1.0, 9_001), "given back");
        budget.set_rate(100, 9_001);
        assert!(budget.take(1.0, 9_001), "a raised rate serves at once");
    }
}
