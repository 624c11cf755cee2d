//! Damaged segments whose records the journal has in part: a repair gives up what is lost, and no more.

use std::fs;
use std::path::Path;

use millstream_storage::{Repair, RepairReport, repair, verify};

use super::{LOG, append, commit, flip, open, read_all, segment_files};

/// Damages the record of the journal that has this text.
fn lose_in_journal(folder: &Path, text: &str) {
    for entry in fs::read_dir(folder.join("journal")).unwrap() {
        let file = entry.unwrap().path();
        let content = fs::read(&file).unwrap();
        if let Some(at) = content.windows(text.len()).position(|bytes| bytes == text.as_bytes()) {
            flip(&file, at as u64);
        }
    }
}

/// Appends texts, each in a transaction of its own, and closes the folder.
fn write(folder: &Path, texts: impl Iterator<Item = String>) {
    let (storage, _) = open(folder);
    for text in texts {
        commit(&storage, append(LOG, &[&text]));
    }
    storage.close().unwrap();
}

fn long(number: u64) -> String {
    format!("{number:04}{}", "x".repeat(5_000))
}

fn offsets(folder: &Path) -> Vec<u64> {
    read_all(&open(folder).0, LOG).iter().map(|record| record.offset).collect()
}

#[test]
fn a_segment_that_lost_its_end_is_refused_and_a_repair_says_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let some = |numbers: std::ops::Range<u64>| write(folder.path(), numbers.map(long));
    let length = || {
        let last = segment_files(folder.path(), LOG).pop().unwrap();
        (fs::metadata(&last).unwrap().len(), last)
    };
    let mut count = 100;
    some(0..count);
    while !(25_000..45_000).contains(&length().0) {
        some(count..count + 1);
        count += 1;
    }
    some(count..count + 2);
    let (whole, last) = length();
    // Of what is cut off, the journal does not have this one.
    let gone = count - 1;
    lose_in_journal(folder.path(), &format!("{gone:04}xxxx"));
    fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(whole - 15_500).unwrap();
    let refused = verify(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("millstream log repair") && refused.contains(&format!("{whole} bytes")), "{refused}");
    let told = repair(folder.path(), Repair::Skip, false).unwrap();
    let [before, lost, behind] = &told.segments[..] else { panic!("{told:?}") };
    assert_eq!((before.first_offset + before.records, before.copied), (gone, true), "{told:?}");
    assert_eq!((lost.first_offset, lost.records, lost.copied), (gone, 1, false), "{told:?}");
    assert_eq!((behind.first_offset, behind.records, behind.copied), (count, 2, true), "{told:?}");
    assert_eq!(fs::metadata(&last).unwrap().len(), whole - 15_500, "it only tells");
    assert_eq!(repair(folder.path(), Repair::Truncate, true).unwrap(), told);
    assert_eq!(fs::metadata(&last).unwrap().len(), whole);
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.damaged.len(), report.lost_records, report.records), (0, 1, count + 1));
    some(count + 2..count + 3);
    assert_eq!(offsets(folder.path()), (0..gone).chain(count..count + 3).collect::<Vec<_>>());
}

/// How long it should be stands nowhere: it may grow until its records fit.
#[test]
fn a_segment_before_the_last_that_lost_its_end_gets_back_what_the_journal_has() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), (0..24).map(long));
    let [first, last] = &segment_files(folder.path(), LOG)[..] else { panic!("two segments") };
    let end: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let gone = end - 2;
    lose_in_journal(folder.path(), &format!("{gone:04}xxxx"));
    let length = fs::metadata(first).unwrap().len();
    fs::OpenOptions::new().write(true).open(first).unwrap().set_len(length - 15_500).unwrap();
    let told = repair(folder.path(), Repair::Skip, true).unwrap();
    let found: Vec<_> = told.segments.iter().map(|part| (part.first_offset, part.records, part.copied)).collect();
    let [(begins, records, true), (lost, 1, false), (behind, 1, true)] = found[..] else { panic!("{told:?}") };
    assert_eq!((begins + records, lost, behind), (gone, gone, end - 1), "{told:?}");
    assert_eq!(repair(folder.path(), Repair::Skip, true).unwrap(), RepairReport::default());
    assert_eq!(offsets(folder.path()), (0..gone).chain(end - 1..24).collect::<Vec<_>>());
}

/// Small appends share a head in a segment. Without one of them the others need two more, and what says that it is lost.
#[test]
fn what_is_lost_of_a_merged_batch_costs_the_shortest_of_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), (0..40).map(|number| format!("small{number:04}")));
    let [file] = &segment_files(folder.path(), LOG)[..] else { panic!("one segment") };
    lose_in_journal(folder.path(), "small0003");
    flip(file, fs::metadata(file).unwrap().len() / 2);
    let told = repair(folder.path(), Repair::Skip, true).unwrap();
    let found: Vec<_> = told.segments.iter().map(|part| (part.first_offset, part.records, part.copied)).collect();
    assert_eq!(found, [(0, 4, false), (4, 36, true)], "{told:?}");
    assert_eq!(repair(folder.path(), Repair::Skip, true).unwrap(), RepairReport::default());
    assert_eq!(offsets(folder.path()), (4..40).collect::<Vec<_>>());
}
