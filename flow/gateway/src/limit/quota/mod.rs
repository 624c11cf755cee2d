//! Quotas: at most so many calls or bytes in a period, counted over restarts.
//!
//! [`Quotas::take`] counts durably before a call is let through: after a crash none is forgotten. Bytes are known only when
//! the answer is there; they are ordered to the disk then and durable with the next call at the latest.
//! [`Quotas::reserve`] counts in memory. Such a call is settled when its line in the access log is durable, and the counter
//! is written some time later: it knows how far in the log it has counted, so a node that crashed counts the rest again.
//! What was reserved and has no line was not answered either.
//! Read next: [`counter`] (one key's count), [`removal`] (counters that go).

mod counter;
mod removal;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_storage::{Keyspace, Storage, StorageError, Ticket, Transaction};
use millstream_types::Millis;

pub(crate) use counter::{Allowance, Counter, Exceeded, Period};

/// Counters in memory; others are read again when they are asked for.
const COUNTERS_MAX: usize = 50_000;

/// The counters.
pub(crate) struct Quotas {
    storage: Storage,
    keyspace: Keyspace,
    counters: Mutex<HashMap<String, Counter>>,
    /// One counter is read at a time: two readers of one must not both count from what they read.
    reading: tokio::sync::Mutex<()>,
}

impl Quotas {
    pub(crate) fn new(storage: Storage) -> Self {
        let keyspace = Keyspace::new("gateway/quotas");
        Self { storage, keyspace, counters: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// Counts a call as so many for good, or says why not. As none: it is only looked whether a call may be.
    pub(crate) async fn take(
        &self,
        key: &str,
        allowance: Allowance,
        as_many: u64,
        now: Millis,
    ) -> Result<Result<(), Exceeded>, StorageError> {
        let taken = self.with(key, |counter| {
            let before = *counter;
            if let Err(exceeded) = counter.take(allowance, as_many, now) {
                return Ok(Err(exceeded));
            }
            if as_many == 0 {
                return Ok(Ok(None));
            }
            self.submit(key, counter).map(|ticket| Ok(Some(ticket))).inspect_err(|_| *counter = before)
        });
        match taken.await?? {
            Ok(Some(ticket)) => ticket.durable().await.map(|_| Ok(())),
            Ok(None) => Ok(Ok(())),
            Err(exceeded) => Ok(Err(exceeded)),
        }
    }

    /// Counts a call in memory, or says why not; gives the begin of the period that it is counted in. It must be settled,
    /// whatever becomes of it.
    pub(crate) async fn reserve(
        &self,
        key: &str,
        allowance: Allowance,
        now: Millis,
    ) -> Result<Result<Millis, Exceeded>, StorageError> {
        let reserve = |counter: &mut Counter| {
            counter.take(allowance, 1, now)?;
            counter.reserved += 1;
            Ok(counter.begin)
        };
        self.with(key, reserve).await
    }

    /// Settles a call that was reserved in the period that began `from` and whose line, before `place` in the access log, is
    /// durable.
    pub(crate) fn settle(&self, key: &str, from: Millis, place: u64) {
        if let Some(counter) = self.counters().get_mut(key) {
            counter.settle(from, place);
        }
    }

    /// Gives back a call that was reserved in the period that began `from` and is not answered.
    pub(crate) fn give_back(&self, key: &str, from: Millis) {
        if let Some(counter) = self.counters().get_mut(key) {
            counter.give_back(from);
        }
    }

    /// Counts the call of a line at `offset` of the access log that a node which crashed may not have counted. Reads the
    /// disk.
    pub(crate) fn count_again(&self, key: &str, from: Millis, offset: u64) -> Result<(), StorageError> {
        let mut counters = self.counters();
        let mut counter = match counters.get(key) {
            Some(known) => *known,
            None => stored(&self.storage, &self.keyspace, key.as_bytes())?,
        };
        counter.count_again(from, offset);
        counters.insert(key.to_owned(), counter);
        Ok(())
    }

    /// Orders a transaction to the disk together with counters of which calls were settled. `note` sees each. Two of them
    /// reach the disk in their order.
    pub(crate) fn write<'k>(
        &self,
        mut transaction: Transaction,
        settled: impl Iterator<Item = &'k String>,
        note: impl Fn(&mut Transaction, &str, &Counter),
    ) -> Result<Ticket, StorageError> {
        let counters = self.counters();
        for key in settled {
            let Some(counter) = counters.get(key) else { continue };
            transaction.put(&self.keyspace, key.as_bytes().to_vec(), counter.encoded().to_vec());
            note(&mut transaction, key, counter);
        }
        self.storage.submit(transaction)
    }

    /// Notes that what was written of counters is durable; nothing was settled in between.
    pub(crate) fn written<'k>(&self, settled: impl Iterator<Item = &'k String>) {
        let mut counters = self.counters();
        for key in settled {
            if let Some(counter) = counters.get_mut(key) {
                counter.ahead = false;
            }
        }
    }

