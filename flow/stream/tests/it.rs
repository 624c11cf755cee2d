//! The stream engine over the storage model.

#![allow(clippy::unwrap_used)]

#[path = "it/damage.rs"]
mod damage;
#[path = "it/resharding.rs"]
mod resharding;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use millstream_catalog::{
    CapacityMode, Catalog, HashKeyRange, RecordDistribution, ShardDefinition, StreamDefinition, StreamOwner,
    StreamSettings,
};
use millstream_storage::Storage;
use millstream_stream::{Entry, NewStream, SHARDS_ALL_MAX, StreamError, Streams, TAGS_MAX, THROUGHPUT_COMMITTED_MS};
use millstream_types::{LogId, ManualClock};

fn engine() -> (Streams, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(1_000));
    let storage = Storage::in_memory(clock.clone());
    let catalog = Catalog::open(&storage).unwrap();
    (Streams::new(storage, catalog, clock.clone()), clock)
}

fn new_stream(name: &str, shards: u32) -> NewStream {
    NewStream { name: name.into(), owner: StreamOwner::User, shards, retention_hours: 24 }
}

fn entry(key: &str, data: &str) -> Entry {
    Entry {
        partition_key: Bytes::copy_from_slice(key.as_bytes()),
        explicit_hash_key: None,
        headers: Bytes::new(),
        data: Bytes::copy_from_slice(data.as_bytes()),
    }
}

#[tokio::test]
async fn what_is_put_is_read_in_order_from_its_shard() {
    let (streams, _) = engine();
    let stream = streams.create(new_stream("trades", 3)).await.unwrap();
    let entries: Vec<Entry> = (0..200).map(|n| entry(&format!("key{}", n % 20), &n.to_string())).collect();
    let placements = streams.put("trades", &entries).await.unwrap();
    assert_eq!(placements.len(), 200);
    let mut seen = 0;
    for shard in &stream.shards {
        let read = streams.read(shard.log(), 0, usize::MAX).await.unwrap();
        let mut last = None;
        for record in read.batches.iter().flat_map(|batch| batch.records()) {
            let number: usize = std::str::from_utf8(&record.data).unwrap().parse().unwrap();
            assert_eq!(placements[number].sequence.offset, record.offset);
            assert_eq!(placements[number].sequence.log, shard.log());
            assert!(last < Some(number), "order within a shard");
            last = Some(number);
            seen += 1;
        }
    }
    assert_eq!(seen, 200);
}

#[tokio::test]
async fn keys_decide_nothing_where_records_go_in_turn() {
    let (streams, _) = engine();
    let settings = StreamSettings { distribution: RecordDistribution::Even, ..StreamSettings::default() };
    let make = streams.create_with(new_stream("even", 3), CapacityMode::OnDemand, BTreeMap::new(), settings);
    make.await.unwrap();
    let same = Entry { explicit_hash_key: Some(0), ..entry("same", "x") };
    let shards = |placements: Vec<millstream_stream::Placement>| {
        let mut counts = [0; 3];
        placements.iter().for_each(|placement| counts[placement.shard as usize] += 1);
        counts
    };
    assert_eq!(shards(streams.put("even", &vec![same.clone(); 30]).await.unwrap()), [10; 3]);
    let mut singly = Vec::new();
    for _ in 0..90 {
        singly.extend(streams.put("even", std::slice::from_ref(&same)).await.unwrap());
        // Puts to other streams do not keep this one to some of its shards.
        streams.put("even", &[]).await.unwrap();
    }
    assert!(shards(singly).iter().all(|count| (15..50).contains(count)));
    streams.set_capacity("even", CapacityMode::Provisioned, None).await.unwrap();
    assert_eq!(shards(streams.put("even", &vec![same; 30]).await.unwrap()), [30, 0, 0]);
    let refused = streams.set_distribution("even", RecordDistribution::Even).await;
    assert!(matches!(refused, Err(StreamError::Provisioned { .. })), "{refused:?}");
    streams.set_distribution("even", RecordDistribution::PartitionKey).await.unwrap();
}

