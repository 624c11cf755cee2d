//! What is kept of an object besides its file, and when it is believed.
//!
//! An entry names the length and the time of the file that it belongs to. When the file has others, somebody else wrote
//! it (a person, or a write that a crash cut off between file and entry): the object is then what its file says.

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, Transaction};
use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::error::ObjectError;
use crate::lease::Lease;
use crate::object::{BlockInfo, CopyRecord, Object, ObjectKind, Properties};
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
    pub(crate) fn object(&self, bucket: &str, key: &str, file: FileState) -> Result<Object, ObjectError> {
        let Some(bytes) = self.storage.get(&entries(bucket), key.as_bytes())? else { return Ok(of_file(key, file)) };
        let entry: Entry = serde_json::from_slice(&bytes).map_err(|error| unreadable(bucket, key, &error))?;
        Ok(if entry.describes(file) { entry.object(key) } else { of_file(key, file) })
    }

    /// The blocks that the object was made from; empty when it was written otherwise.
    pub(crate) fn blocks(&self, bucket: &str, object: &Object) -> Result<Vec<BlockInfo>, ObjectError> {
        let key = &object.key;
        let Some(bytes) = self.storage.get(&blocks(bucket), key.as_bytes())? else { return Ok(Vec::new()) };
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
        let key = Bytes::copy_from_slice(object.key.as_bytes());
        transaction.put(&entries(bucket), key.clone(), value);
        match blocks_of {
            None => {}
            Some([]) => {
                transaction.delete(&blocks(bucket), key);
            }
            Some(list) => {
                let value = serde_json::to_vec(list).unwrap_or_default();
                transaction.put(&blocks(bucket), key, value);
            }
        }
        self.storage.commit(transaction).await?;
        Ok(())
    }

    pub(crate) async fn remove(&self, bucket: &str, key: &str) -> Result<(), ObjectError> {
        let mut transaction = Transaction::new();
        transaction.delete(&entries(bucket), key.as_bytes().to_vec());
        transaction.delete(&blocks(bucket), key.as_bytes().to_vec());
        self.storage.commit(transaction).await?;
        Ok(())
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

    fn object(self, key: &str) -> Object {
        Object {
            key: key.to_owned(),
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
fn of_file(key: &str, file: FileState) -> Object {
    let modified = file.time.div_euclid(1_000_000);
    Object {
        key: key.to_owned(),
        length: file.length,
        etag: format!("{:X}{:X}", file.time, file.length),
        created: modified,
        modified,
        ..Object::default()
    }
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
