//! The engine on a disk that loses power, against the model: every acknowledged transaction is there after the restart, in
//! order and whole, and nothing that was not submitted.

mod damage;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_types::{EncodedRecords, LogId, ManualClock, Millis, Record, RecordBatch};

use crate::blocks::Blocks;
use crate::disk::Disk;
use crate::disk::simulated::{Random, SimulatedDisk};
use crate::engine::{Engine, Stores, lock};
use crate::error::StorageError;
use crate::keys::{Change, KeyRange, KeyStore, prefix_range, user_prefix};
use crate::options::{Durability, StorageOptions};
use crate::recovery;
use crate::storage::Storage;
use crate::transaction::{Keyspace, Ticket, Transaction};

const LOGS: usize = 4;
const KEYS: usize = 6;
/// A clock that is set anew jumps, either way.
const DAY: Millis = 86_400_000;

/// A key-value store that keeps any number of the batches that it was not told to persist, in order.
#[derive(Clone, Default)]
struct SimulatedKeys(Arc<Mutex<KeyState>>);

#[derive(Default)]
struct KeyState {
    now: BTreeMap<Vec<u8>, Bytes>,
    durable: BTreeMap<Vec<u8>, Bytes>,
    batches: Vec<Vec<Change>>,
}

impl SimulatedKeys {
    fn crash(&self, random: &mut Random) {
        let mut state = lock(&self.0);
        let kept = random.below(state.batches.len() + 1);
        let mut durable = std::mem::take(&mut state.durable);
        state.batches.drain(..).take(kept).for_each(|batch| change_all(&mut durable, batch));
        state.now.clone_from(&durable);
        state.durable = durable;
    }
}

fn change_all(map: &mut BTreeMap<Vec<u8>, Bytes>, changes: Vec<Change>) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

impl KeyStore for SimulatedKeys {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(lock(&self.0).now.get(key).cloned())
    }

    fn scan(&self, range: KeyRange, _reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let state = lock(&self.0);
        let own = |(key, value): (&Vec<u8>, &Bytes)| (Bytes::copy_from_slice(key), value.clone());
        Ok(state.now.range(range).take(limit).map(own).collect())
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut state = lock(&self.0);
        state.batches.push(changes.clone());
        change_all(&mut state.now, changes);
        Ok(())
    }

    fn persist(&self) -> Result<(), StorageError> {
        let mut state = lock(&self.0);
        state.batches.clear();
        state.durable = state.now.clone();
        Ok(())
    }
}

fn options(durability: Durability) -> StorageOptions {
    StorageOptions {
        durability,
        journal_file_bytes: 12 << 10,
        segment_bytes: 2 << 10,
        tail_bytes_max: 2 << 10,
        ..StorageOptions::new("")
    }
}

fn any_transaction(random: &mut Random, number: usize) -> Transaction {
    let mut transaction = Transaction::new();
    for _ in 0..random.below(3) {
        let mut records = EncodedRecords::default();
        for part in 0..random.below(4) {
            records.push(b"k", b"", format!("{number}-{part}-{}", "x".repeat(random.below(200))).as_bytes());
        }
        transaction.append(LogId(random.below(LOGS) as u64), records);
    }
    let keyspace = Keyspace::new(["a", "b"][random.below(2)]);
    for _ in 0..random.below(3) {
        let key = format!("key{}", random.below(KEYS));
        match random.below(4) {
            0 => transaction.delete(&keyspace, key),
            _ => transaction.put(&keyspace, key, format!("{number}")),
        };
    }
    match random.below(30) {
        0 => drop(transaction.drop_keyspace(&keyspace)),
        1..5 => drop(transaction.trim_log(LogId(random.below(LOGS) as u64), number as u64 / 3)),
        _ => {}
    }
    transaction
}

/// Everything that can be seen.
type View = (Vec<(u64, u64, Vec<Record>)>, Vec<Vec<(Bytes, Bytes)>>);

fn records(first: u64, mut read: impl FnMut(u64) -> Vec<RecordBatch>) -> Vec<Record> {
    let (mut offset, mut records) = (first, Vec::new());
    loop {
        let batches = read(offset);
        let Some(last) = batches.last() else { return records };
        let next = last.next_offset();
        records.extend(batches.iter().flat_map(RecordBatch::records).filter(|record| record.offset >= offset));
        offset = next;
    }
}

