//! Producers that number their batches: each batch is taken once and in its order, whatever is sent again.
//!
//! A producer has an id, an epoch that rises when it begins anew, and for each shard sequence numbers that rise by one from
//! record to record. What is known of a producer in a shard (its last few batches) commits with the batch it came from, so
//! it holds through crashes.

use std::collections::{HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use millstream_storage::{Keyspace, Receipt, Storage, StorageError, Ticket, Transaction};
use millstream_types::{Clock, EncodedRecords, LogId, Millis};

use crate::error::AppendError;

/// Producers of all shards that are remembered, about 10 MiB. Beyond it those that were silent longest are forgotten: what
/// they send next is taken at any number.
const PRODUCERS_MAX: usize = 50_000;
/// How many are forgotten at once then, so that looking for them is rare.
const FORGOTTEN_AT_ONCE: usize = PRODUCERS_MAX / 10;
/// Batches of a producer by which a repetition is known: as many as a producer may have under way.
const BATCHES_KEPT: usize = 5;
/// Stored producers read at once when a node starts.
const PAGE: usize = 10_000;
/// How long a repetition waits for its first sending to become durable; a disk that takes longer has failed.
const REPEATED_WAIT: Duration = Duration::from_secs(10);
const KEYSPACE: &str = "producer";
const VERSION: u8 = 1;

/// Which batch of which producer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// The producer.
    pub producer: u64,
    /// Its epoch, 0 or more.
    pub epoch: i16,
    /// The number of the batch's first record, 0 or more; behind `i32::MAX` comes 0.
    pub first: i32,
}

/// Records for the end of one shard.
#[derive(Debug, Clone)]
pub struct ShardBatch {
    /// The shard's log.
    pub log: LogId,
    /// What is to be appended; one record at least.
    pub records: EncodedRecords,
    /// Which batch of a producer it is, when the producer numbers its batches.
    pub sequence: Option<Sequence>,
}

/// Batches that were given their places and are on their way to the disk.
#[derive(Debug)]
pub struct Appending {
    ticket: Option<Result<Ticket, StorageError>>,
    outcomes: Vec<Outcome>,
    producers: Producers,
}

#[derive(Debug)]
enum Outcome {
    /// Which append of the transaction it is, and what to take back when it does not become durable.
    Appended(usize, Option<(LogId, Sequence)>),
    /// The batch is there since `base_offset`, or on its way there.
    Repeated {
        log: LogId,
        base_offset: u64,
        next_offset: u64,
    },
    Refused(AppendError),
}

/// A producer in a shard.
type Known = (LogId, u64);

/// What is known of a producer in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    epoch: i16,
    used: Millis,
    /// The last batches, the latest last.
    batches: VecDeque<Batch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    first: i32,
    last: i32,
    /// Where it begins. The offset is given after the state is written, so a restart forgets it for the latest batch.
    base_offset: Option<u64>,
}

/// An offset that is not known, as it is stored.
const NO_OFFSET: u64 = u64::MAX;

/// Takes batches of producers. Cheap to clone.
#[derive(Clone)]
pub struct Producers {
    storage: Storage,
    clock: Arc<dyn Clock>,
    keyspace: Keyspace,
    known: Arc<Mutex<HashMap<Known, State>>>,
}

impl std::fmt::Debug for Producers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Producers")
    }
}

impl Producers {
    /// Reads what is known of producers. Reads the disk: not for an async worker.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(storage: Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let keyspace = Keyspace::new(KEYSPACE);
        let mut known = HashMap::new();
        let mut after: Option<Bytes> = None;
        loop {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = storage.scan(&keyspace, (from, Bound::Unbounded), false, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            known.extend(page.into_iter().filter_map(|(key, value)| Some((decode_key(key)?, State::decode(value)?))));
        }
        Ok(Self { storage, clock, keyspace, known: Arc::new(Mutex::new(known)) })
    }

