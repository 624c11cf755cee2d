//! When a task that the storage refused begins anew. Pure.

use std::time::Duration;

/// First and longest wait.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Waits of one task: each is twice the one before, until the task has worked.
#[derive(Debug)]
pub(super) struct Restarts {
    next: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self { next: WAITS.0 }
    }
}

impl Restarts {
    /// Notes whether the task worked before it was refused: it waits as little as at first then.
    pub(super) fn worked(&mut self, worked: bool) {
        if worked {
            self.next = WAITS.0;
        }
    }

    /// How long to wait now.
    pub(super) fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(WAITS.1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_the_task_has_worked() {
        let mut restarts = Restarts::default();
        let waits: Vec<u128> = (0..3).map(|_| restarts.next_wait().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800]);
        restarts.worked(false);
        assert_eq!(restarts.next_wait().as_millis(), 1_600);
        assert_eq!((0..9).map(|_| restarts.next_wait()).max(), Some(WAITS.1));
        restarts.worked(true);
        assert_eq!(restarts.next_wait(), WAITS.0);
    }
}
