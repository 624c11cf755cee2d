//! The engine over real files: reopening, torn and damaged journals, many logs, retention, recycling.

#![allow(clippy::unwrap_used)]

#[path = "it/given_up.rs"]
mod given_up;

use std::fs;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_storage::{
    Durability, Keyspace, LogBounds, RecoveryReport, Repair, RepairReport, Storage, StorageError, StorageOptions,
    Transaction, repair, verify,
};
use millstream_types::{EncodedRecords, LogId, ManualClock, Record};

const LOG: LogId = LogId(7);

fn small(folder: &Path) -> StorageOptions {
    StorageOptions {
        journal_file_bytes: 256 << 10,
        segment_bytes: 64 << 10,
        checkpoint_bytes: 128 << 10,
        tail_bytes_max: 16 << 10,
        free_bytes_min: 0,
        ..StorageOptions::new(folder)
    }
}

fn open(folder: &Path) -> (Storage, RecoveryReport) {
    Storage::open(small(folder), Arc::new(ManualClock::at(1_000))).unwrap()
}

fn append(log: LogId, texts: &[&str]) -> Transaction {
    let mut records = EncodedRecords::default();
    texts.iter().for_each(|text| records.push(b"key", b"", text.as_bytes()));
    let mut transaction = Transaction::new();
    transaction.append(log, records);
    transaction
}

fn commit(storage: &Storage, transaction: Transaction) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(storage.commit(transaction)).unwrap().lsn
}

fn read_all(storage: &Storage, log: LogId) -> Vec<Record> {
    let mut offset = storage.bounds(log).first;
    let mut records = Vec::new();
    loop {
        let batches = storage.read(log, offset, 10_000).unwrap();
        let Some(last) = batches.last() else { return records };
        records.extend(batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= offset));
        offset = last.next_offset();
    }
}

fn journal_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    files.sort();
    files
}

/// Where each frame begins.
fn frames(file: &Path) -> Vec<u64> {
    let bytes = fs::read(file).unwrap();
    (0..bytes.len()).step_by(8).filter(|&at| bytes[at..].starts_with(b"mst1")).map(|at| at as u64).collect()
}

fn flip(file: &Path, position: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], position).unwrap();
}

#[test]
fn reopening_goes_on_where_it_ended() {
    for close in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let tables = Keyspace::new("tables");
        let clock = Arc::new(ManualClock::at(5_000));
        let (storage, report) = Storage::open(small(folder.path()), clock.clone()).unwrap();
        assert_eq!(report, RecoveryReport::default());
        for number in 0..50 {
            let mut transaction = append(LOG, &["a", "b"]);
            transaction.put(&tables, format!("k{number:02}"), format!("v{number}"));
            assert_eq!(commit(&storage, transaction), number + 1);
        }
        let mut transaction = Transaction::new();
        transaction.delete(&tables, "k03").drop_log(LogId(9));
        commit(&storage, transaction);
        if close {
            storage.close().unwrap();
            assert!(matches!(storage.submit(append(LOG, &["x"])), Err(StorageError::Closed)));
        }
        drop(storage);
        clock.set(1);
        let (storage, report) = Storage::open(small(folder.path()), clock).unwrap();
        assert_eq!((report.last_lsn, report.torn), (51, None));
        assert_eq!(report.replayed_transactions, if close { 0 } else { 51 });
        assert_eq!(storage.bounds(LOG), LogBounds { first: 0, next: 100, last_append_time: 5_000 });
        assert_eq!(read_all(&storage, LOG).len(), 100);
        assert_eq!(storage.get(&tables, b"k49").unwrap().unwrap(), "v49");
        assert_eq!(storage.get(&tables, b"k03").unwrap(), None);
        assert_eq!(storage.scan(&tables, (Bound::Included(b"k40"), Bound::Unbounded), true, 3).unwrap()[2].0, "k47");
        let ticket = storage.submit(append(LOG, &["c"])).unwrap();
        assert_eq!((ticket.receipt().base_offsets[0], ticket.receipt().append_time), (100, 5_000));
    }
}

#[test]
fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = open(folder.path());
    let second = Storage::open(small(folder.path()), Arc::new(ManualClock::at(0)));
    assert!(matches!(second, Err(StorageError::InUse { .. })));
    storage.close().unwrap();
    drop(storage);
    open(folder.path());
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = open(folder.path());
    for _ in 0..10 {
        commit(&storage, append(LOG, &["record"]));
    }
    drop(storage);
    let file = journal_files(folder.path()).pop().unwrap();
    let last = *frames(&file).last().unwrap();
    flip(&file, last + 80);
    let (storage, report) = open(folder.path());
    let torn = report.torn.unwrap();
    assert_eq!((report.last_lsn, torn.after_lsn, torn.position), (9, 9, last));
    assert!(torn.bytes > 64);
    assert_eq!(storage.bounds(LOG).next, 9);
    assert_eq!(commit(&storage, append(LOG, &["again"])), 10);
    drop(storage);
    let (storage, report) = open(folder.path());
    assert_eq!((report.last_lsn, report.torn), (10, None));
    assert_eq!(read_all(&storage, LOG)[9].data, "again");
}

