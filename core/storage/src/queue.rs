//! What is submitted and not yet readable: the order of transactions, and the keys that they will change.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use millstream_types::{LogId, Millis};
use tokio::sync::oneshot;

use crate::error::StorageError;
use crate::frame::Body;
use crate::transaction::{Keyspace, Receipt};

/// A transaction with its place.
pub(crate) struct Pending {
    pub(crate) receipt: Receipt,
    pub(crate) body: Body,
    pub(crate) durable: oneshot::Sender<Result<(), StorageError>>,
}

/// The order of transactions. Under one lock, which is never held while the disk works.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) pending: VecDeque<Pending>,
    /// Bytes of frames in `pending` and with the committer.
    pub(crate) waiting_bytes: usize,
    pub(crate) last_lsn: u64,
    pub(crate) last_time: Millis,
    /// The append time of the first transaction that the committer works on.
    pub(crate) committing_since: Option<Millis>,
    /// The next offset of logs, with what is submitted; a log that is missing here has what is published.
    pub(crate) next_offsets: HashMap<LogId, u64>,
    pub(crate) overlay: HashMap<Keyspace, Overlay>,
    /// The first disk error: nothing is accepted any more.
    pub(crate) poison: Option<String>,
    pub(crate) closed: bool,
    pub(crate) committer_sleeps: bool,
}

/// Submitted changes of one keyspace that the key-value store does not have yet.
#[derive(Default)]
pub(crate) struct Overlay {
    dropped_lsn: Option<u64>,
    keys: HashMap<Bytes, (u64, Option<Bytes>)>,
}

/// What the overlay says about a key.
pub(crate) enum Submitted {
    /// It will have this value, or none.
    Value(Option<Bytes>),
    /// Nothing is submitted for it.
    Unchanged,
}

impl Queue {
    /// Why nothing is accepted, if so.
    pub(crate) fn refusal(&self) -> Option<StorageError> {
        if let Some(reason) = &self.poison {
            return Some(StorageError::Poisoned { reason: reason.clone() });
        }
        self.closed.then_some(StorageError::Closed)
    }

    /// Enters a transaction's keys.
    pub(crate) fn overlay_writes(&mut self, body: &Body, lsn: u64) {
        for write in &body.writes {
            if !self.overlay.contains_key(&write.keyspace) {
                self.overlay.insert(write.keyspace.clone(), Overlay::default());
            }
            if let Some(overlay) = self.overlay.get_mut(&write.keyspace) {
                overlay.keys.insert(write.key.clone(), (lsn, write.value.clone()));
            }
        }
        for keyspace in &body.dropped_keyspaces {
            let overlay = self.overlay.entry(keyspace.clone()).or_default();
            overlay.keys.clear();
            overlay.dropped_lsn = Some(lsn);
        }
    }

    /// Looks a key up among the submitted changes.
    pub(crate) fn submitted(&self, keyspace: &Keyspace, key: &[u8]) -> Submitted {
        let Some(overlay) = self.overlay.get(keyspace) else { return Submitted::Unchanged };
        match overlay.keys.get(key) {
            Some((_, value)) => Submitted::Value(value.clone()),
            None if overlay.dropped_lsn.is_some() => Submitted::Value(None),
            None => Submitted::Unchanged,
        }
    }

    /// Takes a transaction's keys out, now that the key-value store has them.
    pub(crate) fn forget(&mut self, body: &Body, lsn: u64) {
        for write in &body.writes {
            if let Some(overlay) = self.overlay.get_mut(&write.keyspace)
                && overlay.keys.get(&write.key).is_some_and(|(last, _)| *last == lsn)
            {
                overlay.keys.remove(&write.key);
            }
        }
        for keyspace in &body.dropped_keyspaces {
            if let Some(overlay) = self.overlay.get_mut(keyspace)
                && overlay.dropped_lsn == Some(lsn)
            {
                overlay.dropped_lsn = None;
            }
        }
        let touched = body.writes.iter().map(|write| &write.keyspace).chain(&body.dropped_keyspaces);
        for keyspace in touched {
            if self.overlay.get(keyspace).is_some_and(|left| left.keys.is_empty() && left.dropped_lsn.is_none()) {
                self.overlay.remove(keyspace);
            }
        }
    }

    /// Takes everything that waits, to refuse it, and turns the order back to what is published.
    pub(crate) fn turn_back(&mut self, published_lsn: u64) -> VecDeque<Pending> {
        self.last_lsn = published_lsn;
        self.waiting_bytes = 0;
        self.committing_since = None;
        self.next_offsets.clear();
        self.overlay.clear();
        std::mem::take(&mut self.pending)
    }
}