    /// Gives batches their places, those of producers in their order. All that are taken become durable together. Never
    /// blocks on the disk; two calls of one thread keep their order.
    #[must_use]
    pub fn append(&self, batches: Vec<ShardBatch>) -> Appending {
        // Held over the submit, so that batches come into the log in the order in which they were checked.
        let mut known = batches.iter().any(|batch| batch.sequence.is_some()).then(|| self.known());
        let mut transaction = Transaction::new();
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut changes: Vec<(Known, State, usize)> = Vec::new();
        let mut appends = 0;
        for ShardBatch { log, records, sequence } in batches {
            if let (Some(sequence), Some(known)) = (sequence, &mut known) {
                let of_producer = (log, sequence.producer);
                let before = changes.iter().rev().find(|(other, ..)| *other == of_producer).map(|(_, state, _)| state);
                let before = before.or_else(|| known.get(&of_producer));
                if let Some(Err(outcome)) = before.map(|state| state.check(log, sequence, records.count())) {
                    outcomes.push(outcome);
                    continue;
                }
                let state = State::after(before, sequence, records.count(), self.clock.now());
                changes.push((of_producer, state, appends));
            }
            transaction.append(log, records);
            outcomes.push(Outcome::Appended(appends, sequence.map(|sequence| (log, sequence))));
            appends += 1;
        }
        if appends == 0 {
            return Appending { ticket: None, outcomes, producers: self.clone() };
        }
        if let Some(known) = &mut known {
            self.forget(known, &mut transaction);
        }
        for (of_producer, state, _) in &changes {
            transaction.put(&self.keyspace, encode_key(*of_producer), state.encode());
        }
        let ticket = self.storage.submit(transaction);
        if let (Ok(ticket), Some(known)) = (&ticket, &mut known) {
            for (of_producer, mut state, append) in changes {
                if let Some(latest) = state.batches.back_mut() {
                    latest.base_offset = ticket.receipt().base_offsets.get(append).copied();
                }
                known.insert(of_producer, state);
            }
        }
        drop(known);
        Appending { ticket: Some(ticket), outcomes, producers: self.clone() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Known, State>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room when there are too many.
    fn forget(&self, known: &mut HashMap<Known, State>, transaction: &mut Transaction) {
        if known.len() < PRODUCERS_MAX {
            return;
        }
        let mut by_use: Vec<(Millis, Known)> = known.iter().map(|(key, state)| (state.used, *key)).collect();
        by_use.select_nth_unstable(FORGOTTEN_AT_ONCE);
        for (_, key) in &by_use[..FORGOTTEN_AT_ONCE] {
            known.remove(key);
            transaction.delete(&self.keyspace, encode_key(*key));
        }
    }

    /// Takes back what did not become durable: the producer sends it again.
    fn take_back(&self, log: LogId, sequence: Sequence) {
        let of_producer = (log, sequence.producer);
        let mut known = self.known();
        if let Some(state) = known.get_mut(&of_producer).filter(|state| state.epoch == sequence.epoch) {
            if let Some(at) = state.batches.iter().position(|batch| batch.first == sequence.first) {
                state.batches.truncate(at);
            }
            if state.batches.is_empty() {
                known.remove(&of_producer);
            }
        }
    }
}

impl Appending {
    /// Waits until what was taken is durable; gives for each batch the offset of its first record, in the order of the
    /// batches. A batch that was there before has the offset that it got then.
    pub async fn durable(self) -> Vec<Result<u64, AppendError>> {
        let Self { ticket, outcomes, producers } = self;
        let receipt = match ticket {
            None => None,
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(ticket)) => Some(ticket.durable().await),
        };
        let mut answers = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            answers.push(match outcome {
                Outcome::Refused(error) => Err(error),
                Outcome::Appended(append, taken) => producers.appended(receipt.as_ref(), append, taken),
                Outcome::Repeated { log, base_offset, next_offset } => {
                    producers.came(log, next_offset).await.map(|()| base_offset)
                }
            });
        }
        answers
    }
}

