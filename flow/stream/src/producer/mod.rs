//! Producers that number their batches: each batch is taken once and in its order, whatever is sent again.
//!
//! A producer has an id, an epoch that rises when it begins anew, and for each shard sequence numbers that rise by one from
//! record to record. Some announce themselves before they send, others are known from their first batch on. What is known of a producer in a shard (its last few batches) commits with the batch it came from, so
//! it holds through crashes.

mod state;

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use millstream_storage::{Keyspace, Receipt, Storage, StorageError, Ticket, Transaction};
use millstream_types::{BoxFuture, Clock, EncodedRecords, LogId, Millis};

pub use self::state::{Announced, Sequence, Welcome};
use self::state::{Checked, State};
use crate::error::AppendError;
use crate::gate::Gate;

/// Producers of all shards that are remembered, about 10 MiB. Beyond it those that were silent longest are forgotten: what
/// they send next is taken at any number.
const PRODUCERS_MAX: usize = 50_000;
/// How many are forgotten at once then, so that looking for them is rare.
const FORGOTTEN_AT_ONCE: usize = PRODUCERS_MAX / 10;
/// Stored producers read at once when a node starts.
const PAGE: usize = 10_000;
/// How long a repetition waits for its first sending to become durable; a disk that takes longer has failed.
const REPEATED_WAIT: Duration = Duration::from_secs(10);
const KEYSPACE: &str = "producer";

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

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The offset of its first record.
    pub offset: u64,
    /// Whether it was there before.
    pub repeated: bool,
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
    /// The batch is there from this offset on, or on its way there.
    Repeated(LogId, Sequence, u64),
    Refused(AppendError),
}

/// A producer in a shard.
type Known = (LogId, u64);

/// Takes batches of producers. Cheap to clone.
#[derive(Clone)]
pub struct Producers {
    storage: Storage,
    clock: Arc<dyn Clock>,
    keyspace: Keyspace,
    known: Arc<Mutex<HashMap<Known, State>>>,
    gate: Gate,
}

impl std::fmt::Debug for Producers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Producers")
    }
}

