//! What is kept of a query at work: positions and state, in one value under the query's name.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};

use super::delivery::growth::ObjectPlace;
use crate::executor::state::{Reader, StateError, Writer};

/// The first byte of a checkpoint.
const VERSION: u8 = 1;

/// Positions and state of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The next offset to read, by log.
    pub(super) positions: BTreeMap<u64, u64>,
    /// The executor's snapshot.
    pub(super) state: Vec<u8>,
    /// Tells the state of another query text: such a state is not taken up.
    pub(super) sql_hash: u64,
}

impl Checkpoint {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(vec![VERSION]);
        writer.int(self.sql_hash.cast_signed());
        writer.count(self.positions.len());
        for (log, offset) in &self.positions {
            writer.int(log.cast_signed());
            writer.int(offset.cast_signed());
        }
        writer.bytes(&self.state);
        writer.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let Some((&VERSION, rest)) = bytes.split_first() else { return Err(StateError) };
        let mut reader = Reader(rest);
        let sql_hash = reader.int()?.cast_unsigned();
        let mut positions = BTreeMap::new();
        for _ in 0..reader.count()? {
            positions.insert(reader.int()?.cast_unsigned(), reader.int()?.cast_unsigned());
        }
        Ok(Self { positions, state: reader.bytes()?.to_vec(), sql_hash })
    }
}

/// Where checkpoints are kept.
#[derive(Clone)]
pub(super) struct Checkpoints {
    storage: Storage,
    keyspace: Keyspace,
}

impl Checkpoints {
    pub(super) fn new(storage: Storage) -> Self {
        Self { storage, keyspace: Keyspace::new("query/checkpoint") }
    }

    /// A query's checkpoint. Works off the async workers.
    pub(super) async fn load(&self, query: &str) -> Result<Option<Checkpoint>, StorageError> {
        let Some(bytes) = self.get(query.to_owned()).await? else { return Ok(None) };
        let damaged = |error: StateError| StorageError::Damaged {
            file: format!("checkpoint of query {query}"),
            position: 0,
            detail: error.to_string(),
        };
        Checkpoint::decode(&bytes).map(Some).map_err(damaged)
    }

    pub(super) fn save(&self, query: &str, checkpoint: &Checkpoint, transaction: &mut Transaction) {
        transaction.put(&self.keyspace, query.as_bytes().to_vec(), checkpoint.encode());
    }

    /// How far an output's rows are delivered.
    pub(super) async fn delivered(&self, query: &str, output: &str) -> Result<u64, StorageError> {
        Ok(self.objects(query, output).await?.written())
    }

    pub(super) async fn set_delivered(&self, query: &str, output: &str, next: u64) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        transaction.put(&self.keyspace, delivery_key(query, output), next.to_be_bytes().to_vec());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// Which rows of an output are in objects.
    pub(super) async fn objects(&self, query: &str, output: &str) -> Result<ObjectPlace, StorageError> {
        let Some(bytes) = self.get(delivery_key(query, output)).await? else { return Ok(ObjectPlace::default()) };
        if let Ok(resume) = bytes.as_ref().try_into() {
            return Ok(ObjectPlace::at(u64::from_be_bytes(resume)));
        }
        serde_json::from_slice(&bytes).map_err(|error| StorageError::Damaged {
            file: format!("place of output {output} of query {query}"),
            position: 0,
            detail: error.to_string(),
        })
    }

    pub(super) async fn set_objects(&self, query: &str, output: &str, place: &ObjectPlace) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        // Numbers and texts: that cannot fail.
        let place = serde_json::to_vec(place).unwrap_or_default();
        transaction.put(&self.keyspace, delivery_key(query, output), place);
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// Drops a query's positions and state; how far its rows are delivered stays.
    pub(super) async fn forget_positions(&self, query: &str) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        transaction.delete(&self.keyspace, query.as_bytes().to_vec());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// Adds the removal of all that is kept of a query to a transaction, of outputs that it has no more, too.
    pub(super) async fn remove(&self, query: &str, transaction: &mut Transaction) -> Result<(), StorageError> {
        transaction.delete(&self.keyspace, query.as_bytes().to_vec());
        let (store, first) = (self.clone(), delivery_key(query, ""));
        // `0` follows `/`.
        let end = format!("{query}0");
        let scan = move || {
            let range = (Bound::Included(first.as_bytes()), Bound::Excluded(end.as_bytes()));
            store.storage.scan(&store.keyspace, range, false, usize::MAX)
        };
        let found = tokio::task::spawn_blocking(scan).await.map_err(|_| StorageError::Closed)??;
        for (key, _) in found {
            transaction.delete(&self.keyspace, key);
        }
        Ok(())
    }

    async fn get(&self, key: String) -> Result<Option<Bytes>, StorageError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.storage.get(&store.keyspace, key.as_bytes()))
            .await
            .map_err(|_| StorageError::Closed)?
    }
}

/// Query names have no `/`.
fn delivery_key(query: &str, output: &str) -> String {
    format!("{query}/{output}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_come_back_and_other_bytes_do_not() {
        let checkpoint = Checkpoint {
            positions: BTreeMap::from([(3, 40), (u64::MAX, 1)]),
            state: vec![1, 2, 3],
            sql_hash: u64::MAX,
        };
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint.clone()));
        for broken in [&[][..], &[9, 9], &checkpoint.encode()[..20]] {
            assert_eq!(Checkpoint::decode(broken), Err(StateError));
        }
    }
}