#[test]
fn damage_in_the_middle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = open(folder.path());
    for _ in 0..10 {
        commit(&storage, append(LOG, &["record"]));
    }
    drop(storage);
    let file = journal_files(folder.path()).pop().unwrap();
    let frames = frames(&file);
    for (frame, position) in [(0, 70), (0, 3), (4, 20), (8, 50)] {
        flip(&file, frames[frame] + position);
        let refused = Storage::open(small(folder.path()), Arc::new(ManualClock::at(0))).err();
        assert!(matches!(refused, Some(StorageError::Damaged { .. })), "{frame} {position} {refused:?}");
        flip(&file, frames[frame] + position);
    }
    assert_eq!(open(folder.path()).1.last_lsn, 10);
}

fn segment_files(folder: &Path, log: LogId) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("logs").join(log.0.to_string())).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn damage_in_segments_is_told_the_rest_is_served_and_a_repair_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let commit_some = |storage: &Storage, numbers: std::ops::Range<u64>| {
        for number in numbers {
            commit(storage, append(LOG, &[&format!("{number:04}{}", "x".repeat(5_000))]));
        }
    };
    let read = |storage: &Storage| {
        let records = read_all(storage, LOG).into_iter();
        records.map(|record| assert_eq!(record.data[..4], *format!("{:04}", record.offset).as_bytes())).count() as u64
    };
    let (storage, _) = open(folder.path());
    commit_some(&storage, 0..200);
    storage.close().unwrap();
    drop(storage);
    let first = &segment_files(folder.path(), LOG)[0];
    flip(first, 40_000);
    let (storage, _) = open(folder.path());
    let left = read(&storage);
    let [damage] = &storage.segment_damage()[..] else { panic!("{:?}", storage.segment_damage()) };
    assert!((1..20).contains(&damage.records) && !damage.copied, "{damage:?}");
    assert_eq!(left + damage.records, 200);
    let in_it = storage.read(LOG, damage.first_offset, 1).unwrap();
    assert!(in_it[0].is_lost() && in_it[0].next_offset() == damage.first_offset + damage.records, "{in_it:?}");
    commit_some(&storage, 200..220);
    storage.close().unwrap();
    drop(storage);

    // The journal still has what was written last.
    let last = segment_files(folder.path(), LOG).pop().unwrap();
    flip(&last, fs::metadata(&last).unwrap().len() - 1);
    let report = verify(folder.path()).unwrap();
    assert_eq!((&report.damaged[0], report.damaged.len()), (damage, 2), "{report:?}");
    assert!(report.damaged[1].copied, "{report:?}");
    let before = [fs::read(first).unwrap(), fs::read(&last).unwrap()];
    let told = repair(folder.path(), Repair::Skip, false).unwrap();
    assert_eq!(told, RepairReport { segments: report.damaged, ..RepairReport::default() });
    assert_eq!([fs::read(first).unwrap(), fs::read(&last).unwrap()], before, "it only tells");
    assert_eq!(repair(folder.path(), Repair::Truncate, true).unwrap(), told);
    let mut kept: Vec<_> = fs::read_dir(folder.path().join("damaged")).unwrap().map(|it| it.unwrap().path()).collect();
    kept.sort();
    assert_eq!(kept.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>(), before);
    assert_eq!(fs::metadata(&last).unwrap().len(), before[1].len() as u64);
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.damaged.len(), report.lost_records, report.records), (0, damage.records, left + 20));
    assert_eq!(repair(folder.path(), Repair::Skip, true).unwrap(), RepairReport::default());
    let (storage, _) = open(folder.path());
    assert_eq!((read(&storage), storage.segment_damage().len()), (left + 20, 0));
    commit_some(&storage, 220..221);
    assert_eq!(read(&storage), left + 21);
}

#[test]
fn a_running_engine_reads_damaged_records_from_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let options = StorageOptions { tail_bytes_max: 0, checkpoint_bytes: 1_000, ..small(folder.path()) };
    let (storage, _) = Storage::open(options, Arc::new(ManualClock::at(1_000))).unwrap();
    for number in 0..50 {
        commit(&storage, append(LOG, &[&format!("{number:0100}")]));
    }
    let first = folder.path().join("logs/7/00000000000000000000.log");
    let until = |done: &dyn Fn() -> bool| {
        for _ in 0..500 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("no checkpoint came");
    };
    until(&|| fs::metadata(&first).is_ok_and(|file| file.len() > 50));
    flip(&first, 50);
    until(&|| {
        let records = read_all(&storage, LOG);
        assert_eq!((records.len(), &records[3].data[98..]), (50, &b"03"[..]));
        !storage.segment_damage().is_empty()
    });
    let damage = storage.segment_damage();
    assert_eq!((damage.len(), damage[0].copied), (1, true), "{damage:?}");
}

