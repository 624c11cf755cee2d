//! Which calls are for rows that are computed at once. Rows are computed one by one when one of them fails, and then their calls are counted
//! together nevertheless: what bounds a batch would bound each row of it else.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// While it lives, the calls that its thread makes are counted together.
pub(crate) struct Batch {
    before: Option<u64>,
}

impl Batch {
    /// Calls that follow are counted together until what it gives is dropped.
    pub(crate) fn begin() -> Self {
        Self { before: CURRENT.replace(Some(NEXT.fetch_add(1, Ordering::Relaxed))) }
    }

    /// The number of the batch that this thread's calls belong to; nothing: each call is a batch.
    pub(crate) fn current() -> Option<u64> {
        CURRENT.get()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}
