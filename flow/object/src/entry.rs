//! What is kept of an object besides its file, and when it is believed.
//!
//! An entry names the length and the time of the file that it belongs to. When the file has others, somebody else wrote
//! it (a person, or a write that a crash cut off between file and entry): the object is then what its file says.

use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, Transaction};
use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::error::ObjectError;
use crate::lease::Lease;
use crate::name::hash_of_key;
use crate::object::{BlockInfo, CopyRecord, Object, ObjectKind, Properties, SnapshotId, Version};
use crate::store::FileState;

/// The entry of an object, as stored. The format's version is part of its keyspace's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    length: u64,
    /// Nanoseconds since the epoch, as the file system gives the file's time.
    file_time: i64,
    etag: String,
    created: Millis,
    modified: Millis,
    kind: ObjectKind,
    properties: Properties,
    #[serde(default)]
    append_blocks: u32,
    #[serde(default)]
    copy: Option<CopyRecord>,
    #[serde(default)]
    lease: Option<Lease>,
}

/// The entries of all buckets. Reads touch the disk: not for an async worker.
#[derive(Clone)]
pub(crate) struct Entries {
    storage: Storage,
}

impl Entries {
    pub(crate) fn new(storage: Storage) -> Self {
        Self { storage }
    }

    /// What the file's state and its entry say together.
    pub(crate) fn object(&self, version: Version<'_>, file: FileState) -> Result<Object, ObjectError> {
        let Version { bucket, key, .. } = version;
        let row = Row::of(version);
        let Some(bytes) = self.storage.get(&row.entries, &row.key)? else { return Ok(of_file(version, file)) };
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|error| unreadable(bucket, key, &error))?;
        Ok(if entry.describes(file) { entry.object(version) } else { of_file(version, file) })
    }

    /// The blocks that the object was made from; empty when it was written otherwise.
    pub(crate) fn blocks(&self, bucket: &str, object: &Object) -> Result<Vec<BlockInfo>, ObjectError> {
        let key = &object.key;
        let row = Row::of(Version { bucket, key, snapshot: object.snapshot });
        let Some(bytes) = self.storage.get(&row.blocks, &row.key)? else { return Ok(Vec::new()) };
        let blocks: Vec<BlockInfo> = serde_json::from_slice(&bytes).map_err(|error| unreadable(bucket, key, &error))?;
        // Somebody else may have written the file since: blocks of another length are not its blocks.
        let whole = blocks.iter().map(|block| block.length).sum::<u64>() == object.length;
        Ok(if whole { blocks } else { Vec::new() })
    }

    /// Makes an object's entry durable; `blocks` are what it was made from, `None` leaves them as they are.
    pub(crate) async fn put(
        &self,
        bucket: &str,
        object: &Object,
        file: FileState,
        blocks_of: Option<&[BlockInfo]>,
    ) -> Result<(), ObjectError> {
        let mut transaction = Transaction::new();
        // What is stored holds only texts, numbers and maps with text keys: they always have a JSON form.
        let value = serde_json::to_vec(&Entry::new(object, file)).unwrap_or_default();
        let row = Row::of(Version { bucket, key: &object.key, snapshot: object.snapshot });
        transaction.put(&row.entries, row.key.clone(), value);
        match blocks_of {
            None => {}
            Some([]) => {
                transaction.delete(&row.blocks, row.key);
            }
            Some(list) => {
                let value = serde_json::to_vec(list).unwrap_or_default();
                transaction.put(&row.blocks, row.key, value);
            }
        }
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// Removes what is kept of an object, or of these of its snapshots.
    pub(crate) async fn remove(
        &self,
        bucket: &str,
        key: &str,
        which: impl IntoIterator<Item = Option<SnapshotId>>,
    ) -> Result<(), ObjectError> {
        let mut transaction = Transaction::new();
        for snapshot in which {
            let row = Row::of(Version { bucket, key, snapshot });
            transaction.delete(&row.entries, row.key.clone()).delete(&row.blocks, row.key);
        }
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// The snapshots of an object behind one, oldest first, at most `limit`.
    pub(crate) fn snapshots(
        &self,
        bucket: &str,
        key: &str,
        behind: SnapshotId,
        limit: usize,
    ) -> Result<Vec<SnapshotId>, ObjectError> {
        let hash = hash_of_key(key);
        let (from, to) = (snapshot_row(&hash, behind), snapshot_row(&hash, SnapshotId::MAX));
        let range = (Bound::Excluded(&from[..]), Bound::Included(&to[..]));
        let rows = self.storage.scan(&snapshots(bucket), range, false, limit)?;
        let id = |row: &Bytes| row.last_chunk().map(|id| SnapshotId::from_be_bytes(*id));
        Ok(rows.iter().filter_map(|(row, _)| id(row)).collect())
    }

    /// Whether a version may be there: an object is by its file, a snapshot by its entry.
    pub(crate) fn counts(&self, version: Version<'_>) -> Result<bool, ObjectError> {
        match version.snapshot {
            None => Ok(true),
            Some(id) => self.has_snapshot(version.bucket, &hash_of_key(version.key), id),
        }
    }

    /// Whether an object has this snapshot, by the hash of its key.
    pub(crate) fn has_snapshot(&self, bucket: &str, hash: &[u8], id: SnapshotId) -> Result<bool, ObjectError> {
        Ok(self.storage.get(&snapshots(bucket), &snapshot_row(hash, id))?.is_some())
    }

    /// A bucket's lease, or what is left of one.
    pub(crate) fn bucket_lease(&self, bucket: &str) -> Result<Option<Lease>, ObjectError> {
        let Some(bytes) = self.storage.get(&bucket_leases(), bucket.as_bytes())? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(bucket, "", &error))
    }

    /// Keeps a bucket's lease; `None`: there is none any more.
    pub(crate) async fn put_bucket_lease(&self, bucket: &str, lease: Option<&Lease>) -> Result<(), ObjectError> {
        let mut transaction = Transaction::new();
        let key = bucket.as_bytes().to_vec();
        match lease {
            // Texts and numbers always have a JSON form.
            Some(lease) => transaction.put(&bucket_leases(), key, serde_json::to_vec(lease).unwrap_or_default()),
            None => transaction.delete(&bucket_leases(), key),
        };
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// Adds the removal of all entries of a bucket to a transaction.
    pub(crate) fn remove_bucket(bucket: &str, transaction: &mut Transaction) {
        transaction.drop_keyspace(&entries(bucket)).drop_keyspace(&blocks(bucket));
        transaction.drop_keyspace(&snapshots(bucket)).drop_keyspace(&snapshot_blocks(bucket));
        transaction.delete(&bucket_leases(), bucket.as_bytes().to_vec());
    }
}

impl Entry {
    fn new(object: &Object, file: FileState) -> Self {
        Self {
            length: object.length,
            file_time: file.time,
            etag: object.etag.clone(),
            created: object.created,
            modified: object.modified,
            kind: object.kind,
            properties: object.properties.clone(),
            append_blocks: object.append_blocks,
            copy: object.copy.clone(),
            lease: object.lease.clone(),
        }
    }

    /// An append writes to the file before the entry: what is longer there was never acknowledged and does not count.
    fn describes(&self, file: FileState) -> bool {
        match self.kind {
            ObjectKind::Whole => self.length == file.length && self.file_time == file.time,
            ObjectKind::Append => self.length <= file.length,
        }
    }

    fn object(self, version: Version<'_>) -> Object {
        Object {
            key: version.key.to_owned(),
            snapshot: version.snapshot,
            length: self.length,
            etag: self.etag,
            created: self.created,
            modified: self.modified,
            kind: self.kind,
            properties: self.properties,
            append_blocks: self.append_blocks,
            copy: self.copy,
            lease: self.lease,
        }
    }
}

/// The object that a file without a matching entry is.
fn of_file(version: Version<'_>, file: FileState) -> Object {
    let modified = file.time.div_euclid(1_000_000);
    Object {
        key: version.key.to_owned(),
        snapshot: version.snapshot,
        length: file.length,
        etag: format!("{:X}{:X}", file.time, file.length),
        created: modified,
        modified,
        ..Object::default()
    }
}

/// Where something is kept of an object or a snapshot.
struct Row {
    entries: Keyspace,
    blocks: Keyspace,
    key: Bytes,
}

impl Row {
    fn of(version: Version<'_>) -> Self {
        let Version { bucket, key, snapshot } = version;
        match snapshot {
            None => {
                let key = Bytes::copy_from_slice(key.as_bytes());
                Self { entries: entries(bucket), blocks: blocks(bucket), key }
            }
            Some(id) => {
                let key = snapshot_row(&hash_of_key(key), id).into();
                Self { entries: snapshots(bucket), blocks: snapshot_blocks(bucket), key }
            }
        }
    }
}

/// Snapshots of an object are together, in the order of their times.
fn snapshot_row(hash: &[u8], id: SnapshotId) -> Vec<u8> {
    [hash, &id.to_be_bytes()].concat()
}

fn snapshots(bucket: &str) -> Keyspace {
    Keyspace::new(&format!("object/snapshots/v1/{bucket}"))
}

fn snapshot_blocks(bucket: &str) -> Keyspace {
    Keyspace::new(&format!("object/snapshot-blocks/v1/{bucket}"))
}

fn entries(bucket: &str) -> Keyspace {
    Keyspace::new(&format!("object/entries/v1/{bucket}"))
}

fn blocks(bucket: &str) -> Keyspace {
    Keyspace::new(&format!("object/blocks/v1/{bucket}"))
}

fn bucket_leases() -> Keyspace {
    Keyspace::new("object/leases/v1")
}

fn unreadable(bucket: &str, key: &str, error: &serde_json::Error) -> ObjectError {
    ObjectError::Unreadable { bucket: bucket.to_owned(), key: key.to_owned(), reason: error.to_string() }
}
