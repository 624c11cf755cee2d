//! How far a subscription is: a position in its topic and the events that wait for another attempt, committed together.
//!
//! Everything below the position is settled or waits. Events are settled out of order, so the position is the first one that
//! is not; what lies above it is delivered again after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::outcome::{EndReason, Outcome};

/// An event that waits, as stored. The event itself lies in the topic's stream, which keeps it longer than it may wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// Attempts that were made.
    pub(crate) attempts: u32,
    /// When it is its turn again.
    pub(crate) next: Millis,
    /// When it was published.
    pub(crate) published: Millis,
    /// When the last attempt ended, and how.
    pub(crate) last: Option<(Millis, Outcome)>,
    /// When it was given up, and why: it waits to become a dead letter then.
    pub(crate) ended: Option<(Millis, EndReason)>,
}

/// How far a subscription is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The next event to look at.
    pub(crate) next: u64,
    /// Looked at and wanted, under way to their first outcome.
    open: BTreeSet<u64>,
    waiting: BTreeMap<u64, Waiting>,
    /// Those that wait and are not under way, by their turn.
    due: BTreeSet<(Millis, u64)>,
    /// Waiting events that are not stored as they are.
    changed: BTreeSet<u64>,
    stored_position: u64,
}

impl Progress {
    /// Takes note of an event that was read. Gives whether it is to be begun.
    pub(crate) fn read(&mut self, offset: u64, wanted: bool) -> bool {
        self.next = offset + 1;
        let begin = wanted && !self.waiting.contains_key(&offset);
        if begin {
            self.open.insert(offset);
        }
        begin
    }

    /// Events that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Nothing more is to be done for an event.
    pub(crate) fn settle(&mut self, offset: u64) {
        self.open.remove(&offset);
        if let Some(waiting) = self.waiting.remove(&offset) {
            self.due.remove(&(waiting.next, offset));
            self.changed.insert(offset);
        }
    }

    /// An event waits for its turn.
    pub(crate) fn wait(&mut self, offset: u64, waiting: Waiting) {
        self.open.remove(&offset);
        let next = waiting.next;
        if let Some(before) = self.waiting.insert(offset, waiting) {
            self.due.remove(&(before.next, offset));
        }
        self.due.insert((next, offset));
        self.changed.insert(offset);
    }

    /// Takes the event whose turn it is at `now`; it is under way then.
    pub(crate) fn take_due(&mut self, now: Millis) -> Option<(u64, Waiting)> {
        let &(time, offset) = self.due.first()?;
        if time > now {
            return None;
        }
        self.due.pop_first();
        self.waiting.get(&offset).map(|waiting| (offset, waiting.clone()))
    }

    /// When the next event has its turn.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|&(time, _)| time)
    }

    /// The first event that is not settled and does not wait.
    fn position(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// Whether something is not stored.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.changed.is_empty() || self.position() != self.stored_position
    }
}

const POSITION: &[u8] = b"position";
/// Before the offset, eight bytes big endian.
const WAITING: u8 = b'w';

/// Where the progress of one subscription is kept.
#[derive(Clone)]
pub(crate) struct ProgressStore {
    storage: Storage,
    keyspace: Keyspace,
}

impl ProgressStore {
    pub(crate) fn new(storage: &Storage, subscription: &str) -> Self {
        Self { storage: storage.clone(), keyspace: Keyspace::new(&format!("event/progress/v1/{subscription}")) }
    }