impl Producers {
    fn appended(
        &self,
        receipt: Option<&Result<Receipt, StorageError>>,
        append: usize,
        taken: Option<(LogId, Sequence)>,
    ) -> Result<u64, AppendError> {
        match receipt {
            Some(Ok(receipt)) => Ok(receipt.base_offsets.get(append).copied().unwrap_or_default()),
            Some(Err(error)) => {
                if let Some((log, sequence)) = taken {
                    self.take_back(log, sequence);
                }
                Err(AppendError::Storage(error.clone()))
            }
            None => Err(AppendError::Storage(StorageError::Closed)),
        }
    }

    /// Waits until a batch that came before is durable: it may be under way on another connection.
    async fn came(&self, log: LogId, next_offset: u64) -> Result<(), AppendError> {
        let mut end = self.storage.watch(log);
        let there = end.wait_for(|end| *end >= next_offset);
        match tokio::time::timeout(REPEATED_WAIT, there).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(AppendError::Storage(StorageError::Closed)),
        }
    }
}

impl State {
    fn check(&self, log: LogId, sequence: Sequence, count: u32) -> Result<(), Outcome> {
        if sequence.epoch < self.epoch {
            let known = self.epoch;
            return Err(Outcome::Refused(AppendError::Fenced { found: sequence.epoch, known }));
        }
        if sequence.epoch > self.epoch {
            let starts = sequence.first == 0;
            return if starts {
                Ok(())
            } else {
                Err(Outcome::Refused(AppendError::OutOfSequence { found: sequence.first }))
            };
        }
        let last = last_of(sequence.first, count);
        if let Some(batch) = self.batches.iter().find(|batch| (batch.first, batch.last) == (sequence.first, last)) {
            return Err(match batch.base_offset {
                Some(base_offset) => {
                    Outcome::Repeated { log, base_offset, next_offset: base_offset + u64::from(count) }
                }
                None => Outcome::Refused(AppendError::Repeated { found: sequence.first }),
            });
        }
        match self.batches.back() {
            Some(latest) if sequence.first == next(latest.last) => Ok(()),
            Some(latest) if last <= latest.last => {
                Err(Outcome::Refused(AppendError::Repeated { found: sequence.first }))
            }
            Some(_) => Err(Outcome::Refused(AppendError::OutOfSequence { found: sequence.first })),
            None => Ok(()),
        }
    }

    fn after(before: Option<&Self>, sequence: Sequence, count: u32, now: Millis) -> Self {
        let same = before.filter(|before| before.epoch == sequence.epoch);
        let mut batches = same.map(|before| before.batches.clone()).unwrap_or_default();
        while batches.len() >= BATCHES_KEPT {
            batches.pop_front();
        }
        batches.push_back(Batch { first: sequence.first, last: last_of(sequence.first, count), base_offset: None });
        Self { epoch: sequence.epoch, used: now, batches }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(11 + 16 * self.batches.len());
        out.put_u8(VERSION);
        out.put_i16(self.epoch);
        out.put_i64(self.used);
        for batch in &self.batches {
            out.put_i32(batch.first);
            out.put_i32(batch.last);
            out.put_u64(batch.base_offset.unwrap_or(NO_OFFSET));
        }
        out
    }

    fn decode(mut value: Bytes) -> Option<Self> {
        if value.try_get_u8().ok()? != VERSION {
            return None;
        }
        let (epoch, used) = (value.try_get_i16().ok()?, value.try_get_i64().ok()?);
        let mut batches = VecDeque::new();
        while !value.is_empty() {
            let (first, last) = (value.try_get_i32().ok()?, value.try_get_i32().ok()?);
            let base_offset = Some(value.try_get_u64().ok()?).filter(|offset| *offset != NO_OFFSET);
            batches.push_back(Batch { first, last, base_offset });
        }
        Some(Self { epoch, used, batches })
    }
}

