//! How much memory all bodies together may hold, and each one's share of it.
//!
//! Small bodies have a budget of their own: a few large ones that come slowly must not hold up every small request.

use std::sync::LazyLock;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of a body that counts as small; also what a body without a declared length is counted as at first, and the step by
/// which its share grows.
const SMALL_BYTES: usize = 1 << 20;

/// Bytes of small bodies that the process holds at once between their first byte and their answer; the others wait.
const SMALL_BYTES_MAX: usize = 128 << 20;

/// The same of large bodies, and of what bodies without a declared length are more than small.
const LARGE_BYTES_MAX: usize = 384 << 20;

static SMALL: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(SMALL_BYTES_MAX));
static LARGE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(LARGE_BYTES_MAX));

/// What one body may hold; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    bytes: usize,
    /// From either budget; more than one only when the body told no length. None is `None`: the budgets are never closed.
    parts: Vec<Option<SemaphorePermit<'static>>>,
}

impl Share {
    /// Waits for the share of a body of a length that was declared, or of one of none.
    pub(super) async fn of(declared: Option<usize>) -> Self {
        let bytes = declared.unwrap_or(SMALL_BYTES);
        let budget: &'static Semaphore = if bytes <= SMALL_BYTES { &SMALL } else { &LARGE };
        Self { bytes, parts: vec![acquire(budget, bytes).await] }
    }

    /// Waits until the share covers so many bytes.
    pub(super) async fn hold(&mut self, bytes: usize) {
        while self.bytes < bytes {
            self.parts.push(acquire(&LARGE, SMALL_BYTES).await);
            self.bytes += SMALL_BYTES;
        }
    }
}

async fn acquire(budget: &'static Semaphore, bytes: usize) -> Option<SemaphorePermit<'static>> {
    budget.acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX)).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_grow_with_what_was_not_declared_and_are_given_back() {
        let before = (SMALL.available_permits(), LARGE.available_permits());
        let mut share = Share::of(None).await;
        share.hold(10).await;
        assert_eq!((share.bytes, SMALL.available_permits()), (SMALL_BYTES, before.0 - SMALL_BYTES));
        share.hold(SMALL_BYTES * 2 + 1).await;
        assert_eq!((share.bytes, LARGE.available_permits()), (SMALL_BYTES * 3, before.1 - SMALL_BYTES * 2));
        let large = Share::of(Some(SMALL_BYTES + 1)).await;
        assert_eq!(LARGE.available_permits(), before.1 - SMALL_BYTES * 3 - 1);
        drop((share, large));
        assert_eq!((SMALL.available_permits(), LARGE.available_permits()), before);
    }
}
