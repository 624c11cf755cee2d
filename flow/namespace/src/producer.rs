//! Producers that number what they send, so that what they send again after a lost answer is kept once.
//!
//! A producer has an epoch and, in each partition, the sequence number of the last record taken from it. Both are stored in
//! the transaction of the records themselves. A higher epoch displaces whoever sends with a lower one.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use millstream_storage::{Keyspace, Receipt, Storage, StorageError, Ticket, Transaction};
use millstream_stream::{Entry, StagedPut, StreamError, Streams};
use millstream_types::{Clock, LogId, Millis};

use crate::error::NamespaceError;
use crate::policy::Random;

/// Producers that a partition remembers; the one that was silent the longest makes room for another.
const PRODUCERS_MAX: usize = 1_000;

/// The form of what is stored.
const VERSION: u8 = 1;

/// Ids are made of so many bits: clients in languages whose numbers are floats keep them exact.
const ID_MASK: u64 = (1 << 53) - 1;

/// What a producer says of itself; what it leaves out is decided here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    /// Its id, when it was here before.
    pub id: Option<i64>,
    /// Its epoch.
    pub epoch: Option<i16>,
    /// The sequence number of the last record that it knows to be taken.
    pub sequence: Option<i32>,
}

/// A producer of a partition, as both sides know it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// It goes on behind this sequence number.
    pub sequence: i32,
}

/// Records with their numbers, for one partition.
#[derive(Debug)]
pub struct Sequenced {
    /// The hub's stream.
    pub stream: String,
    /// The partition.
    pub partition: u32,
    /// Who sends.
    pub producer: i64,
    /// Its epoch.
    pub epoch: i16,
    /// The number of the first record; the others follow.
    pub first: i32,
    /// The records, one at least.
    pub entries: Vec<Entry>,
}

/// What becomes of records with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are next, and were appended.
    Taken,
    /// They were taken before.
    Repeated,
    /// There is a gap before them, or they were taken in part.
    OutOfOrder {
        /// The number that is next.
        expected: i32,
    },
    /// Another epoch holds.
    Displaced {
        /// It.
        current: i16,
    },
    /// The producer is not known: it was silent for too long, or never announced itself.
    Unknown,
}

/// What is known of the producers of all partitions. Cheap to clone.
#[derive(Clone)]
pub struct Producers {
    storage: Storage,
    streams: Streams,
    clock: Arc<dyn Clock>,
    random: Random,
    keyspace: Keyspace,
    /// Held from reading a state until what depends on it is submitted.
    turn: Arc<Mutex<()>>,
}

impl Producers {
    pub(crate) fn new(storage: Storage, streams: Streams, clock: Arc<dyn Clock>, random: Random) -> Self {
        let keyspace = Keyspace::new("namespace/producers");
        Self { storage, streams, clock, random, keyspace, turn: Arc::default() }
    }

    /// Takes a producer of a partition.
    ///
    /// # Errors
    /// [`NamespaceError::ProducerEpoch`] when a higher epoch holds; [`NamespaceError::Stream`].
    pub async fn announce(
        &self,
        stream: &str,
        partition: u32,
        announced: Announced,
    ) -> Result<Producer, NamespaceError> {
        let log = self.log(stream, partition)?;
        let this = self.clone();
        let (producer, ticket) = blocking(move || this.submit_announced(log, announced)).await?;
        ticket.durable().await?;
        Ok(producer)
    }

