//! Streams over a disk that damaged some of their records.

use std::fs;
use std::path::Path;

use millstream_storage::StorageOptions;

use super::*;

fn open(folder: &Path) -> (Streams, Storage) {
    let clock = Arc::new(ManualClock::at(1_000));
    let (storage, _) = Storage::open(StorageOptions::new(folder), clock.clone()).unwrap();
    let catalog = Catalog::open(&storage).unwrap();
    (Streams::new(storage.clone(), catalog, clock), storage)
}

/// Damages the batches that hold these texts, in the files of a folder.
fn damage(folder: &Path, texts: &[&str]) {
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let mut content = fs::read(&path).unwrap();
        for text in texts.iter().map(|text| text.as_bytes()) {
            if let Some(at) = content.windows(text.len()).position(|window| window == text) {
                content[at] ^= 1;
            }
        }
        fs::write(path, content).unwrap();
    }
}

#[tokio::test]
async fn readers_pass_what_is_lost_and_find_it_in_front_of_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let (streams, storage) = open(folder.path());
    let log = streams.create(new_stream("trades", 1)).await.unwrap().shards[0].log();
    // Too large to share a batch of the segment.
    let text = |number: u64| format!("record {number} {}", "x".repeat(40_000));
    for number in 0..10 {
        streams.put("trades", &[entry("key", &text(number))]).await.unwrap();
    }
    storage.close().unwrap();
    drop((streams, storage));
    // The journal still has copies.
    for files in ["journal".to_owned(), format!("logs/{}", log.0)] {
        damage(&folder.path().join(files), &["record 3 ", "record 4 ", "record 9 "]);
    }

    let (streams, _storage) = open(folder.path());
    for max_bytes in [1, 100_000, usize::MAX] {
        let (mut next, mut found, mut gaps) = (0, Vec::new(), Vec::new());
        while next < 10 {
            let read = streams.read(log, next, max_bytes).await.unwrap();
            let first = read.batches.first().map_or(read.next, |batch| batch.base_offset);
            if first > next {
                gaps.push(next..first);
            }
            let records: Vec<_> = read.batches.iter().flat_map(|batch| batch.records()).collect();
            assert!(
                records.windows(2).all(|pair| pair[0].offset + 1 == pair[1].offset),
                "nothing is lost within a read"
            );
            assert!(records.iter().all(|record| record.data == text(record.offset)));
            found.extend(records.iter().map(|record| record.offset));
            assert!(read.next > next, "a reader gets on");
            next = read.next;
        }
        assert_eq!((found, gaps), (vec![0, 1, 2, 5, 6, 7, 8], vec![3..5, 9..10]));
    }
    assert_eq!(streams.lost_records(), BTreeMap::from([("trades".to_owned(), 3)]));
    let at_end = streams.read(log, 9, 1).await.unwrap();
    assert_eq!((at_end.batches.len(), at_end.next), (0, 10));
    streams.put("trades", &[entry("key", "more")]).await.unwrap();
    assert_eq!(streams.read(log, 9, 1).await.unwrap().batches[0].base_offset, 10);
}
