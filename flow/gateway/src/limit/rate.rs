//! Rate limits: at most so many calls in any stretch of time of a given length.
//!
//! Calls are counted in buckets of a hundredth of the period. A bucket counts until the last call in it is a whole period
//! old, so that no stretch ever sees more calls than allowed; at most one hundredth of the period is lost to the caller.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use millstream_types::Millis;

use super::counters::{Counter, Counters};

/// Buckets of a period.
const BUCKETS: Millis = 100;

/// What is counted, by key.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    counters: Mutex<Counters<Window>>,
}

#[derive(Debug, Default)]
struct Window {
    buckets: VecDeque<Bucket>,
    calls: u64,
    /// When nothing counts any more.
    empty_at: Millis,
}

#[derive(Debug)]
struct Bucket {
    first: Millis,
    last: Millis,
    calls: u64,
}

impl RateLimits {
    /// Counts a call, or says how many milliseconds to wait.
    pub(crate) fn take(&self, key: &str, calls: u32, period: Millis, now: Millis) -> Result<(), Millis> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.of(key, now).take(calls.into(), period, now)
    }
}

impl Counter for Window {
    fn idle_from(&self) -> Millis {
        self.empty_at
    }
}

impl Window {
    fn take(&mut self, calls: u64, period: Millis, now: Millis) -> Result<(), Millis> {
        while let Some(oldest) = self.buckets.front().filter(|oldest| oldest.last + period <= now) {
            self.calls -= oldest.calls;
            self.buckets.pop_front();
        }
        if self.calls >= calls {
            return Err(self.buckets.front().map_or(period, |oldest| oldest.last + period - now).max(1));
        }
        self.calls += 1;
        self.empty_at = self.empty_at.max(now + period);
        match self.buckets.back_mut() {
            // A clock that goes back adds to the newest bucket.
            Some(newest) if now - newest.first < (period / BUCKETS).max(1) => {
                newest.calls += 1;
                newest.last = newest.last.max(now);
            }
            _ => self.buckets.push_back(Bucket { first: now, last: now, calls: 1 }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::{COUNTERS_MAX, KEY_BYTES_MAX};
    use super::*;

    #[test]
    fn no_stretch_of_a_period_has_more_calls_than_allowed() {
        let (limits, mut taken) = (RateLimits::default(), Vec::new());
        for now in (0..10_000).step_by(7) {
            if limits.take("k", 5, 1_000, now).is_ok() {
                taken.push(now);
            }
        }
        assert!(taken.len() >= 48, "{}", taken.len());
        assert!(taken.windows(6).all(|calls| calls[5] - calls[0] >= 1_000), "{taken:?}");
    }

    #[test]
    fn a_counter_has_so_many_buckets_however_many_calls() {
        let limits = RateLimits::default();
        for now in 0..30_000 {
            limits.take("k", u32::MAX, 1_000, now).unwrap();
        }
        let counters = limits.counters.lock().unwrap();
        assert!(counters.by_key["k"].buckets.len() <= BUCKETS as usize + 1);
    }

    #[test]
    fn who_is_refused_learns_when_to_come_back() {
        let limits = RateLimits::default();
        assert_eq!(limits.take("k", 1, 1_000, 0), Ok(()));
        assert_eq!(limits.take("k", 1, 1_000, 400), Err(600));
        assert_eq!(limits.take("other", 1, 1_000, 400), Ok(()));
        assert_eq!(limits.take("k", 1, 1_000, 1_000), Ok(()));
    }

    #[test]
    fn calls_at_once_are_counted_exactly() {
        let limits = RateLimits::default();
        let taken: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..100).filter(|_| limits.take("k", 250, 1_000, 5).is_ok()).count()))
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        assert_eq!(taken, 250);
    }

    #[test]
    fn long_keys_are_counted_apart_and_kept_short() {
        let limits = RateLimits::default();
        let (one, other) = ("k".repeat(100_000), "k".repeat(100_001));
        assert_eq!(limits.take(&one, 1, 1_000, 0), Ok(()));
        assert_eq!(limits.take(&other, 1, 1_000, 0), Ok(()));
        assert!(limits.take(&one, 1, 1_000, 0).is_err());
        let counters = limits.counters.lock().unwrap();
        assert!(counters.by_key.keys().all(|key| key.len() <= KEY_BYTES_MAX));
    }

    #[test]
    fn too_many_keys_share_a_counter() {
        let limits = RateLimits::default();
        for key in 0..COUNTERS_MAX {
            assert_eq!(limits.take(&key.to_string(), 1, 1_000, 0), Ok(()));
        }
        assert_eq!(limits.take("one more", 1, 1_000, 1), Ok(()));
        assert!(limits.take("yet one more", 1, 1_000, 1).is_err());
        assert_eq!(limits.take("later", 1, 1_000, 1_001), Ok(()));
    }
}
