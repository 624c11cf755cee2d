//! Who may change what at the same time: one change per object, none while its bucket is made or removed.
//!
//! Locks are stripes, so their number is bounded: two objects of one stripe merely wait for each other.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Stripes of objects: many more than writes at once on any machine.
const OBJECT_STRIPES: usize = 256;

/// Stripes of buckets, which are seldom made or removed.
const BUCKET_STRIPES: usize = 16;

pub(crate) struct Locks {
    buckets: Vec<Arc<RwLock<()>>>,
    objects: Vec<Arc<RwLock<()>>>,
}

/// Nothing changes the object, and its bucket stays.
pub(crate) struct ReadLock {
    _bucket: OwnedRwLockReadGuard<()>,
    _object: OwnedRwLockReadGuard<()>,
}

/// Nobody else changes or reads the object, and its bucket stays.
pub(crate) struct WriteLock {
    _bucket: OwnedRwLockReadGuard<()>,
    _object: OwnedRwLockWriteGuard<()>,
}

impl Locks {
    pub(crate) fn new() -> Self {
        let stripes = |count: usize| (0..count).map(|_| Arc::default()).collect();
        Self { buckets: stripes(BUCKET_STRIPES), objects: stripes(OBJECT_STRIPES) }
    }

    pub(crate) async fn read(&self, bucket: &str, key: &str) -> ReadLock {
        let held = self.bucket(bucket).read_owned().await;
        ReadLock { _bucket: held, _object: self.object(bucket, key).read_owned().await }
    }

    pub(crate) async fn write(&self, bucket: &str, key: &str) -> WriteLock {
        let held = self.bucket(bucket).read_owned().await;
        WriteLock { _bucket: held, _object: self.object(bucket, key).write_owned().await }
    }

    /// Nothing in the bucket is read or changed.
    pub(crate) async fn whole_bucket(&self, bucket: &str) -> OwnedRwLockWriteGuard<()> {
        self.bucket(bucket).write_owned().await
    }

    fn bucket(&self, bucket: &str) -> Arc<RwLock<()>> {
        Arc::clone(&self.buckets[stripe(bucket, BUCKET_STRIPES)])
    }

    fn object(&self, bucket: &str, key: &str) -> Arc<RwLock<()>> {
        Arc::clone(&self.objects[stripe((bucket, key), OBJECT_STRIPES)])
    }
}

fn stripe(name: impl std::hash::Hash, count: usize) -> usize {
    let hash = FixedState::with_seed(0).hash_one(name);
    usize::try_from(hash % count as u64).unwrap_or_default()
}