/// The number behind a number.
fn next(number: i32) -> i32 {
    if number == i32::MAX { 0 } else { number + 1 }
}

/// The number of a batch's last record.
fn last_of(first: i32, count: u32) -> i32 {
    let last = i64::from(first) + i64::from(count) - 1;
    // Behind the largest number comes 0.
    (last % (i64::from(i32::MAX) + 1)) as i32
}

fn encode_key((log, producer): Known) -> Vec<u8> {
    [log.0.to_be_bytes(), producer.to_be_bytes()].concat()
}

fn decode_key(mut key: Bytes) -> Option<Known> {
    Some((LogId(key.try_get_u64().ok()?), key.try_get_u64().ok()?))
}

#[cfg(test)]
mod tests {
    use millstream_types::ManualClock;

    use super::*;

    const LOG: LogId = LogId(7);

    fn producers(storage: &Storage) -> Producers {
        Producers::open(storage.clone(), Arc::new(ManualClock::at(1))).unwrap()
    }

    fn batch(first: i32, count: u32, epoch: i16) -> ShardBatch {
        let mut records = EncodedRecords::default();
        (0..count).for_each(|_| records.push(b"", b"", b"x"));
        ShardBatch { log: LOG, records, sequence: Some(Sequence { producer: 1, epoch, first }) }
    }

    async fn put(producers: &Producers, batch: ShardBatch) -> Result<u64, AppendError> {
        producers.append(vec![batch]).durable().await.remove(0)
    }

    #[tokio::test]
    async fn batches_are_taken_once_and_in_their_order() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1)));
        let producers = producers(&storage);
        assert_eq!(put(&producers, batch(0, 2, 0)).await.unwrap(), 0);
        assert_eq!(put(&producers, batch(2, 1, 0)).await.unwrap(), 2);
        assert_eq!(put(&producers, batch(0, 2, 0)).await.unwrap(), 0, "sent again");
        assert!(matches!(put(&producers, batch(9, 1, 0)).await, Err(AppendError::OutOfSequence { found: 9 })));
        assert!(matches!(put(&producers, batch(1, 1, 0)).await, Err(AppendError::Repeated { .. })));
        assert_eq!(put(&producers, batch(0, 1, 1)).await.unwrap(), 3, "a new epoch begins at 0");
        assert!(matches!(put(&producers, batch(3, 1, 0)).await, Err(AppendError::Fenced { found: 0, known: 1 })));
        assert_eq!(storage.bounds(LOG).next, 4);
    }

    #[tokio::test]
    async fn what_is_known_holds_through_a_restart() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1)));
        for first in 0..7 {
            put(&producers(&storage), batch(first, 1, 0)).await.unwrap();
        }
        let again = producers(&storage);
        assert!(matches!(put(&again, batch(6, 1, 0)).await, Err(AppendError::Repeated { .. })));
        assert!(matches!(put(&again, batch(8, 1, 0)).await, Err(AppendError::OutOfSequence { .. })));
        assert_eq!(put(&again, batch(7, 1, 0)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn one_request_may_hold_batches_that_fail_and_others() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1)));
        let producers = producers(&storage);
        let plain = ShardBatch { sequence: None, ..batch(0, 1, 0) };
        let answers = producers.append(vec![batch(0, 1, 0), batch(5, 1, 0), batch(1, 1, 0), plain]).durable().await;
        let offsets: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok().copied()).collect();
        assert_eq!(offsets, [Some(0), None, Some(1), Some(2)]);
    }

    #[test]
    fn behind_the_largest_number_comes_zero() {
        assert_eq!((last_of(i32::MAX, 1), last_of(i32::MAX, 2)), (i32::MAX, 0));
        assert_eq!((next(i32::MAX), next(4)), (0, 5));
    }
}
