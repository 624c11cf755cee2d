//! What is kept of a query at work: positions and state, in one value under the query's name. Large state stands beside it in pieces
//! ([`super::pieces`]).

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;

use super::delivery::growth::ObjectPlace;
use super::numbered::{Numbered, blocking};
use super::outbox::Outbox;
use super::pieces::{Change, Pieces, listed};
use crate::executor::state::{Reader, StateError, Writer};

/// The first byte of a checkpoint. What comes before the state is the same in all later versions: another binary may not
/// read the state, but it finds the way back to where its windows begin.
const VERSION: u8 = 3;

/// The version that did not know what each output was given.
const SECOND_VERSION: u8 = 2;

/// The version that knew positions, the text and state only.
const FIRST_VERSION: u8 = 1;

/// As many pieces of state are written together: each has 1 MiB at most, a transaction 16.
const PIECES_TOGETHER: usize = 8;

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
    /// The executor's snapshot, as it was read; what is written is given apart.
    pub(super) state: Bytes,
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
            state: Bytes::new(),
            given: BTreeMap::new(),
        }
    }
}

impl Checkpoint {
    /// As it is written, with what stands in it of the state.
    fn encode(&self, state: &[u8]) -> Vec<u8> {
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
        writer.bytes(state);
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
            return Ok(Self {
                plan,
                positions,
                begun,
                state: Bytes::copy_from_slice(reader.bytes()?),
                ..Self::default()
            });
        }
        let emitted = reader.int()?;
        let (positions, begun, handed) = (offsets(&mut reader)?, offsets(&mut reader)?, offsets(&mut reader)?);
        let state = Bytes::copy_from_slice(reader.bytes()?);
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
    pub(super) pieces: Numbered,
    /// Results that are more than one transaction holds.
    pub(super) outbox: Outbox,
}

impl Checkpoints {
    pub(super) fn new(storage: Storage) -> Self {
        let outbox = Outbox::new(storage.clone());
        let pieces = Numbered::new(storage.clone(), Keyspace::new("query/state"));
        Self { outbox, storage, keyspace: Keyspace::new("query/checkpoint"), pieces }
    }

    /// A query's checkpoint with the pieces of its state. Removes what a crash left of a later one. Works off the async workers.
    pub(super) async fn load(&self, query: &str) -> Result<Option<(Checkpoint, Pieces)>, StorageError> {
        let (store, name) = (self.clone(), query.to_owned());
        let loaded = blocking(move || store.load_now(&name)).await?;
        let next = loaded.as_ref().map_or(0, |(_, pieces)| pieces.next());
        self.pieces.remove_from(query, next).await?;
        Ok(loaded)
    }

    fn load_now(&self, query: &str) -> Result<Option<(Checkpoint, Pieces)>, StorageError> {
        let damaged = |detail: String| StorageError::Damaged {
            file: format!("checkpoint of query {query}"),
            position: 0,
            detail,
        };
        let unreadable = |error: StateError| damaged(error.to_string());
        let Some(bytes) = self.storage.get(&self.keyspace, query.as_bytes())? else { return Ok(None) };
        let mut checkpoint = Checkpoint::decode(&bytes).map_err(unreadable)?;
        let Some((next, numbers)) = listed(&checkpoint.state).map_err(unreadable)? else {
            return Ok(Some((checkpoint, Pieces::default())));
        };
        let mut found = Vec::with_capacity(numbers.len());
        for number in numbers {
            let piece = self.pieces.get_now(query, number)?;
            found.push((number, piece.ok_or_else(|| damaged(format!("the piece {number} of its state is missing")))?));
        }
        let (pieces, state) = Pieces::of(next, found);
        checkpoint.state = state.into();
        Ok(Some((checkpoint, pieces)))
    }

    /// Writes pieces of a checkpoint that is still to be saved, in transactions of their own.
    pub(super) async fn write_ahead(&self, query: &str, pieces: &[(u64, Bytes)]) -> Result<(), StorageError> {
        for together in pieces.chunks(PIECES_TOGETHER) {
            let mut transaction = Transaction::new();
            self.put_pieces(query, together, &mut transaction);
            self.storage.commit(transaction).await?;
        }
        Ok(())
    }

    pub(super) fn put_pieces(&self, query: &str, pieces: &[(u64, Bytes)], transaction: &mut Transaction) {
        for (number, bytes) in pieces {
            self.pieces.put(query, *number, bytes.clone(), transaction);
        }
    }

    /// Adds a checkpoint with what is kept of its state to a transaction; the pieces that it lists are there or in it.
    pub(super) fn save(&self, query: &str, checkpoint: &Checkpoint, change: &Change, transaction: &mut Transaction) {
        transaction.put(&self.keyspace, query.as_bytes().to_vec(), checkpoint.encode(&change.stored));
        for number in &change.gone {
            self.pieces.delete(query, *number, transaction);
        }
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
        self.pieces.remove_from(query, 0).await
    }

