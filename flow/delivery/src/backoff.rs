//! How long to wait before the next attempt: longer after each failure, short again after a success.

use std::time::Duration;

/// First and longest wait.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// The waits of one delivery stream.
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: WAITS.0 }
    }

    /// The wait after a failure; the one after the next is twice as long.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(WAITS.1);
        wait
    }

    /// The next failure waits shortly again.
    pub(crate) fn succeeded(&mut self) {
        self.next = WAITS.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..9).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(), WAITS.0);
    }
}
