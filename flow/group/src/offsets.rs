//! How far a group has read each shard: one small value a shard, in the key-value store.
//!
//! An offset belongs to a shard's log and not to a name, so what a group has read of a stream says nothing of another one
//! that is made under the same name later.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::{Buf as _, BufMut as _, Bytes};
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::{LogId, Millis};

/// Bytes that may be said of an offset.
pub const METADATA_BYTES_MAX: usize = 4 << 10;

const KEYSPACE: &str = "group/offsets";
const VERSION: u8 = 1;
/// Values read at once.
const PAGE: usize = 10_000;
/// Offsets of logs that are gone that are forgotten at once: what fits into a transaction well.
const FORGOTTEN_AT_ONCE: usize = 10_000;

/// A group's name; those of one space know nothing of another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId {
    /// Where it is, at most 255 bytes.
    pub space: String,
    /// Its name there, 1 to 255 bytes.
    pub name: String,
}

/// How far a shard is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The first offset that is not read.
    pub offset: u64,
    /// What the consumer said of it.
    pub metadata: String,
    /// When it said so.
    pub time: Millis,
}

/// The offsets of all groups. Blocks: not for an async worker.
#[derive(Clone)]
pub(crate) struct Offsets {
    storage: Storage,
    keyspace: Keyspace,
}

impl Offsets {
    pub(crate) fn new(storage: Storage) -> Self {
        Self { storage, keyspace: Keyspace::new(KEYSPACE) }
    }

    /// All groups that have offsets.
    pub(crate) fn groups(&self) -> Result<BTreeSet<GroupId>, StorageError> {
        let mut groups = BTreeSet::new();
        self.each((Bound::Unbounded, Bound::Unbounded), |key, _| {
            groups.extend(decode_key(key).map(|(group, _)| group))
        })?;
        Ok(groups)
    }

    /// The offsets of a group.
    pub(crate) fn of_group(&self, group: &GroupId) -> Result<BTreeMap<LogId, Committed>, StorageError> {
        let mut found = BTreeMap::new();
        let (first, last) = (key(group, LogId(0)), key(group, LogId(u64::MAX)));
        self.each((Bound::Included(&first), Bound::Included(&last)), |key, value| {
            if let (Some((_, log)), Some(committed)) = (decode_key(key), decode(value)) {
                found.insert(log, committed);
            }
        })?;
        Ok(found)
    }

    /// A transaction that keeps offsets.
    pub(crate) fn keep(&self, group: &GroupId, offsets: &[(LogId, Committed)]) -> Transaction {
        let mut transaction = Transaction::new();
        for (log, committed) in offsets {
            transaction.put(&self.keyspace, key(group, *log), encode(committed));
        }
        transaction
    }

    /// A transaction that forgets a group's offsets.
    pub(crate) fn forget(&self, group: &GroupId) -> Result<Transaction, StorageError> {
        let mut transaction = Transaction::new();
        for log in self.of_group(group)?.into_keys() {
            transaction.delete(&self.keyspace, key(group, log));
        }
        Ok(transaction)
    }

    /// A transaction that forgets the offsets of logs that are not there any more, of some of them when there are very
    /// many. `there` is asked after the offsets were read, so that no log that came since is taken for one that is gone.
    pub(crate) fn forget_logs(&self, there: impl FnOnce() -> BTreeSet<LogId>) -> Result<Transaction, StorageError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let mut logs = BTreeSet::new();
        self.each(all, |key, _| logs.extend(decode_key(key).map(|(_, log)| log)))?;
        let gone: BTreeSet<LogId> = logs.difference(&there()).copied().collect();
        let mut keys = Vec::new();
        if !gone.is_empty() {
            self.each(all, |key, _| {
                let is_gone = decode_key(key.clone()).is_some_and(|(_, log)| gone.contains(&log));
                if is_gone && keys.len() < FORGOTTEN_AT_ONCE {
                    keys.push(key);
                }
            })?;
        }
        let mut transaction = Transaction::new();
        for key in keys {
            transaction.delete(&self.keyspace, key);
        }
        Ok(transaction)
    }

    fn each(
        &self,
        (mut from, to): (Bound<&[u8]>, Bound<&[u8]>),
        mut found: impl FnMut(Bytes, Bytes),
    ) -> Result<(), StorageError> {
        let mut last: Bytes;
        loop {
            let page = self.storage.scan(&self.keyspace, (from, to), false, PAGE)?;
            let full = page.len() == PAGE;
            let Some((key, _)) = page.last() else { return Ok(()) };
            last = key.clone();
            page.into_iter().for_each(|(key, value)| found(key, value));
            if !full {
                return Ok(());
            }
            from = Bound::Excluded(&last);
        }
    }
}

/// Space and name behind their lengths, then the log's number.
fn prefix(group: &GroupId) -> Vec<u8> {
    let mut key = Vec::with_capacity(group.space.len() + group.name.len() + 10);
    for part in [&group.space, &group.name] {
        key.put_u8(part.len() as u8);
        key.put_slice(part.as_bytes());
    }
    key
}

fn key(group: &GroupId, log: LogId) -> Vec<u8> {
    let mut key = prefix(group);
    key.put_u64(log.0);
    key
}

fn decode_key(mut key: Bytes) -> Option<(GroupId, LogId)> {
    let mut part = || {
        let length = usize::from(key.try_get_u8().ok()?);
        let bytes = (length <= key.len()).then(|| key.split_to(length))?;
        std::str::from_utf8(&bytes).ok().map(str::to_owned)
    };
    let group = GroupId { space: part()?, name: part()? };
    Some((group, LogId(key.try_get_u64().ok()?)))
}

fn encode(committed: &Committed) -> Vec<u8> {
    let mut out = Vec::with_capacity(17 + committed.metadata.len());
    out.put_u8(VERSION);
    out.put_u64(committed.offset);
    out.put_i64(committed.time);
    out.put_slice(committed.metadata.as_bytes());
    out
}

fn decode(mut value: Bytes) -> Option<Committed> {
    if value.try_get_u8().ok()? != VERSION {
        return None;
    }
    let (offset, time) = (value.try_get_u64().ok()?, value.try_get_i64().ok()?);
    Some(Committed { offset, time, metadata: String::from_utf8(value.to_vec()).ok()? })
}
