//! What is kept of a query at work: positions and state, in one value under the query's name.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;

use super::delivery::growth::ObjectPlace;
use crate::executor::state::{Reader, StateError, Writer};

/// The first byte of a checkpoint. What comes before the state is the same in all later versions: another binary may not
/// read the state, but it finds the way back to where its windows begin.
const VERSION: u8 = 3;

/// The version that did not know what each output was given.
const SECOND_VERSION: u8 = 2;

/// The version that knew positions, the text and state only.
const FIRST_VERSION: u8 = 1;

/// Positions and state of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Tells the state of another plan: such a state is not taken up.
    pub(super) plan: u64,
    /// How far time had come: windows that were over then are handed on.
    pub(super) emitted: Millis,
    /// The next offset to read, by log.
    pub(super) positions: BTreeMap<u64, u64>,
    /// The first offset that the query ever was to read, by log.
    pub(super) begun: BTreeMap<u64, u64>,
    /// Where records are read again: rows of records before this offset are handed on, by log.
    pub(super) handed: BTreeMap<u64, u64>,
    /// The executor's snapshot.
    pub(super) state: Vec<u8>,
    /// By output, the times before which each of the steps that it holds rows of had handed on everything
    /// ([`crate::executor::Executor::given`]): another plan may be further behind `emitted`, or less far.
    pub(super) given: BTreeMap<String, Vec<Millis>>,
}

impl Default for Checkpoint {
    fn default() -> Self {
        let none = BTreeMap::new();
        Self {
            plan: 0,
            emitted: Millis::MIN,
            positions: none.clone(),
            begun: none.clone(),
            handed: none,
            state: Vec::new(),
            given: BTreeMap::new(),
        }
    }
}

impl Checkpoint {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(vec![VERSION]);
        writer.int(self.plan.cast_signed());
        writer.int(self.emitted);
        for offsets in [&self.positions, &self.begun, &self.handed] {
            writer.count(offsets.len());
            for (log, offset) in offsets {
                writer.int(log.cast_signed());
                writer.int(offset.cast_signed());
            }
        }
        writer.bytes(&self.state);
        writer.count(self.given.len());
        for (output, times) in &self.given {
            writer.bytes(output.as_bytes());
            writer.count(times.len());
            times.iter().for_each(|time| writer.int(*time));
        }
        writer.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let (&version, rest) = bytes.split_first().ok_or(StateError)?;
        let mut reader = Reader(rest);
        let plan = reader.int()?.cast_unsigned();
        if version == FIRST_VERSION {
            let positions = offsets(&mut reader)?;
            let begun = positions.clone();
            return Ok(Self { plan, positions, begun, state: reader.bytes()?.to_vec(), ..Self::default() });
        }
        let emitted = reader.int()?;
        let (positions, begun, handed) = (offsets(&mut reader)?, offsets(&mut reader)?, offsets(&mut reader)?);
        let state = reader.bytes()?.to_vec();
        let given = if version == SECOND_VERSION { BTreeMap::new() } else { given(&mut reader)? };
        Ok(Self { plan, emitted, positions, begun, handed, state, given })
    }
}

fn given(reader: &mut Reader<'_>) -> Result<BTreeMap<String, Vec<Millis>>, StateError> {
    let mut given = BTreeMap::new();
    for _ in 0..reader.count()? {
        let output = String::from_utf8(reader.bytes()?.to_vec()).map_err(|_| StateError)?;
        let mut times = Vec::new();
        for _ in 0..reader.count()? {
            times.push(reader.int()?);
        }
        given.insert(output, times);
    }
    Ok(given)
}

fn offsets(reader: &mut Reader<'_>) -> Result<BTreeMap<u64, u64>, StateError> {
    let mut offsets = BTreeMap::new();
    for _ in 0..reader.count()? {
        offsets.insert(reader.int()?.cast_unsigned(), reader.int()?.cast_unsigned());
    }
    Ok(offsets)
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

    /// Keeps how far an output's rows are delivered.
    pub(super) async fn set_delivered(&self, query: &str, output: &str, next: u64) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        transaction.put(&self.keyspace, delivery_key(query, output), next.to_be_bytes().to_vec());
        self.storage.commit(transaction).await?;
        Ok(())
    }

    /// How far an output's rows are delivered, and which of them are in which objects; `None` before the first.
    pub(super) async fn place(&self, query: &str, output: &str) -> Result<Option<ObjectPlace>, StorageError> {
        let Some(bytes) = self.get(delivery_key(query, output)).await? else { return Ok(None) };
        if let Ok(next) = bytes.as_ref().try_into() {
            return Ok(Some(ObjectPlace::at(u64::from_be_bytes(next))));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| StorageError::Damaged {
            file: format!("place of output {output} of query {query}"),
            position: 0,
            detail: error.to_string(),
        })
    }

    /// Keeps which rows of an output are in which objects.
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
            plan: u64::MAX,
            emitted: -7,
            positions: BTreeMap::from([(3, 40), (u64::MAX, 1)]),
            begun: BTreeMap::from([(3, 1)]),
            handed: BTreeMap::new(),
            state: vec![1, 2, 3],
            given: BTreeMap::from([("out".to_owned(), vec![-7, 9]), ("other".to_owned(), Vec::new())]),
        };
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint.clone()));
        let mut later = checkpoint.encode();
        later[0] = VERSION + 1;
        assert_eq!(Checkpoint::decode(&later), Ok(checkpoint.clone()), "the places of a later version are found");
        for broken in [&[][..], &[9, 9], &checkpoint.encode()[..20]] {
            assert_eq!(Checkpoint::decode(broken), Err(StateError));
        }
    }

    #[test]
    fn checkpoints_of_the_second_version_are_read() {
        let checkpoint = Checkpoint { plan: 4, emitted: 3, state: vec![1], ..Checkpoint::default() };
        let mut written = checkpoint.encode();
        written[0] = SECOND_VERSION;
        written.truncate(written.len() - no_given().len());
        assert_eq!(Checkpoint::decode(&written), Ok(checkpoint));
    }

    fn no_given() -> Vec<u8> {
        let mut writer = Writer(Vec::new());
        writer.count(0);
        writer.0
    }

    #[test]
    fn checkpoints_of_the_first_version_are_read() {
        let mut writer = Writer(vec![FIRST_VERSION]);
        writer.int(5);
        writer.count(1);
        writer.int(3);
        writer.int(40);
        writer.bytes(&[9]);
        let places = BTreeMap::from([(3, 40)]);
        let (positions, begun) = (places.clone(), places);
        let expected = Checkpoint { plan: 5, positions, begun, state: vec![9], ..Checkpoint::default() };
        assert_eq!(Checkpoint::decode(&writer.0), Ok(expected));
    }
}