fn view_of_engine(engine: &Engine) -> View {
    let log = |id| {
        let Some(log) = engine.log(LogId(id)) else { return (0, 0, Vec::new()) };
        let bounds = log.bounds();
        (bounds.first, bounds.next, records(bounds.first, |offset| log.read(&*engine.disk, offset, 300).unwrap()))
    };
    let keys = ["a", "b"].map(|name| {
        let prefix = user_prefix(&Keyspace::new(name));
        let found = engine.keys.scan(prefix_range(prefix.clone()), false, usize::MAX).unwrap();
        found.into_iter().map(|(key, value)| (key.slice(prefix.len()..), value)).collect()
    });
    ((0..LOGS as u64).map(log).collect(), keys.into())
}

fn view_of_model(done: &[(Transaction, Millis)]) -> View {
    let clock = Arc::new(ManualClock::at(0));
    let model = Storage::in_memory(clock.clone());
    for (transaction, append_time) in done {
        clock.set(*append_time);
        drop(model.submit(transaction.clone()).unwrap());
    }
    let log = |id| {
        let bounds = model.bounds(LogId(id));
        (bounds.first, bounds.next, records(bounds.first, |offset| model.read(LogId(id), offset, 300).unwrap()))
    };
    let all = (Bound::Unbounded, Bound::Unbounded);
    let keys = ["a", "b"].map(|name| model.scan(&Keyspace::new(name), all, false, usize::MAX).unwrap());
    ((0..LOGS as u64).map(log).collect(), keys.into())
}

/// One machine's life.
struct World {
    random: Random,
    disk: SimulatedDisk,
    keys: SimulatedKeys,
    clock: Arc<ManualClock>,
    submitted: Vec<(Transaction, Millis)>,
    acknowledged: usize,
    durability: Durability,
}

impl World {
    fn new(seed: u64) -> Self {
        let (disk, keys) = (SimulatedDisk::default(), SimulatedKeys::default());
        let clock = Arc::new(ManualClock::at(1_000));
        let durability =
            if seed.is_multiple_of(4) { Durability::Interval(Duration::from_secs(1)) } else { Durability::Fsync };
        Self { random: Random::new(seed), disk, keys, clock, submitted: Vec::new(), acknowledged: 0, durability }
    }

    fn open(&mut self) -> Result<Engine, StorageError> {
        let stores = Stores {
            options: options(self.durability),
            clock: self.clock.clone(),
            disk: Arc::new(self.disk.clone()),
            keys: Arc::new(self.keys.clone()),
        };
        let (engine, report) = recovery::recover(stores)?;
        let lsn = report.last_lsn as usize;
        assert!(lsn >= self.acknowledged, "{} were acknowledged, {lsn} are there", self.acknowledged);
        assert!(lsn <= self.submitted.len(), "{} were submitted, {lsn} are there", self.submitted.len());
        self.submitted.truncate(lsn);
        self.acknowledged = lsn;
        assert_eq!(view_of_engine(&engine), view_of_model(&self.submitted));
        Ok(engine)
    }

    /// Transactions, commits and checkpoints in any order, until the power goes or nothing is left to do.
    fn live(&mut self, engine: &Engine, steps: usize) {
        let mut blocks = Blocks::default();
        let mut tickets: Vec<Ticket> = Vec::new();
        for _ in 0..steps {
            self.clock.advance(match self.random.below(40) {
                0 => -DAY,
                1 => DAY,
                _ => self.random.below(3) as Millis - 1,
            });
            match self.random.below(10) {
                0..6 => {
                    let transaction = any_transaction(&mut self.random, self.submitted.len());
                    let Ok(ticket) = engine.submit(transaction.clone()) else { break };
                    self.submitted.push((transaction, ticket.receipt().append_time));
                    tickets.push(ticket);
                }
                6..9 => drop(engine.commit_once(&mut blocks)),
                _ => {
                    if engine.checkpoint(false).is_err() {
                        break;
                    }
                }
            }
        }
        for mut ticket in tickets {
            // Without a sync the loss of power may cost what was acknowledged, in order and whole.
            if matches!(ticket.durable.try_recv(), Ok(Ok(()))) && engine.options.durability == Durability::Fsync {
                self.acknowledged = ticket.receipt.lsn as usize;
            }
        }
    }
}