/// Ten transactions, each with a record and a key; a byte in some of them is flipped. Nothing is written until it is asked for.
#[test]
fn damage_in_the_middle_is_repaired_by_giving_it_up() {
    let texts = |storage: &Storage| read_all(storage, LOG).iter().map(|record| record.data.clone()).collect::<Vec<_>>();
    let keys = Keyspace::new("tables");
    for (how, damaged, records, keys_ahead) in [
        (Repair::Skip, &[4][..], &["0", "1", "2", "3", "", "5", "6", "7", "8", "9"][..], None),
        (Repair::Skip, &[0, 4, 5], &["", "1", "2", "3", "", "", "6", "7", "8", "9"], None),
        // What the key-value store knows of is there by number, so that no place of a reader is ahead of its log.
        (Repair::Truncate, &[4], &["0", "1", "2", "3", "", "", "", "", "", ""], Some(10)),
        (Repair::Truncate, &[0, 8], &[""; 10], Some(10)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (storage, _) = open(folder.path());
        for number in 0..10 {
            let mut transaction = append(LOG, &[&number.to_string()]);
            transaction.put(&keys, number.to_string(), "v");
            commit(&storage, transaction);
        }
        drop(storage);
        let file = journal_files(folder.path()).pop().unwrap();
        let frames = frames(&file);
        damaged.iter().for_each(|frame| flip(&file, frames[*frame] + 70));
        let before = fs::read(&file).unwrap();
        let told = repair(folder.path(), how, false).unwrap();
        assert_eq!(fs::read(&file).unwrap(), before, "it only tells");
        let lost = if how == Repair::Skip { damaged.len() } else { 10 - damaged[0] };
        assert_eq!(told.lost_transactions as usize, lost, "{told:?}");
        assert_eq!((told.rewritten.len(), told.removed.len()), (1, 0));
        assert_eq!(repair(folder.path(), how, true).unwrap(), told);
        assert_eq!(fs::read(folder.path().join("damaged/00000000000000000001.0.wal")).unwrap(), before);
        let (storage, report) = open(folder.path());
        assert_eq!((texts(&storage), report.torn), (records.iter().map(|text| Bytes::from(*text)).collect(), None));
        // The key-value store had them before the journal was damaged.
        let all = (Bound::Unbounded, Bound::Unbounded);
        assert_eq!((storage.scan(&keys, all, false, 100).unwrap().len(), told.keys_ahead), (10, keys_ahead));
        commit(&storage, append(LOG, &["next"]));
        drop(storage);
        assert_eq!(texts(&open(folder.path()).0).last().unwrap(), "next");
    }
}

#[test]
fn a_journal_that_lacks_a_file_is_repaired() {
    for (how, left) in [(Repair::Skip, 2_000), (Repair::Truncate, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let options = StorageOptions { checkpoint_bytes: 1 << 30, ..small(folder.path()) };
        let (storage, _) = Storage::open(options, Arc::new(ManualClock::at(1_000))).unwrap();
        let text = "x".repeat(2_000);
        for _ in 0..1_000 {
            commit(&storage, append(LOG, &[&text, "y"]));
        }
        drop(storage);
        let files = journal_files(folder.path());
        assert!(files.len() > 2, "{files:?}");
        let missing = &files[files.len() - 2];
        fs::remove_file(missing).unwrap();
        let (storage, clock) = (small(folder.path()), Arc::new(ManualClock::at(0)));
        assert!(matches!(Storage::open(storage, clock), Err(StorageError::Damaged { .. })));
        let told = repair(folder.path(), how, true).unwrap();
        assert_eq!(told.lost_records.len(), 1, "{told:?}");
        let (storage, report) = open(folder.path());
        let read = read_all(&storage, LOG).len() as u64;
        assert_eq!(read, if how == Repair::Skip { left } else { told.lost_records[0].1 });
        assert!(report.torn.is_none());
    }
}

#[test]
fn a_sound_journal_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = open(folder.path());
    for _ in 0..10 {
        commit(&storage, append(LOG, &["record"]));
    }
    drop(storage);
    let file = journal_files(folder.path()).pop().unwrap();
    // An interrupted write at the end is no damage: the next start cuts it.
    flip(&file, *frames(&file).last().unwrap() + 80);
    for how in [Repair::Skip, Repair::Truncate] {
        assert_eq!(repair(folder.path(), how, true).unwrap(), RepairReport::default());
    }
    assert_eq!(open(folder.path()).1.last_lsn, 9);
}

#[test]
fn a_missing_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = open(folder.path());
    commit(&storage, append(LOG, &["record"]));
    storage.close().unwrap();
    drop(storage);
    journal_files(folder.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    let refused = Storage::open(small(folder.path()), Arc::new(ManualClock::at(0))).err();
    assert!(matches!(refused, Some(StorageError::Damaged { .. })), "{refused:?}");
}

#[test]
fn many_logs_fill_and_recycle_journal_files() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, _) = open(folder.path());
    let text = "x".repeat(500);
    for round in 0..40_u64 {
        let mut tickets = Vec::new();
        for log in 0..100 {
            tickets.push(storage.submit(append(LogId(log), &[&text, &round.to_string()])).unwrap());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for ticket in tickets {
            runtime.block_on(ticket.durable()).unwrap();
        }
    }
    for log in 0..100 {
        let records = read_all(&storage, LogId(log));
        assert_eq!(records.len(), 80);
        assert_eq!(records[79].data, "39");
    }
    storage.close().unwrap();
    drop(storage);
    let verified = millstream_storage::verify(folder.path()).unwrap();
    assert_eq!((verified.logs, verified.records, verified.last_lsn), (100, 8000, 4000));
    let mut last = 0;
    millstream_storage::dump(folder.path(), |transaction| last = transaction.lsn).unwrap();
    assert_eq!(last, 4000);
    assert!(journal_files(folder.path()).len() < 8, "{:?}", journal_files(folder.path()));
    let (storage, report) = open(folder.path());
    assert_eq!((report.last_lsn, report.replayed_transactions), (4000, 0));
    for log in 0..100 {
        let offsets: Vec<_> = read_all(&storage, LogId(log)).iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..80).collect::<Vec<u64>>());
    }
}