    fn submit_announced(&self, log: LogId, announced: Announced) -> Result<(Producer, Ticket), NamespaceError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let id = announced.id.unwrap_or_else(|| self.new_id());
        let known = self.state(log, id)?;
        let (producer, last) = welcome(known, id, announced)?;
        let mut transaction = Transaction::new();
        if known.is_none() {
            self.make_room(log, &mut transaction)?;
        }
        let state = State { epoch: producer.epoch, last, touched: self.clock.now() };
        transaction.put(&self.keyspace, key(log, id), state.encode());
        Ok((producer, self.storage.submit(transaction)?))
    }

    /// Makes a transaction durable and with it those of the numbered records that are next. Its first `appends` are the
    /// caller's. Gives where everything landed and, for each of the numbered, what became of it.
    ///
    /// # Errors
    /// [`StreamError`]: nothing was taken.
    pub async fn commit(
        &self,
        transaction: Transaction,
        appends: usize,
        sequenced: Vec<Sequenced>,
    ) -> Result<(Receipt, Vec<(Verdict, Option<StagedPut>)>), StreamError> {
        let this = self.clone();
        let (ticket, outcomes) = blocking(move || this.submit(transaction, appends, &sequenced)).await?;
        Ok((ticket.durable().await?, outcomes))
    }

    #[allow(clippy::type_complexity)] // Both are what `commit` gives on.
    fn submit(
        &self,
        mut transaction: Transaction,
        mut appends: usize,
        sequenced: &[Sequenced],
    ) -> Result<(Ticket, Vec<(Verdict, Option<StagedPut>)>), StreamError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states: Vec<(LogId, i64, Option<State>)> = Vec::new();
        let mut outcomes = Vec::with_capacity(sequenced.len());
        for one in sequenced {
            let log = self.log(&one.stream, one.partition)?;
            let at = match states.iter().position(|(known, id, _)| (*known, *id) == (log, one.producer)) {
                Some(at) => at,
                None => {
                    states.push((log, one.producer, self.state(log, one.producer)?));
                    states.len() - 1
                }
            };
            let Some(state) = &mut states[at].2 else {
                outcomes.push((Verdict::Unknown, None));
                continue;
            };
            let count = u32::try_from(one.entries.len()).unwrap_or(u32::MAX);
            let verdict = state.judge(one.epoch, one.first, count);
            let mut staged = None;
            if verdict == Verdict::Taken {
                state.last = advanced(one.first, count - 1);
                let put = &one.entries;
                let put = self.streams.stage_to_shard(&one.stream, one.partition, put, &mut transaction, appends)?;
                appends += put.appends();
                staged = Some(put);
            }
            outcomes.push((verdict, staged));
        }
        // Written for repeated ones too: a transaction behind the one that took them is not durable before it.
        for (log, id, state) in states {
            let Some(state) = state else { continue };
            let state = State { touched: self.clock.now(), ..state };
            transaction.put(&self.keyspace, key(log, id), state.encode());
        }
        Ok((self.storage.submit(transaction)?, outcomes))
    }

    /// Forgets the producers of a stream's partitions.
    pub(crate) async fn remove(&self, logs: Vec<LogId>) -> Result<(), StorageError> {
        let this = self.clone();
        let found = blocking(move || {
            let mut transaction = Transaction::new();
            for log in logs {
                for (key, _) in this.all(log)? {
                    transaction.delete(&this.keyspace, key);
                }
            }
            Ok::<_, StorageError>(transaction)
        });
        let transaction = found.await?;
        if !transaction.is_empty() {
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }

    fn log(&self, stream: &str, partition: u32) -> Result<LogId, StreamError> {
        let found = self.streams.get(stream)?;
        let shard = found.shards.iter().find(|shard| shard.index == partition);
        let missing = || StreamError::ShardNotFound { stream: stream.to_owned(), shard: partition.to_string() };
        shard.map(|shard| shard.log()).ok_or_else(missing)
    }

    fn state(&self, log: LogId, id: i64) -> Result<Option<State>, StorageError> {
        Ok(self.storage.get_submitted(&self.keyspace, &key(log, id))?.and_then(State::decode))
    }

    fn all(&self, log: LogId) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let (from, to) = (log.0.to_be_bytes(), (log.0 + 1).to_be_bytes());
        let range = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
        self.storage.scan(&self.keyspace, range, false, PRODUCERS_MAX)
    }

    fn make_room(&self, log: LogId, transaction: &mut Transaction) -> Result<(), StorageError> {
        let all = self.all(log)?;
        if all.len() < PRODUCERS_MAX {
            return Ok(());
        }
        let touched = |value: &Bytes| State::decode(value.clone()).map_or(Millis::MIN, |state| state.touched);
        if let Some((oldest, _)) = all.into_iter().min_by_key(|(_, value)| touched(value)) {
            transaction.delete(&self.keyspace, oldest);
        }
        Ok(())
    }

    fn new_id(&self) -> i64 {
        let random = (self.random)();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&random[..8]);
        (u64::from_be_bytes(bytes) & ID_MASK).cast_signed()
    }
}

/// Runs what may read the disk off the async workers.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StorageError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(StorageError::Closed.into()))
}

fn key(log: LogId, id: i64) -> Bytes {
    let mut key = BytesMut::with_capacity(16);
    key.put_u64(log.0);
    key.put_i64(id);
    key.freeze()
}

/// What is stored of a producer in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    epoch: i16,
    last: i32,
    touched: Millis,
}

