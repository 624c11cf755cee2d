//! Quotas: at most so many calls or bytes in a period, counted over restarts.
//!
//! [`Quotas::take`] counts durably before a call is let through: after a crash none is forgotten. Bytes are known only when
//! the answer is there; they are ordered to the disk then and durable with the next call at the latest.
//! [`Quotas::reserve`] counts in memory; whoever settles a call commits the count together with what else is to be kept of
//! it, many calls at once. What was reserved and not settled when a node crashed was not answered either.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_storage::{Keyspace, Storage, StorageError, Ticket, Transaction};
use millstream_types::Millis;

/// Counters in memory; others are read again when they are asked for.
const COUNTERS_MAX: usize = 50_000;

/// The bytes of a counter on the disk: begin, calls, bytes, granted, end. Those of older versions end sooner.
const STATE_BYTES: usize = 40;

/// How long a counter without a period stays when nobody calls, milliseconds: longer than a year.
const UNUSED_MAX: Millis = 400 * 24 * 3_600_000;

/// Counters that one step of the sweep looks at.
const SWEEP_ROWS: usize = 1_000;

/// What a quota allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) calls: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) period: Period,
}

/// When counting begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    /// Never.
    Forever,
    /// So many milliseconds after the first call, and so on.
    FromFirstCall(Millis),
    /// At these times, whoever calls.
    Fixed { begin: Millis, end: Millis },
}

/// Why a call is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// The calls are used up; milliseconds until the next period.
    Calls(Millis),
    /// The bytes are used up; milliseconds until the next period.
    Bytes(Millis),
}

/// The counters.
pub(crate) struct Quotas {
    storage: Storage,
    keyspace: Keyspace,
    counters: Mutex<HashMap<String, Counter>>,
    /// One counter is read at a time: two readers of one must not both count from what they read.
    reading: tokio::sync::Mutex<()>,
}

