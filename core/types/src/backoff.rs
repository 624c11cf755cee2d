//! How long to wait before the next attempt: longer after each failure, shortly again after a success. Pure.

use std::time::Duration;

/// The waits of one thing that is tried again and again: each is twice the one before, up to the longest.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits from the first to the longest.
    #[must_use]
    pub const fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, next: first }
    }

    /// The wait after a failure; the one after the next is twice as long.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait
    }

    /// The next failure waits shortly again.
    pub fn succeeded(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let first = Duration::from_millis(200);
        let mut backoff = Backoff::new((first, Duration::from_secs(30)));
        let waits: Vec<u128> = (0..9).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(), first);
    }
}
