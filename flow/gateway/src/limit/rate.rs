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
    /// Counts a call as so many, or says how many milliseconds to wait; gives how many calls are left. As none: it is only
    /// looked whether a call may be.
    pub(crate) fn take(&self, key: &str, rate: CallRate, as_many: u32, now: Millis) -> Result<u64, Millis> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let window = counters.of(key, now);
        window.free(rate, now)?;
        window.add(rate.period, as_many, now);
        Ok(u64::from(rate.calls).saturating_sub(window.calls))
    }

    /// Counts a call that was let through before.
    pub(crate) fn add(&self, key: &str, period: Millis, as_many: u32, now: Millis) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.of(key, now).add(period, as_many, now);
    }
}

/// So many calls in any stretch of so many milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallRate {
    pub(crate) calls: u32,
    pub(crate) period: Millis,
}

impl Counter for Window {
    fn idle_from(&self) -> Millis {
        self.empty_at
    }
}

impl Window {
    /// Whether a call may be, or how long to wait.
    fn free(&mut self, CallRate { calls, period }: CallRate, now: Millis) -> Result<(), Millis> {
        while let Some(oldest) = self.buckets.front().filter(|oldest| oldest.last + period <= now) {
            self.calls -= oldest.calls;
            self.buckets.pop_front();
        }
        if self.calls >= calls.into() {
            return Err(self.buckets.front().map_or(period, |oldest| oldest.last + period - now).max(1));
        }
        Ok(())
    }

    fn add(&mut self, period: Millis, as_many: u32, now: Millis) {
        if as_many == 0 {
            return;
        }
        let as_many = u64::from(as_many);
        self.calls += as_many;
        self.empty_at = self.empty_at.max(now + period);
        match self.buckets.back_mut() {
            // A clock that goes back adds to the newest bucket.
            Some(newest) if now - newest.first < (period / BUCKETS).max(1) => {
                newest.calls += as_many;
                newest.last = newest.last.max(now);
            }
            _ => self.buckets.push_back(Bucket { first: now, last: now, calls: as_many }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::{COUNTERS_MAX, KEY_BYTES_MAX};
    use super::*;

    fn rate(calls: u32) -> CallRate {
        CallRate { calls, period: 1_000 }
    }

    #[test]
    fn no_stretch_of_a_period_has_more_calls_than_allowed() {
        let (limits, mut taken) = (RateLimits::default(), Vec::new());
        for now in (0..10_000).step_by(7) {
            if limits.take("k", rate(5), 1, now).is_ok() {
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
            limits.take("k", rate(u32::MAX), 1, now).unwrap();
        }
        let counters = limits.counters.lock().unwrap();
        assert!(counters.by_key["k"].buckets.len() <= BUCKETS as usize + 1);
    }

    #[test]
    fn who_is_refused_learns_when_to_come_back() {
        let limits = RateLimits::default();
        assert_eq!(limits.take("k", rate(1), 1, 0), Ok(0));
        assert_eq!(limits.take("k", rate(1), 1, 400), Err(600));
        assert_eq!(limits.take("other", rate(1), 1, 400), Ok(0));
        assert_eq!(limits.take("k", rate(1), 1, 1_000), Ok(0));
    }

    #[test]
    fn a_call_may_count_as_many_or_none() {
        let limits = RateLimits::default();
        assert_eq!(limits.take("k", rate(5), 0, 0), Ok(5));
        assert_eq!(limits.take("k", rate(5), 4, 0), Ok(1));
        assert_eq!(limits.take("k", rate(5), 3, 0), Ok(0));
        assert_eq!(limits.take("k", rate(5), 1, 10), Err(990));
        limits.add("k", 1_000, 5, 1_500);
        assert_eq!(limits.take("k", rate(5), 0, 1_500), Err(1_000));
    }

    #[test]
    fn calls_at_once_are_counted_exactly() {
        let limits = RateLimits::default();
        let taken: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..100).filter(|_| limits.take("k", rate(250), 1, 5).is_ok()).count()))
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        assert_eq!(taken, 250);
    }

    #[test]
    fn long_keys_are_counted_apart_and_kept_short() {
        let limits = RateLimits::default();
        let (one, other) = ("k".repeat(100_000), "k".repeat(100_001));
        assert_eq!(limits.take(&one, rate(1), 1, 0), Ok(0));
        assert_eq!(limits.take(&other, rate(1), 1, 0), Ok(0));
        assert!(limits.take(&one, rate(1), 1, 0).is_err());
        let counters = limits.counters.lock().unwrap();
        assert!(counters.by_key.keys().all(|key| key.len() <= KEY_BYTES_MAX));
    }

    #[test]
    fn too_many_keys_share_a_counter() {
        let limits = RateLimits::default();
        for key in 0..COUNTERS_MAX {
            assert_eq!(limits.take(&key.to_string(), rate(1), 1, 0), Ok(0));
        }
        assert_eq!(limits.take("one more", rate(1), 1, 1), Ok(0));
        assert!(limits.take("yet one more", rate(1), 1, 1).is_err());
        assert_eq!(limits.take("later", rate(1), 1, 1_001), Ok(0));
    }
}