/// Whoever wins, records of a provisioned stream go where their keys say.
#[tokio::test]
async fn a_stream_that_is_made_provisioned_meanwhile_does_not_get_records_in_turn() {
    let (streams, _) = engine();
    let none = StreamSettings::default();
    streams.create_with(new_stream("s", 3), CapacityMode::OnDemand, BTreeMap::new(), none).await.unwrap();
    let (provisioned, even) = tokio::join!(
        streams.set_capacity("s", CapacityMode::Provisioned, None),
        streams.set_distribution("s", RecordDistribution::Even),
    );
    provisioned.unwrap();
    assert!(matches!(even, Err(StreamError::Provisioned { .. })), "{even:?}");
    assert_eq!(streams.get("s").unwrap().settings.distribution, RecordDistribution::PartitionKey);
}

#[tokio::test]
async fn an_account_commits_itself_for_a_day_at_least() {
    let (streams, clock) = engine();
    assert_eq!(streams.commit_throughput(false).await.unwrap(), None);
    let made = streams.commit_throughput(true).await.unwrap().unwrap();
    assert_eq!((made.started, made.ends), (1_000, None));
    clock.advance(60_000);
    let day = Some(1_000 + THROUGHPUT_COMMITTED_MS);
    assert_eq!(streams.commit_throughput(false).await.unwrap().unwrap().ends, day);
    clock.advance(60_000);
    assert_eq!(streams.commit_throughput(false).await.unwrap().unwrap().ends, day, "it ends when it ended");
    assert_eq!(streams.commit_throughput(true).await.unwrap().unwrap(), made, "it goes on");
    streams.commit_throughput(false).await.unwrap();
    clock.advance(THROUGHPUT_COMMITTED_MS);
    let again = streams.commit_throughput(true).await.unwrap().unwrap();
    assert_eq!((again.started, again.ends), (121_000 + THROUGHPUT_COMMITTED_MS, None));
}

#[tokio::test]
async fn an_explicit_hash_key_decides_the_shard() {
    let (streams, _) = engine();
    let stream = streams.create(new_stream("trades", 4)).await.unwrap();
    for shard in &stream.shards {
        for hash in [shard.hash_keys.start, shard.hash_keys.end] {
            let put = Entry { explicit_hash_key: Some(hash), ..entry("same", "x") };
            assert_eq!(streams.put("trades", &[put]).await.unwrap()[0].shard, shard.index);
        }
    }
}

#[tokio::test]
async fn a_shard_keeps_its_bytes_and_no_fewer() {
    let (streams, _) = engine();
    let log = streams.create(new_stream("trades", 1)).await.unwrap().shards[0].log();
    let other = streams.create(new_stream("all", 1)).await.unwrap().shards[0].log();
    for _ in 0..100 {
        streams.put("trades", &[entry("a", &"x".repeat(996))]).await.unwrap();
        streams.put("all", &[entry("a", &"x".repeat(996))]).await.unwrap();
    }
    streams.set_kept("trades", Some(48), Some(10_000)).await.unwrap();
    streams.enforce_retention().await.unwrap();
    // A record takes three bytes beside its own and its key.
    assert_eq!((streams.bounds(log).first, streams.bounds(other).first), (90, 0));
    assert_eq!(streams.read(log, 0, usize::MAX).await.unwrap().batches[0].base_offset, 90);
    streams.set_kept("trades", None, Some(0)).await.unwrap();
    streams.put("trades", &[entry("a", "more")]).await.unwrap();
    streams.enforce_retention().await.unwrap();
    assert_eq!((streams.bounds(log).first, streams.get("trades").unwrap().retention_hours), (90, 48));
}

#[tokio::test]
async fn old_records_go_and_reads_begin_at_what_is_left() {
    let (streams, clock) = engine();
    let stream = streams.create(new_stream("trades", 1)).await.unwrap();
    let log = stream.shards[0].log();
    streams.put("trades", &[entry("a", "old")]).await.unwrap();
    clock.advance(25 * 3_600_000);
    streams.put("trades", &[entry("a", "new")]).await.unwrap();
    streams.enforce_retention().await.unwrap();
    let read = streams.read(log, 0, usize::MAX).await.unwrap();
    let left: Vec<Bytes> = read.batches.iter().flat_map(|batch| batch.records()).map(|record| record.data).collect();
    assert_eq!(left, [Bytes::from_static(b"new")]);
}

#[tokio::test]
async fn names_are_unique_and_shard_counts_bounded() {
    let (streams, _) = engine();
    streams.create(new_stream("trades", 1)).await.unwrap();
    assert!(matches!(streams.create(new_stream("trades", 1)).await, Err(StreamError::StreamExists { .. })));
    assert!(matches!(streams.create(new_stream("none", 0)).await, Err(StreamError::ShardCount { .. })));
    streams.delete("trades").await.unwrap();
    assert!(matches!(streams.put("trades", &[]).await, Err(StreamError::StreamNotFound { .. })));
}

