//! What scripts may take, and how it is counted: steps and results, for one call and for all calls of rows that are computed at once.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The engine looks at the meter once in so many steps: calls, and turns of loops.
const POLL_STEPS: u32 = 10_000;
/// Overruns one behind the other after which the next ones have half the steps.
const OVERRUNS_PER_HALVING: u32 = 8;
/// How often the steps of a call are halved at most: 15 polls are left of 1,000.
const HALVINGS_MAX: u32 = 6;
/// One in so many overruns has all steps again: when the rows that overran have passed, those that take many steps are computed again.
const OVERRUNS_PER_FULL_CALL: u32 = 64;

/// What scripts may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Polls that one call may take: some tenths of a second. Counted and not timed, so that the same rows fail on any machine.
    pub(super) call_polls: u32,
    /// Polls that all calls of a function for the rows which are computed at once may take: a minute.
    pub(super) batch_polls: u32,
    /// What the results of a function for the rows that are computed at once may be together, bytes.
    pub(super) results_bytes: usize,
    /// The backstop beside the counted steps: what built-in functions do between two polls is not counted.
    pub(super) call_time: Duration,
    /// How long a call may go on that never comes to a poll. Then its thread is left to itself.
    pub(super) patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            call_polls: 1_000,
            batch_polls: 200_000,
            results_bytes: 64 << 20,
            call_time: Duration::from_secs(10),
            patience: Duration::from_secs(60),
        }
    }
}

/// What those who wait for a thread and the thread itself know of each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    calls: AtomicU64,
    given_up: AtomicBool,
}

impl Watch {
    /// How many calls were begun: one that changes says that the thread goes on.
    pub(super) fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Nobody waits for the thread any more.
    pub(super) fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Relaxed)
    }
}

/// How much was taken.
pub(super) struct Meter {
    bounds: Bounds,
    watch: Watch,
    begun: Cell<Instant>,
    late: Cell<bool>,
    call: Cell<u32>,
    batch: Cell<u32>,
    /// Calls one behind the other that took too many steps.
    overruns: Cell<u32>,
}

impl Meter {
    pub(super) fn new(bounds: Bounds, watch: Watch) -> Self {
        let (call, batch, overruns) = (Cell::new(0), Cell::new(0), Cell::new(0));
        Self { bounds, watch, begun: Cell::new(Instant::now()), late: Cell::new(false), call, batch, overruns }
    }

    /// A call begins.
    pub(super) fn begin(&self) {
        self.call.set(0);
        self.begun.set(Instant::now());
        self.late.set(false);
        self.watch.0.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The calls of a batch begin, or go on, for which so many polls were taken.
    pub(super) fn resume(&self, polls: u32) {
        self.batch.set(polls);
    }

    /// The polls that the calls of the batch took.
    pub(super) fn polls(&self) -> u32 {
        self.batch.get()
    }

    /// Counts one; says whether that is too many.
    pub(super) fn poll(&self) -> bool {
        self.call.set(self.call.get() + 1);
        self.batch.set(self.batch.get().saturating_add(1));
        if self.begun.get().elapsed() > self.bounds.call_time {
            self.late.set(true);
        }
        self.overran() || self.spent() || self.watch.given_up()
    }

    /// Whether the call took too much.
    pub(super) fn overran(&self) -> bool {
        self.late.get() || self.call.get() > self.call_polls()
    }

    /// Whether all calls of the batch took too much.
    pub(super) fn spent(&self) -> bool {
        self.batch.get() > self.bounds.batch_polls
    }

    /// Whether nobody waits for results any more.
    pub(super) fn given_up(&self) -> bool {
        self.watch.given_up()
    }

    /// A call ended within its bounds, or did not.
    pub(super) fn ended(&self, overran: bool) {
        self.overruns.set(if overran { self.overruns.get().saturating_add(1) } else { 0 });
    }

    /// The polls that the next call may take. The more calls overran one behind the other, the fewer: each is its row's failure and the query
    /// goes on, but rows that fail one by one must not hold it up.
    pub(super) fn call_polls(&self) -> u32 {
        let overruns = self.overruns.get();
        if overruns.is_multiple_of(OVERRUNS_PER_FULL_CALL) {
            return self.bounds.call_polls;
        }
        (self.bounds.call_polls >> (overruns / OVERRUNS_PER_HALVING).min(HALVINGS_MAX)).max(1)
    }

    /// What the call took too much of.
    pub(super) fn overrun(&self) -> String {
        if self.late.get() {
            return format!("took more than {:?}; a row has to be computed in less", self.bounds.call_time);
        }
        let (steps, before) = (u64::from(self.call_polls()) * u64::from(POLL_STEPS), self.overruns.get());
        if self.call_polls() == self.bounds.call_polls {
            return format!("took more than {steps} steps");
        }
        format!("took more than {steps} steps, which is what a row has after {before} that took too many")
    }

    /// What all calls of the batch took too many of.
    pub(super) fn batch_overrun(&self) -> String {
        let steps = u64::from(self.bounds.batch_polls) * u64::from(POLL_STEPS);
        format!("more than {steps} steps for rows that are computed at once")
    }
}