impl Producers {
    /// Reads what is known of producers; `gate` is the stream engine's. Reads the disk: not for an async worker.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open(storage: Storage, clock: Arc<dyn Clock>, gate: Gate) -> Result<Self, StorageError> {
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
        Ok(Self { storage, clock, keyspace, known: Arc::new(Mutex::new(known)), gate })
    }

    /// Gives batches their places, those of producers in their order. All that are taken become durable together. Never
    /// blocks on the disk; two calls of one thread keep their order.
    #[must_use]
    pub fn append(&self, batches: Vec<ShardBatch>) -> Appending {
        // Held over the submit, so that batches come into the log in the order in which they were checked.
        let mut known = batches.iter().any(|batch| batch.sequence.is_some()).then(|| self.known());
        let passing = self.gate.pass();
        let mut transaction = Transaction::new();
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut changes: Vec<(Known, State, usize)> = Vec::new();
        let mut repeated: Vec<Known> = Vec::new();
        let mut appends = 0;
        for ShardBatch { log, records, sequence } in batches {
            if passing.is_closed(log) {
                outcomes.push(Outcome::Refused(AppendError::ShardClosed));
                continue;
            }
            if let (Some(sequence), Some(known)) = (sequence, &mut known) {
                let of_producer = (log, sequence.producer);
                let before = changes.iter().rev().find(|(other, ..)| *other == of_producer).map(|(_, state, _)| state);
                let before = before.or_else(|| known.get(&of_producer));
                let checked = match before {
                    Some(state) => state.check(sequence, records.count()),
                    None if sequence.announced => Err(AppendError::UnknownProducer),
                    None => Ok(Checked::Next),
                };
                match checked {
                    Ok(Checked::Next) => {}
                    Ok(Checked::Repeated(offset)) => {
                        outcomes.push(Outcome::Repeated(log, sequence, offset));
                        continue;
                    }
                    Err(refusal) => {
                        if matches!(refusal, AppendError::Repeated { .. }) {
                            repeated.push(of_producer);
                        }
                        outcomes.push(Outcome::Refused(refusal));
                        continue;
                    }
                }
                let state = State::after(before, sequence, records.count(), self.clock.now());
                changes.push((of_producer, state, appends));
            }
            transaction.append(log, records);
            outcomes.push(Outcome::Appended(appends, sequence.map(|sequence| (log, sequence))));
            appends += 1;
        }
        // Written again: a transaction behind the one that took them is not durable before it.
        repeated.retain(|again| !changes.iter().any(|(changed, ..)| changed == again));
        for of_producer in repeated {
            if let Some(state) = known.as_ref().and_then(|known| known.get(&of_producer)) {
                transaction.put(&self.keyspace, encode_key(of_producer), state.encode());
            }
        }
        if transaction.is_empty() {
            return Appending { ticket: None, outcomes, producers: self.clone() };
        }
        if let Some(known) = &mut known {
            self.forget(known, &mut transaction);
        }
        for (of_producer, state, _) in &changes {
            transaction.put(&self.keyspace, encode_key(*of_producer), state.encode());
        }
        let ticket = self.storage.submit(transaction);
        drop(passing);
        if let (Ok(ticket), Some(known)) = (&ticket, &mut known) {
            for (of_producer, mut state, append) in changes {
                state.place_latest(ticket.receipt().base_offsets.get(append).copied());
                known.insert(of_producer, state);
            }
        }
        drop(known);
        Appending { ticket: Some(ticket), outcomes, producers: self.clone() }
    }

    /// Takes a producer of a shard that announces itself.
    ///
    /// # Errors
    /// [`AppendError::Fenced`] when a higher epoch holds; [`AppendError::Storage`].
    pub fn announce(&self, log: LogId, announced: Announced) -> BoxFuture<'_, Result<Welcome, AppendError>> {
        Box::pin(async move {
            let (welcome, ticket) = self.submit_announced(log, announced)?;
            ticket.durable().await?;
            Ok(welcome)
        })
    }

    fn submit_announced(&self, log: LogId, announced: Announced) -> Result<(Welcome, Ticket), AppendError> {
        let of_producer = (log, announced.producer);
        let mut known = self.known();
        let (state, welcome) = State::announced(known.get(&of_producer), announced, self.clock.now())?;
        let mut transaction = Transaction::new();
        self.forget(&mut known, &mut transaction);
        transaction.put(&self.keyspace, encode_key(of_producer), state.encode());
        let ticket = self.storage.submit(transaction)?;
        known.insert(of_producer, state);
        Ok((welcome, ticket))
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
            // Later ones are taken back too, should they have become durable all the same: their order is gone.
            state.take_back(sequence.first);
        }
    }
}

impl Appending {
    /// Waits until what was taken is durable; gives for each batch where it is, in the order of the batches.
    pub fn durable(self) -> BoxFuture<'static, Vec<Result<Placed, AppendError>>> {
        Box::pin(async move {
            let Self { ticket, outcomes, producers } = self;
            let receipt = match ticket {
                None => None,
                Some(Err(error)) => Some(Err(error)),
                Some(Ok(ticket)) => Some(ticket.durable().await),
            };
            let mut answers = Vec::with_capacity(outcomes.len());
            for outcome in outcomes {
                answers.push(match outcome {
                    Outcome::Refused(error) => Err(match &receipt {
                        Some(Err(failed)) => AppendError::Storage(failed.clone()),
                        _ => error,
                    }),
                    Outcome::Appended(append, taken) => producers
                        .appended(receipt.as_ref(), append, taken)
                        .map(|offset| Placed { offset, repeated: false }),
                    Outcome::Repeated(log, sequence, offset) => {
                        producers.came(log, sequence, offset).await.map(|offset| Placed { offset, repeated: true })
                    }
                });
            }
            answers
        })
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