#[test]
fn retention_removes_segments_and_dropping_removes_all() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(0));
    let (storage, _) = Storage::open(small(folder.path()), clock.clone()).unwrap();
    let text = "y".repeat(1000);
    for _ in 0..400 {
        clock.advance(1);
        commit(&storage, append(LOG, &[&text]));
    }
    assert_eq!(storage.offset_at_time(LOG, 300).unwrap(), 299);
    assert_eq!(storage.offset_at_time(LOG, 5).unwrap(), 4);
    assert_eq!(storage.offset_at_time(LOG, 500).unwrap(), 400);
    for bytes in [1, 100_000, 300_000, 10 << 20] {
        let kept = 400 - storage.offset_within(LOG, bytes).unwrap();
        assert!(kept == 400 || kept * 1_050 >= bytes, "{kept} records for {bytes} bytes");
        assert!(kept * 1_000 < bytes + (80 << 10), "{kept} records for {bytes} bytes");
    }
    let mut transaction = Transaction::new();
    transaction.trim_log(LOG, 250);
    commit(&storage, transaction);
    assert!(matches!(storage.read(LOG, 249, 1), Err(StorageError::OffsetGone { first: 250, .. })));
    storage.close().unwrap();
    drop(storage);
    let segments = || fs::read_dir(folder.path().join("logs/7")).map_or(0, Iterator::count);
    assert!((1..=4).contains(&segments()), "{}", segments());
    let (storage, _) = open(folder.path());
    assert_eq!(read_all(&storage, LOG).len(), 150);
    assert_eq!(storage.offset_at_time(LOG, 5).unwrap(), 250);
    let mut transaction = Transaction::new();
    transaction.drop_log(LOG);
    commit(&storage, transaction);
    assert_eq!(storage.bounds(LOG), LogBounds::default());
    storage.close().unwrap();
    assert!(!folder.path().join("logs/7").exists());
}

#[test]
fn submitted_keys_are_seen_before_they_are_durable_and_dropped_keyspaces_are_empty() {
    for durability in [Durability::Fsync, Durability::Os] {
        let folder = tempfile::tempdir().unwrap();
        let options = StorageOptions { durability, ..small(folder.path()) };
        let (storage, _) = Storage::open(options, Arc::new(ManualClock::at(0))).unwrap();
        let keys = Keyspace::new("keys");
        for number in 0..500_u32 {
            let mut transaction = Transaction::new();
            transaction.put(&keys, "counter", number.to_be_bytes().to_vec());
            drop(storage.submit(transaction).unwrap());
            assert_eq!(storage.get_submitted(&keys, b"counter").unwrap().unwrap(), number.to_be_bytes()[..]);
        }
        let mut transaction = Transaction::new();
        transaction.drop_keyspace(&keys);
        let ticket = storage.submit(transaction).unwrap();
        assert_eq!(storage.get_submitted(&keys, b"counter").unwrap(), None);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(ticket.durable()).unwrap();
        assert!(storage.scan(&keys, (Bound::Unbounded, Bound::Unbounded), false, 10).unwrap().is_empty());
    }
}
