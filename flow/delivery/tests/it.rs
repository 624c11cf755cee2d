//! The delivery engine over the storage model and real folders.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{Catalog, Compression, DeliverySource, ObjectDestination};
use millstream_delivery::{Deliveries, DeliveryError, NewDeliveryStream};
use millstream_insight::Insight;
use millstream_object::{ObjectStoreOptions, Objects};
use millstream_storage::Storage;
use millstream_stream::Streams;
use millstream_types::{Clock, SystemClock};

struct Node {
    storage: Storage,
    root: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self { storage: Storage::in_memory(Arc::new(SystemClock)), root: tempfile::tempdir().unwrap() }
    }

    fn start(&self) -> Deliveries {
        self.start_over(self.root.path())
    }

    fn start_over(&self, root: &Path) -> Deliveries {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let catalog = Catalog::open(&self.storage).unwrap();
        let streams = Streams::new(self.storage.clone(), catalog.clone(), Arc::clone(&clock));
        let insight = Insight::open(&self.storage, Arc::clone(&clock)).unwrap();
        let store = ObjectStoreOptions::Folder(root.to_owned());
        let objects = Objects::new(store, self.storage.clone(), catalog.clone(), Arc::clone(&clock));
        Deliveries::start(objects, self.storage.clone(), catalog, streams, insight, clock)
    }
}

fn new(name: &str, buffer_bytes: u64, compression: Compression) -> NewDeliveryStream {
    NewDeliveryStream {
        name: name.into(),
        source: DeliverySource::DirectPut,
        destination: ObjectDestination {
            bucket: "archive".into(),
            prefix: String::new(),
            buffer_bytes,
            buffer_seconds: 1,
            compression,
            role: String::new(),
        },
    }
}

/// All objects below a folder in the order of their names.
fn objects(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            // The object engine's own folder holds what is no object yet.
            if path.ends_with(".millstream") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Waits until the objects together hold as many bytes, and gives all of them joined.
async fn delivered(root: &Path, bytes: usize) -> Vec<u8> {
    for _ in 0..200 {
        let joined: Vec<u8> = objects(root).into_iter().flat_map(|(_, content)| content).collect();
        if joined.len() >= bytes {
            return joined;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("only {:?} were delivered", objects(root));
}

fn lines(range: std::ops::Range<u32>) -> Vec<Bytes> {
    range.map(|n| Bytes::from(format!("{n:07}\n"))).collect()
}

#[tokio::test]
async fn records_become_objects_as_they_are_and_a_restart_repeats_none() {
    let node = Node::new();
    let deliveries = node.start();
    deliveries.create(new("trades", 800, Compression::None)).await.unwrap();
    deliveries.put("trades", lines(0..250)).await.unwrap();
    let joined = delivered(node.root.path(), 250 * 8).await;
    assert_eq!(joined.len(), 250 * 8);
    assert!(objects(node.root.path()).iter().any(|(_, content)| content.len() == 800), "cut by size");
    deliveries.shutdown().await;

    let deliveries = node.start();
    deliveries.put("trades", lines(250..300)).await.unwrap();
    let mut all: Vec<Vec<u8>> = delivered(node.root.path(), 300 * 8).await.chunks(8).map(<[u8]>::to_vec).collect();
    all.sort();
    assert_eq!(all, lines(0..300));
    deliveries.shutdown().await;
}

#[tokio::test]
async fn packed_objects_unpack_to_the_records() {
    let node = Node::new();
    let deliveries = node.start();
    deliveries.create(new("trades", 1 << 20, Compression::Gzip)).await.unwrap();
    deliveries.put("trades", lines(0..100)).await.unwrap();
    delivered(node.root.path(), 1).await;
    let (name, content) = objects(node.root.path()).remove(0);
    assert!(name.starts_with("trades-1-") && name.ends_with(".gz"), "{name}");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&content[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, lines(0..100).concat());
    deliveries.shutdown().await;
}

#[tokio::test]
async fn a_sink_that_fails_loses_nothing() {
    let node = Node::new();
    // A file where the bucket's folder would be: every write fails.
    std::fs::write(node.root.path().join("archive"), "in the way").unwrap();
    let deliveries = node.start();
    deliveries.create(new("trades", 8, Compression::None)).await.unwrap();
    deliveries.put("trades", lines(0..3)).await.unwrap();
    for _ in 0..200 {
        if deliveries.status("trades").unwrap().last_error.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(deliveries.status("trades").unwrap().last_error.unwrap().contains("archive"));
    std::fs::remove_file(node.root.path().join("archive")).unwrap();
    delivered(node.root.path(), 24).await;
    deliveries.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let node = Node::new();
    let deliveries = node.start();
    deliveries.create(new("trades", 8, Compression::None)).await.unwrap();
    let again = deliveries.create(new("trades", 8, Compression::None)).await;
    assert!(matches!(again, Err(DeliveryError::Exists { .. })));
    let mut bad = new("other", 8, Compression::None);
    bad.destination.bucket = "../etc".into();
    assert!(matches!(deliveries.create(bad).await, Err(DeliveryError::BadBucket { .. })));
    assert!(matches!(deliveries.put("none", lines(0..1)).await, Err(DeliveryError::NotFound { .. })));
    deliveries.delete("trades").await.unwrap();
    assert!(matches!(deliveries.get("trades"), Err(DeliveryError::NotFound { .. })));
}