    /// Waits until a batch that came before is durable: it may be under way on another connection, and fail there.
    async fn came(&self, log: LogId, sequence: Sequence, offset: u64) -> Result<u64, AppendError> {
        let mut end = self.storage.watch(log);
        let there = tokio::time::timeout(REPEATED_WAIT, end.wait_for(|end| *end > offset)).await;
        let still = self.known().get(&(log, sequence.producer)).is_some_and(|state| state.has(sequence, offset));
        match there {
            Ok(Ok(_)) if still => Ok(offset),
            _ => Err(AppendError::Storage(StorageError::Closed)),
        }
    }
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
        Producers::open(storage.clone(), Arc::new(ManualClock::at(1)), Gate::default()).unwrap()
    }

    fn batch(first: i32, count: u32, epoch: i16) -> ShardBatch {
        let mut records = EncodedRecords::default();
        (0..count).for_each(|_| records.push(b"", b"", b"x"));
        ShardBatch { log: LOG, records, sequence: Some(Sequence { producer: 1, epoch, first, announced: false }) }
    }

    async fn put(producers: &Producers, batch: ShardBatch) -> Result<u64, AppendError> {
        producers.append(vec![batch]).durable().await.remove(0).map(|placed| placed.offset)
    }

    #[tokio::test]
    async fn batches_are_taken_once_and_in_their_order() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1)));
        let producers = producers(&storage);
        assert_eq!(put(&producers, batch(0, 2, 0)).await.unwrap(), 0);
        assert_eq!(put(&producers, batch(2, 1, 0)).await.unwrap(), 2);
        assert_eq!(put(&producers, batch(0, 2, 0)).await.unwrap(), 0, "sent again");
        assert!(matches!(
            put(&producers, batch(9, 1, 0)).await,
            Err(AppendError::OutOfSequence { found: 9, expected: 3 })
        ));
        assert!(matches!(put(&producers, batch(1, 1, 0)).await, Err(AppendError::Repeated { .. })));
        assert_eq!(put(&producers, batch(0, 1, 1)).await.unwrap(), 3, "a new epoch begins at 0");
        assert!(matches!(put(&producers, batch(3, 1, 0)).await, Err(AppendError::Fenced { found: 0, known: 1 })));
        assert_eq!(storage.bounds(LOG).next, 4);
    }

    #[tokio::test]
    async fn who_announces_itself_is_told_where_it_is_and_displaces_others() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1)));
        let producers = producers(&storage);
        let announced = |epoch| Announced { producer: 1, epoch, last: None };
        assert_eq!(producers.announce(LOG, announced(None)).await.unwrap(), Welcome { epoch: 0, last: 0 });
        let numbered = |first, count, epoch| {
            let batch = batch(first, count, epoch);
            let sequence = batch.sequence.map(|sequence| Sequence { announced: true, ..sequence });
            ShardBatch { sequence, ..batch }
        };
        let sent = vec![numbered(1, 2, 0), numbered(1, 2, 0), numbered(4, 1, 0), numbered(3, 1, 0)];
        let answers = producers.append(sent).durable().await;
        assert_eq!(answers[0].as_ref().unwrap(), &Placed { offset: 0, repeated: false });
        assert!(matches!(answers[1], Err(AppendError::Repeated { .. })), "{answers:?}");
        assert!(matches!(answers[2], Err(AppendError::OutOfSequence { expected: 3, .. })), "{answers:?}");
        assert_eq!(answers[3].as_ref().unwrap().offset, 2);
        for repeated in [false, true] {
            let placed = producers.append(vec![numbered(4, 1, 0)]).durable().await.remove(0).unwrap();
            assert_eq!(placed, Placed { offset: 3, repeated });
        }
        assert_eq!(producers.announce(LOG, announced(Some(1))).await.unwrap(), Welcome { epoch: 1, last: 4 });
        assert!(matches!(put(&producers, numbered(5, 1, 0)).await, Err(AppendError::Fenced { known: 1, .. })));
        let stranger = ShardBatch { log: LogId(8), ..numbered(1, 1, 0) };
        assert!(matches!(put(&producers, stranger).await, Err(AppendError::UnknownProducer)));
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
        let offsets: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok().map(|placed| placed.offset)).collect();
        assert_eq!(offsets, [Some(0), None, Some(1), Some(2)]);
    }

    #[tokio::test]
    async fn what_did_not_become_durable_comes_first_again() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(1)));
        let producers = producers(&storage);
        put(&producers, batch(0, 1, 0)).await.unwrap();
        put(&producers, batch(1, 1, 0)).await.unwrap();
        producers.take_back(LOG, Sequence { producer: 1, epoch: 0, first: 0, announced: false });
        assert!(matches!(put(&producers, batch(1, 1, 0)).await, Err(AppendError::OutOfSequence { .. })));
        assert_eq!(put(&producers, batch(0, 1, 0)).await.unwrap(), 2);
    }
}
