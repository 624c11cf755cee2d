//! What is made durable as one.

use std::sync::Arc;

use bytes::Bytes;
use millstream_types::{EncodedRecords, LogId, Millis};
use tokio::sync::oneshot;

use crate::error::StorageError;

/// A named, ordered map of the key-value store. Names: letters, digits, `-`, `_`, `.`, `/`; at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keyspace(Arc<str>);

impl Keyspace {
    /// The keyspace of that name; made at its first write.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Records for the end of one log.
#[derive(Debug, Clone)]
pub struct Append {
    /// Where to.
    pub log: LogId,
    /// What.
    pub records: EncodedRecords,
}

/// One change of the key-value store.
#[derive(Debug, Clone)]
pub struct Write {
    /// Which map.
    pub keyspace: Keyspace,
    /// At most 64 KiB.
    pub key: Bytes,
    /// `None` deletes.
    pub value: Option<Bytes>,
}

/// Changes that become durable together.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    pub(crate) appends: Vec<Append>,
    pub(crate) writes: Vec<Write>,
    pub(crate) trims: Vec<(LogId, u64)>,
    pub(crate) dropped_logs: Vec<LogId>,
    pub(crate) dropped_keyspaces: Vec<Keyspace>,
}

impl Transaction {
    /// An empty transaction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends records to a log (made at its first append). The order of appends is the order of
    /// [`Receipt::base_offsets`].
    pub fn append(&mut self, log: LogId, records: EncodedRecords) -> &mut Self {
        self.appends.push(Append { log, records });
        self
    }

    /// Sets a key.
    pub fn put(&mut self, keyspace: &Keyspace, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.writes.push(Write { keyspace: keyspace.clone(), key: key.into(), value: Some(value.into()) });
        self
    }

    /// Removes a key; no error when there is none.
    pub fn delete(&mut self, keyspace: &Keyspace, key: impl Into<Bytes>) -> &mut Self {
        self.writes.push(Write { keyspace: keyspace.clone(), key: key.into(), value: None });
        self
    }

    /// Lets a log begin at `first`: records before it may go.
    pub fn trim_log(&mut self, log: LogId, first: u64) -> &mut Self {
        self.trims.push((log, first));
        self
    }

    /// Removes a log with all its records.
    pub fn drop_log(&mut self, log: LogId) -> &mut Self {
        self.dropped_logs.push(log);
        self
    }

    /// Removes a keyspace with all its keys.
    pub fn drop_keyspace(&mut self, keyspace: &Keyspace) -> &mut Self {
        self.dropped_keyspaces.push(keyspace.clone());
        self
    }

    /// The logs that it appends to.
    pub fn logs(&self) -> impl Iterator<Item = LogId> {
        self.appends.iter().map(|append| append.log)
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.appends.is_empty()
            && self.writes.is_empty()
            && self.trims.is_empty()
            && self.dropped_logs.is_empty()
            && self.dropped_keyspaces.is_empty()
    }
}

/// Where a transaction landed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The journal's number of it; rises from transaction to transaction.
    pub lsn: u64,
    /// The append time given to its records; never falls from transaction to transaction.
    pub append_time: Millis,
    /// The offset of the first record of each append, in the order of the appends.
    pub base_offsets: Vec<u64>,
}

/// A submitted transaction: its place is decided, its durability is under way.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) receipt: Receipt,
    pub(crate) durable: oneshot::Receiver<Result<(), StorageError>>,
}

impl Ticket {
    /// Where it will be once durable. Not to be told to a client before [`Ticket::durable`] resolves.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Waits until it is on disk and readable.
    ///
    /// # Errors
    /// [`StorageError::Poisoned`], [`StorageError::DiskFull`] or [`StorageError::Closed`]: it is not known to be durable
    /// and must not be acknowledged.
    pub async fn durable(self) -> Result<Receipt, StorageError> {
        match self.durable.await {
            Ok(Ok(())) => Ok(self.receipt),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StorageError::Closed),
        }
    }
}