    /// Begins at a position with nothing waiting. All of it is one transaction: a subscription without a position would
    /// begin with the topic's first event.
    pub(crate) async fn begin(&self, position: u64) -> Result<(), StorageError> {
        let store = self.clone();
        let waiting = tokio::task::spawn_blocking(move || store.waiting_keys()).await;
        let mut transaction = Transaction::new();
        for key in waiting.map_err(|_| StorageError::Closed)?? {
            transaction.delete(&self.keyspace, key);
        }
        transaction.put(&self.keyspace, POSITION, position.to_be_bytes().to_vec());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    fn waiting_keys(&self) -> Result<Vec<Bytes>, StorageError> {
        let range = (Bound::Included(&[WAITING][..]), Bound::Unbounded);
        let waiting = self.storage.scan(&self.keyspace, range, false, usize::MAX)?;
        Ok(waiting.into_iter().map(|(key, _)| key).collect())
    }

    /// Adds the removal of everything to a transaction.
    pub(crate) fn remove(&self, transaction: &mut Transaction) {
        transaction.drop_keyspace(&self.keyspace);
    }

    /// The stored progress; `None` when there is none.
    pub(crate) async fn load(&self) -> Result<Option<Progress>, StorageError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.load_now()).await.map_err(|_| StorageError::Closed)?
    }

    fn load_now(&self) -> Result<Option<Progress>, StorageError> {
        let Some(position) = self.storage.get(&self.keyspace, POSITION)? else { return Ok(None) };
        let position = position.as_ref().try_into().map(u64::from_be_bytes);
        let next = position.map_err(|_| self.damaged("the position is not eight bytes"))?;
        let mut progress = Progress { next, stored_position: next, ..Progress::default() };
        let range = (Bound::Included(&[WAITING][..]), Bound::Unbounded);
        for (key, value) in self.storage.scan(&self.keyspace, range, false, usize::MAX)? {
            let offset = key.get(1..).and_then(|offset| offset.try_into().ok()).map(u64::from_be_bytes);
            let offset = offset.ok_or_else(|| self.damaged("a key is no offset"))?;
            let waiting: Waiting = serde_json::from_slice(&value).map_err(|error| self.damaged(&error.to_string()))?;
            progress.due.insert((waiting.next, offset));
            progress.waiting.insert(offset, waiting);
        }
        Ok(Some(progress))
    }

    /// Stores what changed, as one.
    pub(crate) async fn save(&self, progress: &mut Progress) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        let position = progress.position();
        transaction.put(&self.keyspace, POSITION, position.to_be_bytes().to_vec());
        for offset in &progress.changed {
            let key: Vec<u8> = [WAITING].into_iter().chain(offset.to_be_bytes()).collect();
            match progress.waiting.get(offset) {
                // The type holds only numbers and names: it always has a JSON form.
                Some(waiting) => transaction.put(&self.keyspace, key, serde_json::to_vec(waiting).unwrap_or_default()),
                None => transaction.delete(&self.keyspace, key),
            };
        }
        self.storage.commit(transaction).await?;
        progress.changed.clear();
        progress.stored_position = position;
        Ok(())
    }

    fn damaged(&self, detail: &str) -> StorageError {
        StorageError::Damaged { file: self.keyspace.name().to_owned(), position: 0, detail: detail.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::ManualClock;

    use super::*;

    fn waiting(attempts: u32, next: Millis) -> Waiting {
        Waiting { attempts, next, published: 1, last: Some((2, Outcome::Busy)), ended: None }
    }

    #[test]
    fn the_position_is_the_first_event_without_an_outcome() {
        let mut progress = Progress::default();
        for offset in 0..5 {
            assert_eq!(progress.read(offset, offset != 1), offset != 1);
        }
        progress.settle(3);
        assert_eq!(progress.position(), 0);
        progress.wait(0, waiting(1, 50));
        assert_eq!(progress.position(), 2);
        progress.settle(2);
        progress.settle(4);
        assert_eq!(progress.position(), 5);
    }

    #[test]
    fn waiting_events_have_their_turn_in_the_order_of_their_times() {
        let mut progress = Progress::default();
        progress.wait(7, waiting(1, 30));
        progress.wait(8, waiting(1, 20));
        assert_eq!((progress.take_due(10), progress.next_due()), (None, Some(20)));
        assert_eq!(progress.take_due(40).map(|(offset, _)| offset), Some(8));
        assert_eq!(progress.take_due(40).map(|(offset, _)| offset), Some(7));
        assert_eq!((progress.take_due(40), progress.waiting()), (None, 2));
        progress.wait(8, waiting(2, 60));
        progress.settle(7);
        assert_eq!((progress.next_due(), progress.waiting()), (Some(60), 1));
    }

    #[tokio::test]
    async fn what_is_saved_comes_back_whole() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let store = ProgressStore::new(&storage, "orders/all");
        assert!(store.load().await.unwrap().is_none());
        store.begin(4).await.unwrap();
        let mut progress = store.load().await.unwrap().unwrap();
        for offset in 4..8 {
            progress.read(offset, true);
        }
        progress.settle(4);
        progress.wait(6, waiting(3, 90));
        assert!(progress.is_dirty());
        store.save(&mut progress).await.unwrap();
        assert!(!progress.is_dirty());

        let mut again = store.load().await.unwrap().unwrap();
        assert_eq!((again.next, again.waiting()), (5, 1), "5 and 7 had no outcome");
        assert!(again.read(5, true) && !again.read(6, true) && again.read(7, true), "6 waits already");
        assert_eq!(again.take_due(90), Some((6, waiting(3, 90))));
        again.settle(6);
        store.save(&mut again).await.unwrap();
        assert_eq!(store.load().await.unwrap().unwrap().waiting(), 0);
        again.read(7, true);
        again.wait(7, waiting(1, 90));
        store.save(&mut again).await.unwrap();
        store.begin(9).await.unwrap();
        assert_eq!(store.load().await.unwrap().unwrap().waiting(), 0);
        assert_eq!(store.load().await.unwrap().unwrap().next, 9);
    }
}
