//! How events and marks outlive the node: what was added since the last flush becomes one transaction, and what is beyond the
//! bounds is removed with it. Who must know that an entry is durable waits for the flush that takes it, together with all
//! others whose entries came before that flush began. Of what nobody waits for, a crash loses what came since the last flush.
//!
//! Whoever adds an entry takes a lock only for the adding: entries are encoded outside of it.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction, to_the_end};
use millstream_types::ErrorKind;
use serde::{Serialize, de::DeserializeOwned};

/// Bytes that one flush takes: a burst is kept in several.
const FLUSH_BYTES_MAX: usize = 4 << 20;

/// Entries that one flush takes, and that it removes.
const FLUSH_ENTRIES_MAX: usize = 10_000;

/// Bytes that may wait.
const PENDING_BYTES_MAX: usize = 32 << 20;

/// Entries that may wait for a flush; beyond, the oldest are only seen until the node ends.
const PENDING_MAX: usize = 50_000;

/// Entries that are read from the disk at once.
const OPEN_ENTRIES: usize = 256;

/// How long entries wait when the disk takes nothing more just now.
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// What is kept on disk at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Entries.
    pub(crate) entries: usize,
    /// Bytes of their encoding.
    pub(crate) bytes: usize,
}

/// Numbered entries in a keyspace of their own, the last ones within the bounds.
pub(crate) struct Journal<T> {
    storage: Storage,
    keyspace: Keyspace,
    bounds: Bounds,
    pending: Mutex<Pending<T>>,
    stored: Mutex<Stored>,
    /// One flush at a time.
    turn: tokio::sync::Mutex<()>,
}

/// What waits for the next flush.
struct Pending<T> {
    /// Entries with their sizes in memory, and the sum of these.
    entries: VecDeque<(Arc<T>, usize)>,
    bytes: usize,
    /// Entries at the front that a flush under way holds.
    in_flight: usize,
    /// How many entries were added before the first that waits.
    passed: u64,
    /// How many entries were added up to the last that was pushed out.
    lost: u64,
}

impl<T> Pending<T> {
    /// How many entries were added.
    fn added(&self) -> u64 {
        self.passed + self.entries.len() as u64
    }
}

/// What lies on the disk.
struct Stored {
    /// The lowest number there may be: entries from here to the first one kept are to be removed.
    lowest: u64,
    /// Behind the number of the last entry.
    next: u64,
    /// Bytes of each kept entry, oldest first, and their sum.
    sizes: VecDeque<u32>,
    bytes: usize,
    /// What the flush under way changes.
    flight: Flight,
}

#[derive(Default)]
struct Flight {
    sizes: Vec<u32>,
    /// Entries that are let go, oldest first.
    dropped: usize,
    lowest: u64,
}