impl State {
    fn encode(self) -> Bytes {
        let mut out = BytesMut::with_capacity(15);
        out.put_u8(VERSION);
        out.put_i16(self.epoch);
        out.put_i32(self.last);
        out.put_i64(self.touched);
        out.freeze()
    }

    fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let (epoch, last) = (bytes.try_get_i16().ok()?, bytes.try_get_i32().ok()?);
        Some(Self { epoch, last, touched: bytes.try_get_i64().ok()? })
    }

    fn judge(&self, epoch: i16, first: i32, count: u32) -> Verdict {
        if epoch != self.epoch {
            return Verdict::Displaced { current: self.epoch };
        }
        let expected = advanced(self.last, 1);
        if first == expected {
            return Verdict::Taken;
        }
        // Numbers go around: what lies less than half of them back was there before.
        let end = advanced(first, count.saturating_sub(1));
        let back = (i64::from(self.last) - i64::from(end)).rem_euclid(1 << 31);
        if back < 1 << 30 { Verdict::Repeated } else { Verdict::OutOfOrder { expected } }
    }
}

/// What a producer is told, and up to where its records count as taken.
fn welcome(known: Option<State>, id: i64, announced: Announced) -> Result<(Producer, i32), NamespaceError> {
    let Some(known) = known else {
        let sequence = announced.sequence.unwrap_or(0);
        return Ok((Producer { id, epoch: announced.epoch.unwrap_or(0), sequence }, sequence));
    };
    // Whoever says no epoch begins a new one.
    let epoch = announced.epoch.unwrap_or_else(|| known.epoch.saturating_add(1));
    if epoch < known.epoch {
        return Err(NamespaceError::ProducerEpoch { producer: id, current: known.epoch, found: epoch });
    }
    let sequence = announced.sequence.unwrap_or(known.last);
    // In its epoch it may know less than was taken: the answer was lost, and it sends again what is passed over.
    let last = if epoch == known.epoch { known.last.max(sequence) } else { sequence };
    Ok((Producer { id, epoch, sequence }, last))
}

/// A number some steps on; behind the largest comes 0.
fn advanced(number: i32, by: u32) -> i32 {
    let sum = i64::from(number) + i64::from(by);
    i32::try_from(if sum > i64::from(i32::MAX) { sum - (1 << 31) } else { sum }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: State = State { epoch: 3, last: 10, touched: 0 };

    #[test]
    fn only_what_is_next_is_taken() {
        for (epoch, first, count, expected) in [
            (3, 11, 1, Verdict::Taken),
            (3, 11, 100, Verdict::Taken),
            (3, 10, 1, Verdict::Repeated),
            (3, 1, 10, Verdict::Repeated),
            (3, 9, 5, Verdict::OutOfOrder { expected: 11 }),
            (3, 12, 1, Verdict::OutOfOrder { expected: 11 }),
            (2, 11, 1, Verdict::Displaced { current: 3 }),
        ] {
            assert_eq!(STATE.judge(epoch, first, count), expected, "{epoch} {first} {count}");
        }
    }

    #[test]
    fn numbers_go_around() {
        let state = State { last: i32::MAX, ..STATE };
        assert_eq!(state.judge(3, 0, 2), Verdict::Taken);
        assert_eq!(advanced(i32::MAX - 1, 3), 1);
        let state = State { last: 1, ..STATE };
        assert_eq!(state.judge(3, i32::MAX, 2), Verdict::Repeated);
    }

    #[test]
    fn a_known_producer_goes_on_where_it_was() {
        let told = |epoch, sequence| welcome(Some(STATE), 7, Announced { id: Some(7), epoch, sequence });
        assert_eq!(told(Some(3), Some(8)).unwrap(), (Producer { id: 7, epoch: 3, sequence: 8 }, 10));
        assert_eq!(told(Some(3), None).unwrap(), (Producer { id: 7, epoch: 3, sequence: 10 }, 10));
        assert_eq!(told(Some(4), Some(0)).unwrap(), (Producer { id: 7, epoch: 4, sequence: 0 }, 0));
        assert_eq!(told(None, None).unwrap().0.epoch, 4);
        assert!(matches!(told(Some(2), None), Err(NamespaceError::ProducerEpoch { current: 3, found: 2, .. })));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        assert_eq!(State::decode(STATE.encode()), Some(STATE));
        assert_eq!(State::decode(Bytes::from_static(&[9])), None);
    }
}