/// What is counted under one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    begin: Millis,
    calls: u64,
    bytes: u64,
    /// Calls of this period beyond the allowance; negative: fewer.
    granted: i64,
    /// When the period is over, or nobody has called for very long: from then on it is a new one's like.
    end: Millis,
    /// Calls that are counted in memory and not settled: the counter must not be read again from the disk.
    reserved: u32,
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

    /// Counts a call in memory, or says why not. It must be settled, whatever becomes of it.
    pub(crate) async fn reserve(
        &self,
        key: &str,
        allowance: Allowance,
        now: Millis,
    ) -> Result<Result<(), Exceeded>, StorageError> {
        let reserve = |counter: &mut Counter| {
            counter.take(allowance, 1, now)?;
            counter.reserved += 1;
            Ok(())
        };
        self.with(key, reserve).await
    }

    /// Orders a transaction to the disk together with the counters of the calls that are settled with it: so many of
    /// each key. `note` sees each counter. Two of them reach the disk in their order.
    pub(crate) fn settle(
        &self,
        mut transaction: Transaction,
        settled: &BTreeMap<String, u32>,
        note: impl Fn(&mut Transaction, &str, &Counter),
    ) -> Result<Ticket, StorageError> {
        let mut counters = self.counters();
        for (key, calls) in settled {
            let Some(counter) = counters.get_mut(key) else { continue };
            counter.reserved = counter.reserved.saturating_sub(*calls);
            transaction.put(&self.keyspace, key.as_bytes().to_vec(), counter.encoded().to_vec());
            note(&mut transaction, key, counter);
        }
        self.storage.submit(transaction)
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

    /// Removes those of the `own` counters whose periods are over, from memory and from the disk.
    pub(crate) async fn sweep(&self, now: Millis, own: impl Fn(&[u8]) -> bool) -> Result<(), StorageError> {
        let mut after = Vec::new();
        loop {
            // Nobody reads a counter into memory meanwhile: what is not there is as it was submitted last.
            let _turn = self.reading.lock().await;
            let (over, last) = self.over(after, now).await?;
            let mut transaction = Transaction::new();
            {
                let mut counters = self.counters();
                for key in over.into_iter().filter(|key| own(key)) {
                    let name = String::from_utf8_lossy(&key).into_owned();
                    let counts = |counter: &Counter| counter.reserved > 0 || counter.end > now;
                    if !counters.get(&name).is_some_and(counts) {
                        counters.remove(&name);
                        transaction.delete(&self.keyspace, key);
                    }
                }
                // Ordered to the disk under the lock, as every state of a counter is.
                if !transaction.is_empty() {
                    self.storage.submit(transaction)?;
                }
            }
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }

    /// The counters behind `after` whose periods are over as they were submitted last, and how far was looked; `None`: to
    /// the end.
    async fn over(&self, after: Vec<u8>, now: Millis) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>), StorageError> {
        let (storage, keyspace) = (self.storage.clone(), self.keyspace.clone());
        let read = tokio::task::spawn_blocking(move || {
            let rows = storage.scan(&keyspace, (Bound::Excluded(&after[..]), Bound::Unbounded), false, SWEEP_ROWS)?;
            let mut over = Vec::new();
            for (key, _) in &rows {
                let state = storage.get_submitted(&keyspace, key)?;
                if state.and_then(|state| Counter::decoded(&state)).is_some_and(|counter| counter.end <= now) {
                    over.push(key.to_vec());
                }
            }
            let last = rows.last().filter(|_| rows.len() == SWEEP_ROWS).map(|(key, _)| key.to_vec());
            Ok((over, last))
        });
        read.await.map_err(|_| StorageError::Closed)?
    }

    /// Forgets what is counted under keys.
    pub(crate) async fn remove(&self, keys: &[String]) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        for key in keys {
            self.counters().remove(key);
            transaction.delete(&self.keyspace, key.as_bytes().to_vec());
        }
        if !transaction.is_empty() {
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }

    /// Forgets what is counted for callers that are gone: their ids are what counters' names end with.
    pub(crate) async fn forget(&self, callers: &[String]) -> Result<(), StorageError> {
        if callers.is_empty() {
            return Ok(());
        }
        let (storage, keyspace) = (self.storage.clone(), self.keyspace.clone());
        let all = (Bound::Unbounded, Bound::Unbounded);
        let read = tokio::task::spawn_blocking(move || storage.scan(&keyspace, all, false, usize::MAX));
        let of = |key: &[u8]| key.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().to_vec();
        let gone = |key: &[u8]| callers.iter().any(|id| of(key) == id.as_bytes());
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
            counters.retain(|_, counter| counter.reserved > 0);
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
        let read = tokio::task::spawn_blocking(move || storage.get_submitted(&keyspace, &key));
        let stored = read.await.map_err(|_| StorageError::Closed)??;
        Ok(stored.and_then(|bytes| Counter::decoded(&bytes)).unwrap_or_default())
    }

    fn counters(&self) -> MutexGuard<'_, HashMap<String, Counter>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    /// Calls that are left of an allowance in the period that the counter is in.
    pub(crate) fn left(&self, calls: u64) -> u64 {
        calls.saturating_add_signed(self.granted).saturating_sub(self.calls)
    }

    fn take(&mut self, allowance: Allowance, as_many: u64, now: Millis) -> Result<(), Exceeded> {
        let end = self.renew(allowance.period, now);
        let wait = if end == Millis::MAX { end } else { end - now };
        if allowance.calls.is_some_and(|calls| self.left(calls) == 0) {
            return Err(Exceeded::Calls(wait));
        }
        if allowance.bytes.is_some_and(|bytes| self.bytes >= bytes) {
            return Err(Exceeded::Bytes(wait));
        }
        self.calls = self.calls.saturating_add(as_many);
        Ok(())
    }

    /// Begins anew when the period is over; gives the end of the period.
    fn renew(&mut self, period: Period, now: Millis) -> Millis {
        let fresh = self.calls == 0 && self.bytes == 0 && self.granted == 0;
        let begin = match period {
            Period::Forever if fresh => Some(now),
            Period::FromFirstCall(length) if fresh || now >= self.begin.saturating_add(length) => Some(now),
            Period::Fixed { begin, .. } if fresh || self.begin < begin => Some(begin),
            _ => None,
        };
        if let Some(begin) = begin {
            *self = Self { begin, reserved: self.reserved, ..Self::default() };
        }
        let end = match period {
            Period::Forever => Millis::MAX,
            Period::FromFirstCall(length) => self.begin.saturating_add(length),
            Period::Fixed { end, .. } => end,
        };
        self.end = end.min(now.saturating_add(UNUSED_MAX));
        end
    }

    fn encoded(&self) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        bytes[..8].copy_from_slice(&self.begin.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.calls.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.bytes.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.granted.to_be_bytes());
        bytes[32..].copy_from_slice(&self.end.to_be_bytes());
        bytes
    }

    fn decoded(bytes: &[u8]) -> Option<Self> {
        let (begin, rest) = bytes.split_first_chunk::<8>()?;
        let (calls, rest) = rest.split_first_chunk::<8>()?;
        let (used, rest) = rest.split_first_chunk::<8>()?;
        let granted = rest.first_chunk::<8>().map_or(0, |granted| i64::from_be_bytes(*granted));
        // Without an end it stays until it counts again.
        let end = rest.get(8..).and_then(|rest| rest.first_chunk::<8>());
        Some(Self {
            begin: Millis::from_be_bytes(*begin),
            calls: u64::from_be_bytes(*calls),
            bytes: u64::from_be_bytes(*used),
            granted,
            end: end.map_or(Millis::MAX, |end| Millis::from_be_bytes(*end)),
            reserved: 0,
        })
    }
}

#[cfg(test)]
mod tests;
