//! Quotas: at most so many calls or bytes in a fixed period, counted over restarts.
//!
//! A call is counted durably before it is let through: after a crash none is forgotten. Bytes are known only when the
//! answer is there; they are ordered to the disk then and durable with the next call at the latest.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;

/// Counters in memory; others are read again when they are asked for.
const COUNTERS_MAX: usize = 50_000;

/// The bytes of a counter on the disk: begin, calls, bytes.
const STATE_BYTES: usize = 24;

/// What a quota allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub(super) calls: Option<u64>,
    pub(super) bytes: Option<u64>,
    /// Milliseconds; zero: for good.
    pub(super) period: Millis,
}

/// Why a call is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// The calls are used up; milliseconds until the next period.
    Calls(Millis),
    /// The bytes are used up; milliseconds until the next period.
    Bytes(Millis),
}

/// The counters.
pub(super) struct Quotas {
    storage: Storage,
    keyspace: Keyspace,
    counters: Mutex<HashMap<String, Counter>>,
    /// One counter is read at a time: two readers of one must not both count from what they read.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counter {
    begin: Millis,
    calls: u64,
    bytes: u64,
}

impl Quotas {
    pub(super) fn new(storage: Storage) -> Self {
        let keyspace = Keyspace::new("gateway/quotas");
        Self { storage, keyspace, counters: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// Counts a call for good, or says why not.
    pub(super) async fn take(
        &self,
        key: &str,
        allowance: Allowance,
        now: Millis,
    ) -> Result<Result<(), Exceeded>, StorageError> {
        let ticket = match self.count(key, allowance, now, None) {
            Some(counted) => counted,
            None => {
                let _turn = self.reading.lock().await;
                let stored = self.stored(key).await?;
                // Somebody else may have read it in the meantime; what is in memory is newer then.
                self.count(key, allowance, now, Some(stored)).unwrap_or(Ok(Err(Exceeded::Calls(1))))
            }
        };
        match ticket? {
            Ok(ticket) => ticket.durable().await.map(|_| Ok(())),
            Err(exceeded) => Ok(Err(exceeded)),
        }
    }

    /// Adds the bytes of a call that was let through.
    pub(super) fn add_bytes(&self, key: &str, bytes: u64) -> Result<(), StorageError> {
        let mut counters = self.counters();
        let Some(counter) = counters.get_mut(key) else { return Ok(()) };
        counter.bytes = counter.bytes.saturating_add(bytes);
        let counter = *counter;
        self.submit(key, counter).map(drop)
    }

    /// Forgets what is counted for subscriptions that are gone: their ids are what counters' names end with.
    pub(super) async fn forget(&self, subscriptions: &[String]) -> Result<(), StorageError> {
        if subscriptions.is_empty() {
            return Ok(());
        }
        let (storage, keyspace) = (self.storage.clone(), self.keyspace.clone());
        let all = (Bound::Unbounded, Bound::Unbounded);
        let read = tokio::task::spawn_blocking(move || storage.scan(&keyspace, all, false, usize::MAX));
        let of = |key: &[u8]| key.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().to_vec();
        let gone = |key: &[u8]| subscriptions.iter().any(|id| of(key) == id.as_bytes());
        let mut transaction = Transaction::new();
        for (key, _) in read.await.map_err(|_| StorageError::Closed)?? {
            if gone(&key) {
                transaction.delete(&self.keyspace, key);
            }
        }
        self.counters().retain(|key, _| !gone(key.as_bytes()));
        if !transaction.is_empty() {
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }

    /// Counts in memory and orders the counter to the disk under one lock, so that the disk sees them in their order;
    /// `None`: the counter has to be read first.
    fn count(
        &self,
        key: &str,
        allowance: Allowance,
        now: Millis,
        stored: Option<Counter>,
    ) -> Option<Result<Result<millstream_storage::Ticket, Exceeded>, StorageError>> {
        let mut counters = self.counters();
        if let Some(stored) = stored
            && !counters.contains_key(key)
        {
            if counters.len() >= COUNTERS_MAX {
                counters.clear();
            }
            counters.insert(key.to_owned(), stored);
        }
        let counter = counters.get_mut(key)?;
        let before = *counter;
        if let Err(exceeded) = counter.take(allowance, now) {
            return Some(Ok(Err(exceeded)));
        }
        let counted = *counter;
        let submitted = self.submit(key, counted);
        if submitted.is_err() {
            *counter = before;
        }
        Some(submitted.map(Ok))
    }

    fn submit(&self, key: &str, counter: Counter) -> Result<millstream_storage::Ticket, StorageError> {
        let mut transaction = Transaction::new();
        transaction.put(&self.keyspace, key.as_bytes().to_vec(), counter.encoded().to_vec());
        self.storage.submit(transaction)
    }

    async fn stored(&self, key: &str) -> Result<Counter, StorageError> {
        let (storage, keyspace, key) = (self.storage.clone(), self.keyspace.clone(), key.as_bytes().to_vec());
        let read = tokio::task::spawn_blocking(move || storage.get_submitted(&keyspace, &key));
        let stored = read.await.map_err(|_| StorageError::Closed)??;
        Ok(stored.and_then(|bytes| Counter::decoded(&bytes)).unwrap_or_default())
    }

    fn counters(&self) -> MutexGuard<'_, HashMap<String, Counter>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    fn take(&mut self, allowance: Allowance, now: Millis) -> Result<(), Exceeded> {
        let fresh = self.calls == 0 && self.bytes == 0;
        if fresh || (allowance.period > 0 && now >= self.begin.saturating_add(allowance.period)) {
            *self = Self { begin: now, ..Self::default() };
        }
        let left = if allowance.period == 0 { Millis::MAX } else { self.begin.saturating_add(allowance.period) - now };
        if allowance.calls.is_some_and(|calls| self.calls >= calls) {
            return Err(Exceeded::Calls(left));
        }
        if allowance.bytes.is_some_and(|bytes| self.bytes >= bytes) {
            return Err(Exceeded::Bytes(left));
        }
        self.calls += 1;
        Ok(())
    }

    fn encoded(self) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        bytes[..8].copy_from_slice(&self.begin.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.calls.to_be_bytes());
        bytes[16..].copy_from_slice(&self.bytes.to_be_bytes());
        bytes
    }

    fn decoded(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; STATE_BYTES] = bytes.try_into().ok()?;
        let (begin, rest) = bytes.split_first_chunk::<8>()?;
        let (calls, rest) = rest.split_first_chunk::<8>()?;
        let (used, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            begin: Millis::from_be_bytes(*begin),
            calls: u64::from_be_bytes(*calls),
            bytes: u64::from_be_bytes(*used),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::ManualClock;

    use super::*;

    const THREE: Allowance = Allowance { calls: Some(3), bytes: None, period: 1_000 };

    fn storage() -> Storage {
        Storage::in_memory(Arc::new(ManualClock::at(0)))
    }

    #[tokio::test]
    async fn calls_are_counted_over_restarts_and_come_back_with_the_period() {
        let storage = storage();
        let quotas = Quotas::new(storage.clone());
        for _ in 0..2 {
            assert_eq!(quotas.take("k", THREE, 100).await.unwrap(), Ok(()));
        }
        let quotas = Quotas::new(storage);
        assert_eq!(quotas.take("k", THREE, 200).await.unwrap(), Ok(()));
        assert_eq!(quotas.take("k", THREE, 300).await.unwrap(), Err(Exceeded::Calls(800)));
        assert_eq!(quotas.take("other", THREE, 300).await.unwrap(), Ok(()));
        assert_eq!(quotas.take("k", THREE, 1_100).await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn bytes_end_a_quota_too() {
        let storage = storage();
        let quotas = Quotas::new(storage.clone());
        let allowance = Allowance { calls: None, bytes: Some(10), period: 0 };
        assert_eq!(quotas.take("k", allowance, 0).await.unwrap(), Ok(()));
        quotas.add_bytes("k", 11).unwrap();
        let again = Quotas::new(storage);
        assert_eq!(again.take("k", allowance, 9).await.unwrap(), Err(Exceeded::Bytes(Millis::MAX)));
    }

    #[tokio::test]
    async fn what_is_counted_for_a_subscription_goes_with_it() {
        let quotas = Quotas::new(storage());
        let once = Allowance { calls: Some(1), ..THREE };
        for key in ["s\na\n0\none", "s\na\n0\ntwo"] {
            assert_eq!(quotas.take(key, once, 5).await.unwrap(), Ok(()));
        }
        quotas.forget(&["one".to_owned()]).await.unwrap();
        assert_eq!(quotas.take("s\na\n0\none", once, 5).await.unwrap(), Ok(()));
        assert!(quotas.take("s\na\n0\ntwo", once, 5).await.unwrap().is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn calls_at_once_are_counted_exactly() {
        let quotas = Arc::new(Quotas::new(storage()));
        let allowance = Allowance { calls: Some(25), ..THREE };
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let quotas = Arc::clone(&quotas);
                tokio::spawn(async move { quotas.take("k", allowance, 5).await.unwrap().is_ok() })
            })
            .collect();
        let mut taken = 0;
        for call in calls {
            taken += usize::from(call.await.unwrap());
        }
        assert_eq!(taken, 25);
    }
}