    /// Adds the removal of all that is kept of a query to a transaction, of outputs that it has no more, too.
    pub(super) async fn remove(&self, query: &str, transaction: &mut Transaction) -> Result<(), StorageError> {
        transaction.delete(&self.keyspace, query.as_bytes().to_vec());
        self.outbox.forget(query, transaction);
        let (store, first) = (self.clone(), delivery_key(query, ""));
        // `0` follows `/`.
        let end = format!("{query}0");
        let scan = move || {
            let range = (Bound::Included(first.as_bytes()), Bound::Excluded(end.as_bytes()));
            store.storage.scan(&store.keyspace, range, false, usize::MAX)
        };
        for (key, _) in blocking(scan).await? {
            transaction.delete(&self.keyspace, key);
        }
        Ok(())
    }

    async fn get(&self, key: String) -> Result<Option<Bytes>, StorageError> {
        let store = self.clone();
        blocking(move || store.storage.get(&store.keyspace, key.as_bytes())).await
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
            state: Bytes::from_static(&[1, 2, 3]),
            given: BTreeMap::from([("out".to_owned(), vec![-7, 9]), ("other".to_owned(), Vec::new())]),
        };
        assert_eq!(Checkpoint::decode(&checkpoint.encode(&checkpoint.state)), Ok(checkpoint.clone()));
        let mut later = checkpoint.encode(&checkpoint.state);
        later[0] = VERSION + 1;
        assert_eq!(Checkpoint::decode(&later), Ok(checkpoint.clone()), "the places of a later version are found");
        for broken in [&[][..], &[9, 9], &checkpoint.encode(&checkpoint.state)[..20]] {
            assert_eq!(Checkpoint::decode(broken), Err(StateError));
        }
    }

    /// Bytes without a pattern, so that they are pieces.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let numbers =
            (0..length as u64 / 8).map(|place| (seed + place).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31));
        numbers.flat_map(|number| number.wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes()).collect()
    }

    async fn save(store: &Checkpoints, positions: u64, change: &Change) {
        let checkpoint = Checkpoint { positions: BTreeMap::from([(1, positions)]), ..Checkpoint::default() };
        let mut transaction = Transaction::new();
        store.save("q", &checkpoint, change, &mut transaction);
        store.storage.commit(transaction).await.unwrap();
    }

    /// What a crash leaves of a later checkpoint counts for nothing, whatever was written of it.
    #[tokio::test]
    async fn state_in_pieces_is_that_of_the_checkpoint_that_lists_them() {
        let folder = tempfile::tempdir().unwrap();
        let options = millstream_storage::StorageOptions::new(folder.path());
        let open = || {
            let clock = std::sync::Arc::new(millstream_types::SystemClock);
            Checkpoints::new(Storage::open(options.clone(), clock).unwrap().0)
        };
        let store = open();
        let first = Pieces::default().change(noise(1, 24 << 20)).unwrap();
        store.write_ahead("q", &first.new).await.unwrap();
        save(&store, 10, &first).await;
        let mut state = noise(1, 24 << 20);
        state.splice(5_000_000..5_000_000, noise(9, 2 << 20));
        let second = first.pieces.change(state.clone()).unwrap();
        store.write_ahead("q", &second.new).await.unwrap();
        store.storage.close().unwrap();
        drop(store);

        let store = open();
        let (checkpoint, pieces) = store.load("q").await.unwrap().unwrap();
        assert_eq!((checkpoint.positions[&1], checkpoint.state), (10, noise(1, 24 << 20).into()));
        let lost = store.pieces.get_now("q", second.new[0].0).unwrap();
        assert_eq!(lost, None, "what nothing lists is removed");

        let second = pieces.change(state.clone()).unwrap();
        assert!(second.new.len() < 16, "only what changed is written");
        store.write_ahead("q", &second.new).await.unwrap();
        save(&store, 20, &second).await;
        store.storage.close().unwrap();
        drop(store);
        let store = open();
        let (checkpoint, _) = store.load("q").await.unwrap().unwrap();
        assert_eq!((checkpoint.positions[&1], checkpoint.state), (20, state.into()));
        store.forget_positions("q").await.unwrap();
        assert!(store.load("q").await.unwrap().is_none());
        assert!(store.pieces.queries().await.unwrap().is_empty());
    }

    #[test]
    fn checkpoints_of_the_second_version_are_read() {
        let checkpoint = Checkpoint { plan: 4, emitted: 3, state: vec![1].into(), ..Checkpoint::default() };
        let mut written = checkpoint.encode(&checkpoint.state);
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
        let expected = Checkpoint { plan: 5, positions, begun, state: vec![9].into(), ..Checkpoint::default() };
        assert_eq!(Checkpoint::decode(&writer.0), Ok(expected));
    }
}
