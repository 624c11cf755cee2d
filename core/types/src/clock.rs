//! Where time comes from. Engines never ask the operating system themselves, so tests and replays decide.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::Millis;

/// The wall clock as engines see it.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. May stand still or go back; whoever needs rising times keeps a maximum.
    fn now(&self) -> Millis;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A clock set before 1970 is a broken machine, not a reason to stop: time starts at zero there.
            Err(_) => 0,
        }
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock standing at `millis`.
    #[must_use]
    pub fn at(millis: Millis) -> Self {
        Self(AtomicI64::new(millis))
    }

    /// Moves the clock by `millis` (negative: back).
    pub fn advance(&self, millis: Millis) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Puts the clock at `millis`.
    pub fn set(&self, millis: Millis) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}
