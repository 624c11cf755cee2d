//! Locks that order the writers of one item: a fixed number of them, an item's found by its key's hash.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Enough that writers of different items seldom meet on a machine's cores.
const STRIPES: usize = 256;

pub(super) struct Stripes(Vec<Mutex<()>>);

/// Which locks a write needs: in order and each once, so that two batches never wait for each other.
pub(super) struct Needed(Vec<usize>);

impl Needed {
    pub(super) fn of(keys: &[impl AsRef<[u8]>]) -> Self {
        let stripe = |key: &[u8]| crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, key) as usize % STRIPES;
        let mut stripes: Vec<usize> = keys.iter().map(|key| stripe(key.as_ref())).collect();
        stripes.sort_unstable();
        stripes.dedup();
        Self(stripes)
    }
}

impl Stripes {
    pub(super) fn new() -> Self {
        Self((0..STRIPES).map(|_| Mutex::new(())).collect())
    }

    /// Waits for the locks. Their holders may read the disk: not for an async worker.
    pub(super) fn lock(&self, needed: &Needed) -> Vec<MutexGuard<'_, ()>> {
        // The lock guards no data of its own: one that a panic left behind is as good as any.
        needed.0.iter().map(|&at| self.0[at].lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// The locks, if nobody holds one of them.
    pub(super) fn try_lock(&self, needed: &Needed) -> Option<Vec<MutexGuard<'_, ()>>> {
        let try_one = |&at: &usize| match self.0[at].try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        needed.0.iter().map(try_one).collect()
    }
}
