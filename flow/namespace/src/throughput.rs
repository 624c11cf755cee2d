//! How much a namespace takes and gives in a second, when its throughput units are set.
//!
//! A unit is 1 MiB or 1,000 records a second in, 2 MiB or 4,096 records a second out: the service's own numbers. A sender
//! over the limit is refused, a reader waits. Counts are kept in memory: what was used before a crash is used again.
//! Source: "Event Hubs scalability guide", throughput units.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_types::{Clock, Millis};

/// Units that a namespace may have: the service's own limit.
pub const UNITS_MAX: u32 = 40;

/// Bytes a second that a unit takes.
const BYTES_IN: u64 = 1 << 20;
/// Records a second that a unit takes.
const RECORDS_IN: u64 = 1_000;
/// Bytes a second that a unit gives.
const BYTES_OUT: u64 = 2 << 20;
/// Records a second that a unit gives.
const RECORDS_OUT: u64 = 4_096;

/// Milliseconds between two units that a namespace gets by itself.
const INFLATION_MS: Millis = 1_000;

/// The meters of all namespaces. Cheap to clone.
#[derive(Clone, Default)]
pub struct Throughput {
    meters: Arc<Mutex<HashMap<String, Arc<Meter>>>>,
}

impl Throughput {
    /// The meter of a namespace, which lasts as long as the node does.
    pub(crate) fn meter(&self, namespace: &str, units: u32, clock: &Arc<dyn Clock>) -> Arc<Meter> {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters.entry(namespace.to_owned()).or_insert_with(|| Arc::new(Meter::new(units, clock)));
        Arc::clone(meter)
    }

    /// Lets a namespace have other units from now on.
    pub(crate) fn set(&self, namespace: &str, units: u32) {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(namespace) {
            meter.units.store(units, Ordering::Relaxed);
        }
    }

    /// Forgets a namespace that was removed.
    pub(crate) fn remove(&self, namespace: &str) {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.remove(namespace) {
            meter.units.store(0, Ordering::Relaxed);
        }
    }
}

/// What a namespace has used of its units.
pub struct Meter {
    /// 0: no limit.
    units: AtomicU32,
    ingress: Mutex<Side>,
    egress: Mutex<Side>,
    /// When units were last added because these were not enough.
    inflated: AtomicI64,
    clock: Arc<dyn Clock>,
}

impl Meter {
    fn new(units: u32, clock: &Arc<dyn Clock>) -> Self {
        let side = |bytes, records| Mutex::new(Side { bytes: Bucket::of(bytes), records: Bucket::of(records) });
        Self {
            units: AtomicU32::new(units),
            ingress: side(BYTES_IN, RECORDS_IN),
            egress: side(BYTES_OUT, RECORDS_OUT),
            inflated: AtomicI64::new(Millis::MIN),
            clock: Arc::clone(clock),
        }
    }

    /// Counts records that come in, or refuses them; whatever their size they are taken when something is left of the
    /// second, and those behind them wait the longer.
    #[must_use]
    pub fn take_in(&self, records: u64, bytes: u64) -> bool {
        let Some(units) = self.units() else { return true };
        let now = self.clock.now();
        let mut side = self.ingress.lock().unwrap_or_else(PoisonError::into_inner);
        if side.opens_in(units, now) > 0 {
            return false;
        }
        side.take(records, bytes);
        true
    }

    /// Counts records that came in, however many, for senders that are asked to wait rather than refused.
    pub fn put_in(&self, records: u64, bytes: u64) {
        if self.units().is_some() {
            self.ingress.lock().unwrap_or_else(PoisonError::into_inner).take(records, bytes);
        }
    }

    /// Milliseconds until records may come in; 0: now.
    #[must_use]
    pub fn in_opens_in(&self) -> u64 {
        let Some(units) = self.units() else { return 0 };
        let mut side = self.ingress.lock().unwrap_or_else(PoisonError::into_inner);
        side.opens_in(units, self.clock.now())
    }

    /// Milliseconds until records may go out; 0: now.
    #[must_use]
    pub fn out_opens_in(&self) -> u64 {
        let Some(units) = self.units() else { return 0 };
        let mut side = self.egress.lock().unwrap_or_else(PoisonError::into_inner);
        side.opens_in(units, self.clock.now())
    }

    /// Counts records that went out.
    pub fn take_out(&self, records: u64, bytes: u64) {
        if self.units().is_some() {
            self.egress.lock().unwrap_or_else(PoisonError::into_inner).take(records, bytes);
        }
    }

