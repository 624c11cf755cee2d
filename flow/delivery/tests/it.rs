//! The delivery engine over the storage model and real folders.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{
    Catalog, Compression, DeliverySource, ErrorLog, ObjectDestination, StreamDefinition, StreamOwner,
};
use millstream_delivery::{Deliveries, DeliveryError, NewDeliveryStream};
use millstream_insight::{Insight, Step};
use millstream_object::{ObjectStoreOptions, Objects};
use millstream_storage::Storage;
use millstream_stream::{Entry, NewStream, Streams};
use millstream_types::{CheckRole, Clock, ManualClock, RoleUse, SystemClock};

struct Node {
    clock: Arc<dyn Clock>,
    storage: Storage,
    streams: Streams,
    insight: Insight,
    catalog: Catalog,
    root: tempfile::TempDir,
    roles: Option<Arc<dyn CheckRole>>,
}

impl Node {
    fn new() -> Self {
        Self::with(Arc::new(SystemClock))
    }

    fn with(clock: Arc<dyn Clock>) -> Self {
        let storage = Storage::in_memory(Arc::clone(&clock));
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), Arc::clone(&clock));
        let insight = Insight::open(&storage, Arc::clone(&clock)).unwrap();
        Self { clock, storage, streams, insight, catalog, root: tempfile::tempdir().unwrap(), roles: None }
    }

    fn start(&self) -> Deliveries {
        let (storage, catalog, streams) = (self.storage.clone(), self.catalog.clone(), self.streams.clone());
        let root = ObjectStoreOptions::Folder(self.root.path().to_owned());
        let objects = Objects::new(root, storage.clone(), catalog.clone(), Arc::clone(&self.clock));
        Deliveries::start(
            objects,
            self.roles.clone(),
            storage,
            catalog,
            streams,
            self.insight.clone(),
            self.clock.clone(),
        )
    }

    /// A file where the bucket's folder would be: every write fails until it is gone.
    fn block(&self) {
        std::fs::write(self.root.path().join("archive"), "in the way").unwrap();
    }

    fn unblock(&self) {
        std::fs::remove_file(self.root.path().join("archive")).unwrap();
    }

    async fn stream(&self, name: &str, shards: u32) -> Arc<StreamDefinition> {
        let new = NewStream { name: name.into(), owner: StreamOwner::User, shards, retention_hours: 24 };
        self.streams.create(new).await.unwrap()
    }

    /// Puts lines into a shard of a stream.
    async fn put(&self, stream: &StreamDefinition, shard: usize, lines: Vec<Bytes>) {
        let hash = stream.shards[shard].hash_keys.start;
        let entry = |data| Entry {
            partition_key: Bytes::from_static(b"k"),
            explicit_hash_key: Some(hash),
            headers: Bytes::new(),
            data,
        };
        let entries: Vec<Entry> = lines.into_iter().map(entry).collect();
        self.streams.put(&stream.name, &entries).await.unwrap();
    }
}

/// Waits for something that happens soon.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not happen");
}

