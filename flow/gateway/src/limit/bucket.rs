//! Token buckets: a rate of calls for long, and so many at once after a pause.
//!
//! A request may stand under several throttles; it takes from all of them or from none. Whole numbers only: a bucket
//! counts millionths of a call, which is what a thousandth of a call a second brings in a millisecond.

use std::sync::{Mutex, PoisonError};

use millstream_catalog::Throttle;
use millstream_types::Millis;

use super::counters::{Counter, Counters};

/// Millionths in a call.
const CALL: u64 = 1_000_000;

/// The buckets, by key.
#[derive(Debug, Default)]
pub(crate) struct TokenBuckets {
    buckets: Mutex<Counters<Bucket>>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Millionths of a call that are there.
    level: u64,
    /// When that was; `None`: it was never used and is full.
    at: Option<Millis>,
    /// When it is full again.
    full_at: Millis,
}

impl TokenBuckets {
    /// Takes a call from every bucket, or from none when one of them has none: its index then.
    pub(crate) fn take(&self, throttles: &[(String, Throttle)], now: Millis) -> Result<(), usize> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, (key, throttle)) in throttles.iter().enumerate() {
            let bucket = buckets.of(key, now);
            bucket.fill(*throttle, now);
            if bucket.level < CALL {
                for (key, throttle) in &throttles[..index] {
                    let taken = buckets.of(key, now);
                    taken.set(taken.level + CALL, *throttle, now);
                }
                return Err(index);
            }
            bucket.set(bucket.level - CALL, *throttle, now);
        }
        Ok(())
    }
}

impl Bucket {
    fn set(&mut self, level: u64, throttle: Throttle, now: Millis) {
        self.level = level;
        self.full_at = now.saturating_add(filled_in(throttle, level));
    }

    fn fill(&mut self, throttle: Throttle, now: Millis) {
        let full = u64::from(throttle.burst) * CALL;
        let Some(at) = self.at else {
            (self.level, self.at) = (full, Some(now));
            return;
        };
        // A clock that goes back brings nothing and takes nothing.
        let elapsed = u64::try_from(now - at).unwrap_or(0);
        self.level = self.level.saturating_add(elapsed.saturating_mul(throttle.rate_thousandths)).min(full);
        self.at = Some(at.max(now));
    }
}

/// Milliseconds until a bucket is full.
fn filled_in(throttle: Throttle, level: u64) -> Millis {
    let missing = (u64::from(throttle.burst) * CALL).saturating_sub(level);
    let millis = missing.checked_div(throttle.rate_thousandths).map(|millis| millis.saturating_add(1));
    millis.and_then(|millis| Millis::try_from(millis).ok()).unwrap_or(Millis::MAX)
}

impl Counter for Bucket {
    fn idle_from(&self) -> Millis {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(rate: f64, burst: u32) -> Throttle {
        Throttle::new(rate, burst).unwrap()
    }

    fn under(key: &str, rate: f64, burst: u32) -> Vec<(String, Throttle)> {
        vec![(key.to_owned(), throttle(rate, burst))]
    }

    #[test]
    fn a_burst_is_given_at_once_and_comes_back_at_the_rate() {
        let buckets = TokenBuckets::default();
        let taken = |now| buckets.take(&under("k", 10.0, 5), now).is_ok();
        assert_eq!((0..8).filter(|_| taken(0)).count(), 5);
        assert!(!taken(99));
        assert!(taken(100) && !taken(199) && taken(200));
        assert_eq!((0..8).filter(|_| taken(100_000)).count(), 5, "it is never fuller than its burst");
        assert!(!taken(50_000), "a clock that goes back gives nothing");
    }

    #[test]
    fn rates_below_one_a_second_and_none_at_all_are_exact() {
        let buckets = TokenBuckets::default();
        let slow = under("slow", 0.5, 1);
        assert!(buckets.take(&slow, 0).is_ok());
        assert!(buckets.take(&slow, 1_999).is_err());
        assert!(buckets.take(&slow, 2_000).is_ok());
        assert_eq!(buckets.take(&under("closed", 10.0, 0), 0), Err(0));
        let once = under("once", 0.0, 1);
        assert!(buckets.take(&once, 0).is_ok());
        assert!(buckets.take(&once, Millis::MAX / 2).is_err());
    }

    #[test]
    fn a_refused_call_takes_nothing_from_the_other_buckets() {
        let buckets = TokenBuckets::default();
        let both = vec![("wide".to_owned(), throttle(1.0, 3)), ("narrow".to_owned(), throttle(1.0, 1))];
        assert_eq!(buckets.take(&both, 0), Ok(()));
        assert_eq!(buckets.take(&both, 0), Err(1));
        assert_eq!((0..5).filter(|_| buckets.take(&both[..1], 0).is_ok()).count(), 2);
    }

    #[test]
    fn calls_at_once_are_counted_exactly() {
        let buckets = TokenBuckets::default();
        let throttle = under("k", 0.0, 250);
        let taken: usize = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..100).filter(|_| buckets.take(&throttle, 5).is_ok()).count()))
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        assert_eq!(taken, 250);
    }
}