#[tokio::test]
async fn modes_and_labels_are_kept_and_no_change_is_lost_to_another() {
    let (streams, _) = engine();
    let labels = |from: usize, to: usize| -> BTreeMap<String, String> {
        (from..to).map(|n| (format!("k{n:02}"), "v".to_owned())).collect()
    };
    let made = streams
        .create_with(new_stream("trades", 4), CapacityMode::OnDemand, labels(0, 1), StreamSettings::default())
        .await
        .unwrap();
    assert_eq!((made.capacity, made.tags.len()), (CapacityMode::OnDemand, 1));
    let gone = ["k00".to_owned(), "none".to_owned()];
    let (added, changed, removed) = tokio::join!(
        streams.add_tags("trades", labels(1, 20)),
        streams.set_kept("trades", Some(48), None),
        streams.remove_tags("trades", &gone),
    );
    added.and(changed).and(removed).unwrap();
    let found = streams.get("trades").unwrap();
    assert_eq!(
        (found.tags.clone(), found.retention_hours, found.capacity),
        (labels(1, 20), 48, CapacityMode::OnDemand)
    );
    let many = streams.add_tags("trades", labels(20, TAGS_MAX + 2)).await;
    assert!(matches!(many, Err(StreamError::TooManyTags { .. })));
    assert_eq!(streams.get("trades").unwrap().tags, labels(1, 20));
}

#[tokio::test]
async fn shards_are_bounded_in_all() {
    let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
    let catalog = Catalog::open(&storage).unwrap();
    let all = HashKeyRange { start: 0, end: u128::MAX };
    let shard = |index: u32| ShardDefinition::first(index, LogId(index.into()), all);
    let many = StreamDefinition {
        name: "many".into(),
        owner: StreamOwner::User,
        created: 0,
        retention_hours: 24,
        shards: (0..SHARDS_ALL_MAX - 1).map(shard).collect(),
        tags: BTreeMap::new(),
        capacity: CapacityMode::Provisioned,
        scaled: Vec::new(),
        consumers: Vec::new(),
        settings: StreamSettings::default(),
    };
    catalog.streams.create(many).await.unwrap();
    let streams = Streams::new(storage, catalog, Arc::new(ManualClock::at(0)));
    let two = streams.create(new_stream("two", 2)).await;
    assert!(matches!(two, Err(StreamError::ShardsInAll { .. })));
    streams.create(new_stream("one", 1)).await.unwrap();
}

#[tokio::test]
async fn records_go_to_the_shard_that_is_named_whatever_their_keys() {
    let (streams, _) = engine();
    streams.create(new_stream("trades", 4)).await.unwrap();
    let entries: Vec<Entry> = (0..5).map(|n| entry(&n.to_string(), "x")).collect();
    let batch = streams.shard_batch("trades", 2, &entries, None).unwrap();
    assert_eq!((batch.log, batch.records.count()), (streams.get("trades").unwrap().shards[2].log(), 5));
    let missing = streams.shard_batch("trades", 4, &entries, None);
    assert!(matches!(missing, Err(StreamError::ShardNotFound { .. })));
}

#[tokio::test]
async fn a_change_goes_on_to_its_end_without_its_caller() {
    let (streams, _) = engine();
    // Asked once, then given up: the next change waits until the first has come to its end.
    assert!(streams.create(new_stream("trades", 2)).now_or_never().is_none());
    assert!(matches!(streams.create(new_stream("trades", 2)).await, Err(StreamError::StreamExists { .. })));
    assert!(streams.add_shards("trades", 5).now_or_never().is_none());
    streams.set_kept("trades", Some(48), None).await.unwrap();
    let found = streams.get("trades").unwrap();
    assert_eq!((found.shards.len(), found.retention_hours), (5, 48));
    let logs: std::collections::BTreeSet<u64> = found.shards.iter().map(|shard| shard.log).collect();
    assert_eq!(logs.len(), 5);
    assert!(streams.delete("trades").now_or_never().is_none());
    assert!(matches!(streams.set_kept("trades", Some(24), None).await, Err(StreamError::StreamNotFound { .. })));
}