fn new(name: &str, buffer_bytes: u64, compression: Compression) -> NewDeliveryStream {
    NewDeliveryStream {
        name: name.into(),
        source: DeliverySource::DirectPut,
        source_role: String::new(),
        destination: ObjectDestination {
            bucket: "archive".into(),
            buffer_bytes,
            buffer_seconds: 1,
            compression,
            ..ObjectDestination::default()
        },
        tags: BTreeMap::new(),
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
async fn a_sink_that_fails_loses_nothing_and_is_told_of() {
    let node = Node::new();
    node.block();
    let deliveries = node.start();
    let mut told = new("trades", 8, Compression::None);
    told.destination.error_log = Some(ErrorLog { group: "errors".into(), stream: "trades".into() });
    deliveries.create(told).await.unwrap();
    deliveries.put("trades", lines(0..3)).await.unwrap();
    until(|| deliveries.status("trades").unwrap().last_error.is_some()).await;
    assert!(deliveries.status("trades").unwrap().last_error.unwrap().contains("archive"));
    let events = node.insight.logs.events("errors", Some("trades"), (0, i64::MAX), 0, 1).unwrap();
    assert!(events[0].1.message.contains("archive"), "{events:?}");
    node.unblock();
    delivered(node.root.path(), 24).await;
    deliveries.shutdown().await;
}

/// A role that allows nothing until it is said, and remembers what it was asked for.
#[derive(Default)]
struct Role {
    allows: Mutex<Vec<String>>,
    asked: Mutex<Vec<String>>,
}

impl CheckRole for Role {
    fn check(&self, role: &str, holder: &str, use_of: RoleUse<'_>) -> Result<(), String> {
        let asked = match use_of {
            RoleUse::ReadStream(stream) => format!("{role} {holder} reads {stream}"),
            RoleUse::WriteObject { bucket, .. } => format!("{role} {holder} writes {bucket}"),
            other => format!("{other:?}"),
        };
        self.asked.lock().unwrap().push(asked.clone());
        if self.allows.lock().unwrap().contains(&asked) { Ok(()) } else { Err(format!("not allowed: {asked}")) }
    }
}

#[tokio::test]
async fn roles_are_asked_before_records_are_read_and_objects_written() {
    let role = Arc::new(Role::default());
    let node = Node { roles: Some(role.clone()), ..Node::new() };
    let source = node.stream("trades", 1).await;
    let deliveries = node.start();
    let mut guarded = new("out", 8, Compression::None);
    guarded.source = DeliverySource::Stream { name: "trades".into() };
    guarded.source_role = "reader".into();
    guarded.destination.role = "writer".into();
    deliveries.create(guarded).await.unwrap();
    node.put(&source, 0, lines(0..3)).await;
    for allowed in ["reader out reads trades", "writer out writes archive"] {
        let told = format!("not allowed: {allowed}");
        until(|| deliveries.status("out").unwrap().last_error.as_ref() == Some(&told)).await;
        role.allows.lock().unwrap().push(allowed.to_owned());
    }
    // Each line is an object, and objects of one second have no order.
    let mut all: Vec<Vec<u8>> = delivered(node.root.path(), 24).await.chunks(8).map(<[u8]>::to_vec).collect();
    all.sort();
    assert_eq!(all, lines(0..3));
    until(|| deliveries.status("out").unwrap().last_error.is_none()).await;
    deliveries.shutdown().await;
}

#[tokio::test]
async fn what_one_bucket_refuses_goes_to_the_next() {
    let node = Node::new();
    node.block();
    let deliveries = node.start();
    let made = deliveries.create(new("trades", 8, Compression::None)).await.unwrap();
    deliveries.put("trades", lines(0..3)).await.unwrap();
    until(|| deliveries.status("trades").unwrap().last_error.is_some()).await;
    let other = ObjectDestination { bucket: "other".into(), ..made.destination.clone() };
    let stale = deliveries.update("trades", other.clone(), Some(made.version + 1)).await;
    assert!(matches!(stale, Err(DeliveryError::Changed { version: 1, expected: 2, .. })));
    deliveries.update("trades", other, Some(made.version)).await.unwrap();
    let mut all: Vec<Vec<u8>> =
        delivered(&node.root.path().join("other"), 24).await.chunks(8).map(<[u8]>::to_vec).collect();
    all.sort();
    assert_eq!(all, lines(0..3));
    let found = deliveries.get("trades").unwrap();
    assert!(found.version == 2 && found.modified.is_some());
    deliveries.shutdown().await;
}

#[tokio::test]
async fn a_stream_is_delivered_from_its_end_on() {
    let node = Node::new();
    let deliveries = node.start();
    let stream = node.stream("trades", 2).await;
    node.put(&stream, 0, lines(0..10)).await;
    let source = DeliverySource::Stream { name: "trades".into() };
    let reads = NewDeliveryStream { source, ..new("archive", 80, Compression::None) };
    deliveries.create(reads).await.unwrap();
    node.put(&stream, 0, lines(10..15)).await;
    node.put(&stream, 1, lines(15..20)).await;
    let mut all: Vec<Vec<u8>> = delivered(node.root.path(), 10 * 8).await.chunks(8).map(<[u8]>::to_vec).collect();
    all.sort();
    assert_eq!(all, lines(10..20));
    deliveries.shutdown().await;
}

#[tokio::test]
async fn a_busy_shard_leaves_no_other_behind() {
    let node = Node::new();
    node.block();
    let deliveries = node.start();
    let stream = node.stream("trades", 3).await;
    let source = DeliverySource::Stream { name: "trades".into() };
    let reads = NewDeliveryStream { source, ..new("archive", 800, Compression::None) };
    deliveries.create(reads).await.unwrap();
    node.put(&stream, 0, lines(0..2_000)).await;
    node.put(&stream, 1, lines(0..1)).await;
    node.put(&stream, 2, lines(0..1)).await;
    node.unblock();
    delivered(node.root.path(), 2_002 * 8).await;
    let of = |shard: usize| stream.shards[shard].log;
    let logs: Vec<u64> = (node.insight.trail.find(|step| matches!(step, Step::ObjectWritten { .. })).into_iter())
        .filter_map(|mark| if let Step::ObjectWritten { log, .. } = mark.step { Some(log) } else { None })
        .collect();
    let at = |log| logs.iter().position(|other| *other == log).unwrap();
    assert!(at(of(1)) < 6 && at(of(2)) < 6, "they come among the first objects: {logs:?}");
    assert!(logs.iter().filter(|log| **log == of(0)).count() >= 20);
    deliveries.shutdown().await;
}

#[tokio::test]
async fn records_that_retention_took_first_are_told_of() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let node = Node::with(clock.clone());
    node.block();
    let deliveries = node.start();
    deliveries.create(new("trades", 8, Compression::None)).await.unwrap();
    deliveries.put("trades", lines(0..3)).await.unwrap();
    until(|| deliveries.status("trades").unwrap().last_error.is_some()).await;
    clock.advance(25 * 3_600_000);
    deliveries.put("trades", lines(3..4)).await.unwrap();
    node.streams.enforce_retention().await.unwrap();
    node.unblock();
    assert_eq!(delivered(node.root.path(), 8).await, lines(3..4).concat());
    until(|| node.insight.metrics.counter("records_expired", "delivery/trades").value() == 3).await;
    assert_eq!(deliveries.status("trades").unwrap().expired, 3);
    let log = node.streams.get("delivery/trades").unwrap().shards[0].log();
    for (offset, written) in [(0, false), (1, false), (2, false), (3, true)] {
        let marks = node.insight.trail.of_record(log, offset);
        assert_eq!(marks.iter().any(|mark| matches!(mark.step, Step::ObjectWritten { .. })), written, "{offset}");
        assert_eq!(marks.iter().any(|mark| matches!(mark.step, Step::Expired { .. })), !written, "{offset}");
    }
    deliveries.shutdown().await;
}

#[tokio::test]
async fn one_that_delivers_can_be_deleted_and_made_anew() {
    let node = Node::new();
    node.block();
    let deliveries = node.start();
    deliveries.create(new("trades", 8, Compression::None)).await.unwrap();
    deliveries.put("trades", lines(0..100)).await.unwrap();
    until(|| deliveries.status("trades").unwrap().last_error.is_some()).await;
    deliveries.delete("trades").await.unwrap();
    assert!(deliveries.status("trades").is_none());
    assert!(node.streams.get("delivery/trades").is_err());
    node.unblock();
    deliveries.create(new("trades", 8, Compression::None)).await.unwrap();
    deliveries.put("trades", lines(100..101)).await.unwrap();
    assert_eq!(delivered(node.root.path(), 8).await, lines(100..101).concat());
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
    let mut outside = new("other", 8, Compression::None);
    outside.destination.prefix = "../../etc/".into();
    assert!(matches!(deliveries.create(outside).await, Err(DeliveryError::BadNaming { .. })));
    assert!(matches!(deliveries.put("none", lines(0..1)).await, Err(DeliveryError::NotFound { .. })));
    deliveries.delete("trades").await.unwrap();
    assert!(matches!(deliveries.get("trades"), Err(DeliveryError::NotFound { .. })));
}