impl Stored {
    /// The number of the oldest entry that is kept.
    fn first(&self) -> u64 {
        self.next - self.sizes.len() as u64
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Journal<T> {
    /// Opens a journal and gives its entries, oldest first: the last ones within the bounds, read in portions. Reads the
    /// disk.
    pub(crate) fn open(storage: &Storage, name: &str, bounds: Bounds) -> Result<(Self, Vec<T>), StorageError> {
        let keyspace = Keyspace::new(name);
        let all = (Bound::Unbounded, Bound::Unbounded);
        let lowest = storage.scan(&keyspace, all, false, 1)?.first().map(|(key, _)| number(key));
        let mut stored = Stored { lowest: 0, next: 0, sizes: VecDeque::new(), bytes: 0, flight: Flight::default() };
        let mut entries = Vec::new();
        let mut below: Option<Bytes> = None;
        'portions: loop {
            let to = below.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_ref()));
            let portion = storage.scan(&keyspace, (Bound::Unbounded, to), true, OPEN_ENTRIES)?;
            for (key, value) in &portion {
                if below.is_none() {
                    stored.next = number(key) + 1;
                }
                below = Some(key.clone());
                let beyond = stored.sizes.len() >= bounds.entries || stored.bytes + value.len() > bounds.bytes;
                // Entries are numbered without gaps; behind one, what is left cannot be told by its size any more.
                if beyond || number(key) + 1 != stored.first() {
                    break 'portions;
                }
                stored.sizes.push_front(size(value));
                stored.bytes += value.len();
                // An entry of a newer version is passed over: it is only a log line.
                entries.extend(serde_json::from_slice(value).ok());
            }
            if portion.len() < OPEN_ENTRIES {
                break;
            }
        }
        stored.lowest = lowest.unwrap_or_else(|| stored.first());
        entries.reverse();
        let pending = Pending { entries: VecDeque::new(), bytes: 0, in_flight: 0, passed: 0, lost: 0 };
        let journal = Self {
            storage: storage.clone(),
            keyspace,
            bounds,
            pending: Mutex::new(pending),
            stored: Mutex::new(stored),
            turn: tokio::sync::Mutex::default(),
        };
        Ok((journal, entries))
    }

    fn pending(&self) -> MutexGuard<'_, Pending<T>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry of about so many bytes, to be kept by the next flush, and gives how many were added up to it.
    pub(crate) fn push(&self, entry: Arc<T>, bytes: usize) -> u64 {
        let mut pending = self.pending();
        pending.bytes += bytes;
        pending.entries.push_back((entry, bytes));
        let added = pending.added();
        while pending.entries.len() > PENDING_MAX || pending.bytes > PENDING_BYTES_MAX {
            let Some((_, bytes)) = pending.entries.pop_front() else { break };
            pending.bytes -= bytes;
            pending.in_flight = pending.in_flight.saturating_sub(1);
            pending.passed += 1;
            pending.lost = pending.passed;
        }
        added
    }

    /// Whether so many entries of so many bytes can be waited for: half of the room is theirs, so that those that nobody waits
    /// for seldom push them out.
    pub(crate) fn has_room(&self, entries: usize, bytes: usize) -> bool {
        let pending = self.pending();
        pending.entries.len() + entries <= PENDING_MAX / 2 && pending.bytes + bytes <= PENDING_BYTES_MAX / 2
    }

    /// How many entries were added.
    pub(crate) fn added(&self) -> u64 {
        self.pending().added()
    }

    /// Whether one was pushed out of those that were added behind the first so many.
    pub(crate) fn has_lost(&self, behind: u64) -> bool {
        self.pending().lost > behind
    }

    /// Waits until the first so many entries that were added are durable, and sees to it. A flush that was begun ends,
    /// whoever waits for it or not.
    pub(crate) async fn keep(self: &Arc<Self>, up_to: u64) -> Result<(), StorageError> {
        let journal = Arc::clone(self);
        to_the_end(async move {
            let _turn = journal.turn.lock().await;
            while journal.pending().passed < up_to {
                let mut transaction = Transaction::new();
                let count = journal.flush(&mut transaction);
                match journal.storage.commit(transaction).await {
                    Ok(_) => journal.flushed(count),
                    // What was taken is bounded; told to come again, its client would bring it a second time.
                    Err(error) if error.kind() == ErrorKind::Throttled => tokio::time::sleep(BUSY_WAIT).await,
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await
    }

    /// Adds what waits, as far as one flush may take it, to a transaction and gives how many entries that are: they are told
    /// to [`Journal::flushed`] once the transaction is durable.
    fn flush(&self, transaction: &mut Transaction) -> usize {
        let waiting: Vec<Arc<T>> = {
            let mut pending = self.pending();
            pending.in_flight = pending.entries.len().min(FLUSH_ENTRIES_MAX);
            pending.entries.iter().take(FLUSH_ENTRIES_MAX).map(|(entry, _)| Arc::clone(entry)).collect()
        };
        let mut stored = self.stored();
        let (mut bytes, mut values) = (0, Vec::new());
        for entry in &waiting {
            // Entries hold texts and numbers: they always have a JSON form.
            let value = serde_json::to_vec(&**entry).unwrap_or_default();
            if bytes + value.len() > FLUSH_BYTES_MAX && !values.is_empty() {
                break;
            }
            bytes += value.len();
            values.push(value);
        }
        let count = values.len();
        if count > 0 {
            stored.flight = self.replace(&stored, values, transaction);
        }
        // What was pushed out meanwhile was at the front and is counted already.
        let mut pending = self.pending();
        pending.in_flight = pending.in_flight.saturating_sub(waiting.len() - count);
        count
    }

    /// Writes new entries and removes old ones, so that the rest is within the bounds. Of new ones that are too many by
    /// themselves only the last are written.
    fn replace(&self, stored: &Stored, values: Vec<Vec<u8>>, transaction: &mut Transaction) -> Flight {
        let sizes: Vec<u32> = values.iter().map(|value| size(value)).collect();
        let mut entries = stored.sizes.len() + sizes.len();
        let mut bytes = stored.bytes + sum(&sizes);
        let mut dropped = 0;
        for &oldest in stored.sizes.iter().chain(&sizes) {
            if entries <= self.bounds.entries && bytes <= self.bounds.bytes {
                break;
            }
            (entries, bytes, dropped) = (entries - 1, bytes - oldest as usize, dropped + 1);
        }
        let first = stored.first() + dropped as u64;
        for (number, value) in (stored.next..).zip(values).filter(|(number, _)| *number >= first) {
            transaction.put(&self.keyspace, number.to_be_bytes().to_vec(), value);
        }
        let lowest = first.min(stored.lowest + FLUSH_ENTRIES_MAX as u64);
        for gone in stored.lowest..lowest.min(stored.next) {
            transaction.delete(&self.keyspace, gone.to_be_bytes().to_vec());
        }
        Flight { sizes, dropped, lowest }
    }

    /// Notes that the `count` entries of the last flush are durable: those of them that still wait are let go.
    fn flushed(&self, count: usize) {
        if count == 0 {
            return;
        }
        {
            let mut pending = self.pending();
            let held = pending.in_flight.min(pending.entries.len());
            let bytes: usize = pending.entries.drain(..held).map(|(_, bytes)| bytes).sum();
            pending.bytes -= bytes;
            pending.passed += held as u64;
            pending.in_flight = 0;
        }
        let mut stored = self.stored();
        let flight = std::mem::take(&mut stored.flight);
        stored.next += flight.sizes.len() as u64;
        stored.bytes += sum(&flight.sizes);
        stored.sizes.extend(flight.sizes);
        let freed: usize = stored.sizes.drain(..flight.dropped).map(|bytes| bytes as usize).sum();
        stored.bytes -= freed;
        stored.lowest = stored.lowest.max(flight.lowest);
    }
}

fn number(key: &Bytes) -> u64 {
    key.as_ref().try_into().map(u64::from_be_bytes).unwrap_or_default()
}

fn sum(sizes: &[u32]) -> usize {
    sizes.iter().map(|bytes| *bytes as usize).sum()
}

fn size(value: &[u8]) -> u32 {
    u32::try_from(value.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use millstream_types::ManualClock;

    use super::*;

    const SMALL: Bounds = Bounds { entries: 5, bytes: 100 };

    async fn add(journal: &Arc<Journal<String>>, entries: impl IntoIterator<Item = String>) {
        for entry in entries {
            let bytes = entry.len();
            journal.push(Arc::new(entry), bytes);
        }
        journal.keep(journal.added()).await.unwrap();
    }

    fn on_disk(storage: &Storage) -> usize {
        storage.scan(&Keyspace::new("j"), (Bound::Unbounded, Bound::Unbounded), false, usize::MAX).unwrap().len()
    }

    fn open(storage: &Storage, bounds: Bounds) -> (Arc<Journal<String>>, Vec<String>) {
        let (journal, entries) = Journal::open(storage, "j", bounds).unwrap();
        (Arc::new(journal), entries)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_waited_for_is_durable_and_in_order() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let bounds = Bounds { entries: 10_000, bytes: 1 << 20 };
        let (journal, _) = open(&storage, bounds);
        let waiters: Vec<_> = (0..8)
            .map(|waiter| {
                let (journal, storage) = (Arc::clone(&journal), storage.clone());
                tokio::spawn(async move {
                    for n in 0..20 {
                        let up_to = journal.push(Arc::new(format!("{waiter}-{n}")), 8);
                        journal.keep(up_to).await.unwrap();
                        assert!(on_disk(&storage) > n);
                    }
                })
            })
            .collect();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        let (_, kept) = open(&storage, bounds);
        assert_eq!(kept.len(), 160);
        let of_one: Vec<&String> = kept.iter().filter(|entry| entry.starts_with("3-")).collect();
        assert_eq!(of_one, (0..20).map(|n| format!("3-{n}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_pushed_out_is_said() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let (journal, _) = open(&storage, SMALL);
        let waited_for = journal.push(Arc::new("first".to_owned()), 5);
        assert!(journal.has_room(1, 1) && !journal.has_lost(waited_for - 1));
        for _ in 0..PENDING_MAX {
            journal.push(Arc::new(String::new()), 0);
        }
        assert!(!journal.has_room(1, 1) && journal.has_lost(waited_for - 1) && !journal.has_lost(waited_for));
        journal.keep(journal.added()).await.unwrap();
        assert!(journal.has_room(1, 1) && !journal.has_lost(journal.added()));
    }

    #[tokio::test]
    async fn the_last_entries_within_both_bounds_are_kept() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let (journal, none) = open(&storage, SMALL);
        assert!(none.is_empty());
        add(&journal, (0..8).map(|n| n.to_string())).await;
        assert_eq!(
            (on_disk(&storage), open(&storage, SMALL).1),
            (5, ["3", "4", "5", "6", "7"].map(String::from).into())
        );
        // Forty bytes and two quotes each: two of them fit.
        add(&journal, ["x".repeat(40), "y".repeat(40)]).await;
        assert_eq!(on_disk(&storage), 5);
        add(&journal, ["z".repeat(40)]).await;
        let (_, kept) = open(&storage, SMALL);
        assert_eq!((on_disk(&storage), kept), (2, vec!["y".repeat(40), "z".repeat(40)]));
    }

    #[tokio::test]
    async fn a_folder_with_more_than_the_bounds_is_opened_within_them_and_shrinks() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let (journal, _) = open(&storage, Bounds { entries: 10_000, bytes: 1 << 20 });
        add(&journal, (0..1_000).map(|n| n.to_string())).await;
        let (journal, kept) = open(&storage, SMALL);
        assert_eq!(kept, ["995", "996", "997", "998", "999"]);
        add(&journal, ["new".to_owned()]).await;
        let (_, kept) = open(&storage, SMALL);
        assert_eq!((on_disk(&storage), kept), (5, ["996", "997", "998", "999", "new"].map(String::from).into()));
    }
}