#[test]
fn power_loss_costs_nothing_that_was_acknowledged() {
    for seed in 1..=2_000 {
        let mut world = World::new(seed);
        for _ in 0..4 {
            let engine = match world.open() {
                Ok(engine) => engine,
                Err(error) => panic!("seed {seed}: {error}"),
            };
            let steps = world.random.below(60);
            if world.random.below(4) > 0 {
                let changes = world.random.below(80);
                world.disk.cut_power_after(changes);
            }
            world.live(&engine, steps);
            world.disk.crash(&mut world.random);
            world.keys.crash(&mut world.random);
        }
    }
}

impl World {
    /// Submits records and commits them, each acknowledged before the next.
    fn commit(&mut self, engine: &Engine, transactions: usize) {
        let mut blocks = Blocks::default();
        for _ in 0..transactions {
            let mut records = EncodedRecords::default();
            records.push(b"k", b"", &vec![b'x'; self.random.below(600)]);
            let mut transaction = Transaction::new();
            transaction.append(LogId(0), records);
            let mut ticket = engine.submit(transaction.clone()).unwrap();
            assert!(engine.commit_once(&mut blocks));
            assert!(matches!(ticket.durable.try_recv(), Ok(Ok(()))));
            self.submitted.push((transaction, ticket.receipt.append_time));
        }
    }
}

