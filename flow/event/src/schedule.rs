//! When a delivery is tried again, and how long an endpoint in trouble gets nothing new. Pure.
//!
//! Source: "Event Grid message delivery and retry": the schedule, the least waits by outcome and the delayed delivery.

use std::sync::Arc;
use std::time::Duration;

use crate::outcome::Outcome;

/// The documented waits before the second, third, … attempt, in seconds; the last one repeats.
const WAITS: [u64; 10] = [10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200];

/// How long an event that was given up waits until it becomes a dead letter: the service's own five minutes.
const LETTER_DELAY: Duration = Duration::from_secs(300);

/// Failures in a row after which nothing new is sent for a time.
pub(crate) const FAILURES_BEFORE_HOLD: u32 = 10;

/// Waits between attempts.
#[derive(Debug, Clone)]
pub struct RetrySchedule {
    waits: Arc<[Duration]>,
    /// Whether outcomes have least waits, waits vary, and new events are held back from an endpoint in trouble.
    by_outcome: bool,
}

impl Default for RetrySchedule {
    /// The documented schedule.
    fn default() -> Self {
        Self { waits: WAITS.map(Duration::from_secs).into(), by_outcome: true }
    }
}

impl RetrySchedule {
    /// Exactly these waits, whatever the outcome; the last one repeats.
    #[must_use]
    pub fn of(waits: &[Duration]) -> Self {
        Self { waits: waits.into(), by_outcome: false }
    }

    /// Exactly these waits, in seconds.
    #[must_use]
    pub fn of_seconds(waits: &[u32]) -> Self {
        Self::of(&waits.iter().map(|wait| Duration::from_secs((*wait).into())).collect::<Vec<_>>())
    }

    /// The wait behind the `attempts`th attempt. The same `seed` varies it the same way, by a tenth at most, so that what
    /// failed together does not come back together.
    #[must_use]
    pub fn wait(&self, attempts: u32, outcome: Outcome, seed: u64) -> Duration {
        let index = (attempts.max(1) as usize - 1).min(self.waits.len().saturating_sub(1));
        let wait = self.waits.get(index).copied().unwrap_or_default();
        if !self.by_outcome {
            return wait;
        }
        let wait = wait.max(least_wait(outcome));
        wait + wait.mul_f64(fastrand::Rng::with_seed(seed).f64() / 10.0)
    }

    /// How long an event that was given up waits until it becomes a dead letter.
    #[must_use]
    pub fn letter_delay(&self) -> Duration {
        if self.by_outcome { LETTER_DELAY } else { Duration::ZERO }
    }

    /// How long an endpoint that fails again and again gets nothing new.
    #[must_use]
    pub fn hold(&self, outcome: Outcome) -> Duration {
        if !self.by_outcome {
            return Duration::ZERO;
        }
        Duration::from_secs(match outcome {
            Outcome::SocketError => 30,
            Outcome::NotFound | Outcome::ResolutionError | Outcome::Unauthorized | Outcome::Forbidden => 300,
            _ => 10,
        })
    }
}

fn least_wait(outcome: Outcome) -> Duration {
    Duration::from_secs(match outcome {
        Outcome::NotFound | Outcome::Unauthorized => 300,
        Outcome::TimedOut => 120,
        Outcome::Busy => 30,
        _ => 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_the_documented_ones_and_vary_by_a_tenth() {
        let schedule = RetrySchedule::default();
        for (attempts, outcome, seconds) in [
            (1, Outcome::SocketError, 10),
            (1, Outcome::Busy, 30),
            (1, Outcome::TimedOut, 120),
            (1, Outcome::NotFound, 300),
            (2, Outcome::GenericError, 30),
            (4, Outcome::Busy, 300),
            (9, Outcome::Busy, 21_600),
            (10, Outcome::Busy, 43_200),
            (29, Outcome::Busy, 43_200),
        ] {
            for seed in 0..20 {
                let wait = schedule.wait(attempts, outcome, seed).as_secs_f64();
                let range = f64::from(seconds)..=f64::from(seconds) * 1.1;
                assert!(range.contains(&wait), "{attempts} {outcome:?}: {wait}");
            }
        }
        assert_eq!(schedule.wait(3, Outcome::Busy, 7), schedule.wait(3, Outcome::Busy, 7));
    }

    #[test]
    fn waits_that_are_given_are_taken_as_they_are() {
        let schedule = RetrySchedule::of(&[Duration::from_millis(5), Duration::from_millis(9)]);
        let waits: Vec<_> = (1..4).map(|attempts| schedule.wait(attempts, Outcome::NotFound, 0).as_millis()).collect();
        assert_eq!(waits, [5, 9, 9]);
        assert_eq!(schedule.hold(Outcome::NotFound), Duration::ZERO);
        assert_eq!(schedule.letter_delay(), Duration::ZERO);
        assert_eq!(RetrySchedule::default().letter_delay(), Duration::from_secs(300));
    }
}