    /// How many calls are left in the period of `now`; `None` without a limit.
    pub(crate) async fn left(&self, key: &str, allowance: Allowance, now: Millis) -> Result<Option<u64>, StorageError> {
        self.with(key, |counter| {
            let mut seen = *counter;
            seen.renew(allowance.period, now);
            allowance.calls.map(|calls| seen.left(calls))
        })
        .await
    }

    /// Leaves so many calls of the period of `now`; durable when it returns.
    pub(crate) async fn grant(
        &self,
        key: &str,
        (allowance, limit): (Allowance, u64),
        left: u64,
        now: Millis,
    ) -> Result<(), StorageError> {
        let granted = self.with(key, |counter| {
            let before = *counter;
            counter.renew(allowance.period, now);
            let wanted = i128::from(left) + i128::from(counter.calls) - i128::from(limit);
            counter.granted = i64::try_from(wanted).unwrap_or(i64::MAX);
            self.submit(key, counter).inspect_err(|_| *counter = before)
        });
        granted.await??.durable().await.map(drop)
    }

    /// Adds the bytes of a call that was let through, and so many calls.
    pub(crate) async fn add(&self, key: &str, calls: u64, bytes: u64) -> Result<(), StorageError> {
        let added = self.with(key, |counter| {
            counter.calls = counter.calls.saturating_add(calls);
            counter.bytes = counter.bytes.saturating_add(bytes);
            self.submit(key, counter).map(drop)
        });
        added.await?
    }

    /// Looks at or changes a counter, which is read first when it is not in memory. What `change` orders to the disk is
    /// ordered under one lock, so that the disk sees the counter's states in their order.
    async fn with<R>(&self, key: &str, change: impl FnOnce(&mut Counter) -> R) -> Result<R, StorageError> {
        let mut change = Some(change);
        if let Some(counter) = self.counters().get_mut(key)
            && let Some(change) = change.take()
        {
            return Ok(change(counter));
        }
        let _turn = self.reading.lock().await;
        let stored = self.stored(key).await?;
        let mut counters = self.counters();
        if counters.len() >= COUNTERS_MAX {
            counters.retain(|_, counter| counter.is_needed());
        }
        // Somebody else may have read it in the meantime; what is in memory is newer then.
        let counter = counters.entry(key.to_owned()).or_insert(stored);
        change.map(|change| change(counter)).ok_or(StorageError::Closed)
    }

    fn submit(&self, key: &str, counter: &Counter) -> Result<Ticket, StorageError> {
        let mut transaction = Transaction::new();
        transaction.put(&self.keyspace, key.as_bytes().to_vec(), counter.encoded().to_vec());
        self.storage.submit(transaction)
    }

    async fn stored(&self, key: &str) -> Result<Counter, StorageError> {
        let (storage, keyspace, key) = (self.storage.clone(), self.keyspace.clone(), key.as_bytes().to_vec());
        let read = tokio::task::spawn_blocking(move || stored(&storage, &keyspace, &key));
        read.await.map_err(|_| StorageError::Closed)?
    }

    fn counters(&self) -> MutexGuard<'_, HashMap<String, Counter>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter as it was submitted last. Reads the disk.
fn stored(storage: &Storage, keyspace: &Keyspace, key: &[u8]) -> Result<Counter, StorageError> {
    let stored = storage.get_submitted(keyspace, key)?;
    Ok(stored.and_then(|bytes| Counter::decoded(&bytes)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