#[test]
fn each_durability_loses_what_it_may_and_no_more() {
    let interval = Durability::Interval(Duration::from_secs(1));
    for (durability, may_lose) in [(Durability::Fsync, false), (interval, true), (Durability::Os, true)] {
        let mut lost = 0;
        for seed in 1..=100 {
            for power in [false, true] {
                let mut world = World { durability, ..World::new(seed) };
                let engine = world.open().unwrap();
                let (before, after) = (world.random.below(10), 1 + world.random.below(10));
                world.commit(&engine, before);
                if durability == interval {
                    // What the committer does when the time has come.
                    lock(&engine.journal).sync().unwrap();
                }
                world.commit(&engine, after);
                drop(engine);
                // A process that ends loses nothing: the system has what was written.
                world.acknowledged = before + after;
                if power {
                    world.disk.crash(&mut world.random);
                    world.keys.crash(&mut world.random);
                    world.acknowledged = match durability {
                        Durability::Fsync => before + after,
                        Durability::Interval(_) => before,
                        Durability::Os => 0,
                    };
                }
                world.open().unwrap();
                lost += before + after - world.submitted.len();
            }
        }
        assert_eq!(lost > 0, may_lose, "{durability:?}: {lost}");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_hits_nothing_that_counts() {
    let mut refused = 0;
    for seed in 1..=300 {
        let mut world = World::new(seed);
        let engine = world.open().unwrap();
        let mut blocks = Blocks::default();
        let mut before_last = 0;
        for number in 0..20 {
            before_last = world.submitted.len();
            let transaction = any_transaction(&mut world.random, number);
            let ticket = engine.submit(transaction.clone()).unwrap();
            world.submitted.push((transaction, ticket.receipt().append_time));
            engine.commit_once(&mut blocks);
        }
        drop(engine);
        let (name, length) = world.disk.list("journal").unwrap().pop().unwrap();
        let position = world.random.below(length as usize);
        world.disk.flip(&format!("journal/{name}"), position, world.random.below(8) as u8);
        // A flip within the last commit looks like a torn write: no later one shows that it was synced.
        let durable = world.durability == Durability::Fsync;
        world.acknowledged = if durable { before_last } else { 0 };
        match world.open() {
            Ok(_) => {}
            Err(StorageError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_log_that_is_dropped_while_a_checkpoint_is_made_is_gone_after_a_crash() {
    for seed in 1..=20 {
        let mut world = World::new(seed);
        let engine = world.open().unwrap();
        let commit = |engine: &Engine, transaction: Transaction| {
            let mut ticket = engine.submit(transaction).unwrap();
            engine.commit_once(&mut Blocks::default());
            ticket.durable.try_recv().unwrap().unwrap();
        };
        for number in 0..world.random.below(12) + 1 {
            let mut records = EncodedRecords::default();
            records.push(b"k", b"", format!("{number}-{}", "x".repeat(400)).as_bytes());
            let mut transaction = Transaction::new();
            transaction.append(LogId(1), records);
            commit(&engine, transaction);
            if world.random.below(6) == 0 {
                engine.checkpoint(false).unwrap();
            }
        }
        let mut dropping = Transaction::new();
        dropping.drop_log(LogId(1));
        engine.checkpoint_while(false, || commit(&engine, dropping)).unwrap();
        drop(engine);
        world.disk.crash(&mut world.random);
        world.keys.crash(&mut world.random);
        let stores = Stores {
            options: options(world.durability),
            clock: world.clock.clone(),
            disk: Arc::new(world.disk.clone()),
            keys: Arc::new(world.keys.clone()),
        };
        let (engine, _) = recovery::recover(stores).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if world.durability == Durability::Fsync {
            assert!(engine.log(LogId(1)).is_none_or(|log| log.bounds().next == 0), "seed {seed}");
        }
    }
}

#[test]
fn what_a_refused_write_left_behind_does_not_contradict_the_next_file() {
    for seed in 1..=20 {
        let mut world = World::new(seed);
        let engine = world.open().unwrap();
        let mut submit = |bytes: usize| {
            let mut records = EncodedRecords::default();
            records.push(b"k", b"", "x".repeat(bytes).as_bytes());
            let mut transaction = Transaction::new();
            transaction.append(LogId(1), records);
            let ticket = engine.submit(transaction.clone()).unwrap();
            (transaction, ticket)
        };
        // A file has room for 8 KiB: what comes behind what was refused goes to the next one.
        for (full, sizes) in [(false, vec![600]), (true, vec![150; 3]), (false, vec![7_600])] {
            world.disk.set_full_for_copies(full);
            engine.disk_full.store(false, std::sync::atomic::Ordering::Relaxed);
            let submitted: Vec<_> = sizes.into_iter().map(&mut submit).collect();
            while engine.commit_once(&mut Blocks::default()) {}
            for (transaction, mut ticket) in submitted {
                let taken = ticket.durable.try_recv().unwrap();
                assert_eq!(taken.is_err(), full, "{taken:?}");
                if !full {
                    world.submitted.push((transaction, ticket.receipt.append_time));
                }
            }
        }
        world.acknowledged = if world.durability == Durability::Fsync { 2 } else { 0 };
        drop(engine);
        world.disk.crash(&mut world.random);
        world.keys.crash(&mut world.random);
        world.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_when_there_is_room() {
    for seed in (1..=32).filter(|seed| !u64::is_multiple_of(*seed, 4)) {
        let mut world = World::new(seed);
        let engine = world.open().unwrap();
        let mut blocks = Blocks::default();
        for number in 0..150 {
            world.disk.set_full((40..100).contains(&number));
            // What the checkpointer does when it looks at the room.
            engine.disk_full.store(false, std::sync::atomic::Ordering::Relaxed);
            let mut tickets = Vec::new();
            for _ in 0..world.random.below(3) {
                let transaction = any_transaction(&mut world.random, world.submitted.len());
                tickets.push((transaction.clone(), engine.submit(transaction).unwrap()));
            }
            while engine.commit_once(&mut blocks) {}
            for (transaction, mut ticket) in tickets {
                match ticket.durable.try_recv().unwrap() {
                    Ok(()) => world.submitted.push((transaction, ticket.receipt.append_time)),
                    Err(error) => assert!(matches!(error, StorageError::DiskFull), "{error}"),
                }
            }
            if world.random.below(12) == 0 {
                let made = engine.checkpoint(false);
                assert!(matches!(made, Ok(()) | Err(StorageError::DiskFull)), "{made:?}");
            }
            assert_eq!(view_of_engine(&engine), view_of_model(&world.submitted));
        }
        world.acknowledged = world.submitted.len();
        world.disk.crash(&mut world.random);
        world.keys.crash(&mut world.random);
        world.open().unwrap();
    }
}