    /// Whether it is time to add a unit, asked when records were refused: a unit added shows what it helps before the next.
    #[must_use]
    pub fn may_inflate(&self) -> bool {
        let (now, last) = (self.clock.now(), self.inflated.load(Ordering::Relaxed));
        now.saturating_sub(last) >= INFLATION_MS
            && self.inflated.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn units(&self) -> Option<u64> {
        Some(self.units.load(Ordering::Relaxed)).filter(|units| *units > 0).map(u64::from)
    }
}

/// One direction.
struct Side {
    bytes: Bucket,
    records: Bucket,
}

impl Side {
    fn opens_in(&mut self, units: u64, now: Millis) -> u64 {
        self.bytes.opens_in(units, now).max(self.records.opens_in(units, now))
    }

    fn take(&mut self, records: u64, bytes: u64) {
        self.bytes.take(bytes);
        self.records.take(records);
    }
}

/// What is left of a second's share, in thousandths; below nothing while what was taken is still to be earned.
struct Bucket {
    per_unit: u64,
    left: i64,
    /// When it was last filled; `None`: never, so it is full.
    filled: Option<Millis>,
}

impl Bucket {
    fn of(per_unit: u64) -> Self {
        Self { per_unit, left: 0, filled: None }
    }

    /// Fills up to `now` and gives the milliseconds until something is left.
    fn opens_in(&mut self, units: u64, now: Millis) -> u64 {
        // A share of a second is this much in a millisecond, in thousandths.
        let rate = (self.per_unit * units).cast_signed();
        let full = rate * 1_000;
        self.left = match self.filled {
            None => full,
            Some(filled) => (self.left + (now - filled).clamp(0, 1_000_000) * rate).min(full),
        };
        self.filled = Some(now);
        if self.left > 0 { 0 } else { (1 - self.left).unsigned_abs().div_ceil(rate.unsigned_abs()) }
    }

    fn take(&mut self, count: u64) {
        self.left -= count.cast_signed() * 1_000;
    }
}

#[cfg(test)]
mod tests {
    use millstream_types::ManualClock;

    use super::*;

    fn meter(units: u32) -> (Meter, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let shared: Arc<dyn Clock> = clock.clone();
        (Meter::new(units, &shared), clock)
    }

    #[test]
    fn without_units_there_is_no_limit() {
        let (meter, _) = meter(0);
        assert!((0..100).all(|_| meter.take_in(1_000, 1 << 20)));
        assert_eq!(meter.out_opens_in(), 0);
    }

    #[test]
    fn a_second_takes_its_share_and_what_is_over_is_earned_first() {
        let (meter, clock) = meter(1);
        assert!(meter.take_in(1, 900 << 10));
        assert!(meter.take_in(1, 900 << 10), "something is left");
        assert!(!meter.take_in(1, 1), "now it is over");
        clock.advance(500);
        assert!(!meter.take_in(1, 1));
        clock.advance(500);
        assert!(meter.take_in(1, 1));
    }

    #[test]
    fn records_count_as_bytes_do_and_units_multiply() {
        let (meter, _) = meter(2);
        assert!(meter.take_in(1_999, 10) && meter.take_in(1, 10));
        assert!(!meter.take_in(1, 10));
    }

    #[test]
    fn units_are_added_one_after_the_other() {
        let (meter, clock) = meter(1);
        assert!(meter.may_inflate() && !meter.may_inflate());
        clock.advance(INFLATION_MS);
        assert!(meter.may_inflate());
    }

    #[test]
    fn senders_that_are_not_refused_are_told_how_long_to_wait() {
        let (meter, clock) = meter(1);
        assert_eq!(meter.in_opens_in(), 0);
        meter.put_in(2_000, 0);
        assert_eq!(meter.in_opens_in(), 1_001);
        clock.advance(1_001);
        assert_eq!(meter.in_opens_in(), 0);
    }

    #[test]
    fn readers_are_told_how_long_to_wait() {
        let (meter, clock) = meter(1);
        meter.take_out(1, 1);
        assert_eq!(meter.out_opens_in(), 0);
        meter.take_out(4_096 * 2, 0);
        assert_eq!(meter.out_opens_in(), 1_001);
        clock.advance(1_001);
        assert_eq!(meter.out_opens_in(), 0);
    }
}
