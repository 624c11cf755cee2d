//! Splits and merges while records come: none is lost, and each key keeps its order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_stream::Producers;

use super::*;

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Reads a stream as a reader does that knows its shards: parents to their end before their children.
async fn read_in_order(streams: &Streams, name: &str) -> Vec<(String, u64)> {
    let stream = streams.get(name).unwrap();
    let mut positions: BTreeMap<u64, u64> = BTreeMap::new();
    let mut found = Vec::new();
    loop {
        let before = found.len() + positions.len();
        let position = |shard: &ShardDefinition| positions.get(&shard.log).copied().unwrap_or_default();
        let readable: Vec<ShardDefinition> =
            stream.readable(|shard| streams.has_ended(shard, position(shard))).into_iter().cloned().collect();
        for shard in readable {
            let from = positions.get(&shard.log).copied().unwrap_or_default();
            let read = streams.read(shard.log(), from, 1 << 10).await.unwrap();
            for record in read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= from) {
                let key = String::from_utf8(record.partition_key.to_vec()).unwrap();
                found.push((key, std::str::from_utf8(&record.data).unwrap().parse().unwrap()));
            }
            positions.insert(shard.log, read.next);
        }
        if found.len() + positions.len() == before {
            return found;
        }
    }
}

/// Splits, merges or scales by chance. What cannot be done is left.
async fn reshard(streams: &Streams, random: &mut Random) {
    let stream = streams.get("trades").unwrap();
    let mut open: Vec<&ShardDefinition> = stream.open_shards().collect();
    open.sort_by_key(|shard| shard.hash_keys.start);
    let shard = random.below(open.len() as u64) as usize;
    match random.below(4) {
        0 | 1 if open.len() < 8 => {
            let range = open[shard].hash_keys;
            let middle = range.start + (range.end - range.start) / 2;
            streams.split_shard("trades", open[shard].index, middle).await.unwrap();
        }
        2 if shard > 0 => streams.merge_shards("trades", open[shard].index, open[shard - 1].index).await.unwrap(),
        _ => {
            let wanted = 1 + random.below(8) as u32;
            match streams.set_shard_count("trades", wanted).await {
                Ok(scaled) => assert_eq!((scaled.before as usize, scaled.now), (open.len(), wanted)),
                Err(StreamError::Scaling { .. } | StreamError::ScaledOften { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_keep_their_order_while_shards_change() {
    for round in 1..=8u64 {
        let (streams, _) = engine();
        streams.create(new_stream("trades", 2)).await.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let put = |writer: u64| {
            let (streams, done) = (streams.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut random = Random(round * 1_000 + writer);
                let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                while !done.load(Ordering::Relaxed) {
                    // Several records of a key in one put, too.
                    let entries: Vec<Entry> = (0..=random.below(6))
                        .map(|_| {
                            let key = format!("{writer}-{}", random.below(5));
                            let count = counts.entry(key.clone()).or_default();
                            *count += 1;
                            entry(&key, &count.to_string())
                        })
                        .collect();
                    streams.put("trades", &entries).await.unwrap();
                    tokio::task::yield_now().await;
                }
                counts
            })
        };
        let writers: Vec<_> = (0..4).map(put).collect();
        let mut random = Random(round);
        for _ in 0..20 {
            reshard(&streams, &mut random).await;
            tokio::task::yield_now().await;
        }
        done.store(true, Ordering::Relaxed);
        let mut expected = BTreeMap::new();
        for writer in writers {
            expected.extend(writer.await.unwrap());
        }
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for (key, number) in read_in_order(&streams, "trades").await {
            let last = seen.entry(key).or_default();
            assert_eq!(number, *last + 1, "round {round}: the order of a key");
            *last = number;
        }
        assert_eq!(seen, expected, "round {round}: all records");
    }
}

#[tokio::test]
async fn what_cannot_be_split_or_merged_is_refused() {
    let (streams, _) = engine();
    let stream = streams.create(new_stream("trades", 3)).await.unwrap();
    let start = stream.shards[1].hash_keys.start;
    for (shard, at) in [(1, start), (1, start + 1), (0, start + 5), (1, stream.shards[1].hash_keys.end)] {
        let refused = streams.split_shard("trades", shard, at).await;
        assert!(matches!(refused, Err(StreamError::SplitPoint { .. })), "{shard} at {at}");
    }
    assert!(matches!(streams.merge_shards("trades", 0, 2).await, Err(StreamError::NotAdjacent { .. })));
    assert!(matches!(streams.merge_shards("trades", 0, 0).await, Err(StreamError::NotAdjacent { .. })));
    assert!(matches!(streams.split_shard("trades", 7, 5).await, Err(StreamError::ShardNotFound { .. })));
    streams.merge_shards("trades", 1, 0).await.unwrap();
    assert!(matches!(streams.split_shard("trades", 1, start + 9).await, Err(StreamError::ShardClosed { .. })));
    assert!(matches!(streams.set_shard_count("trades", 5).await, Err(StreamError::Scaling { there: 2, .. })));
    streams.set_capacity("trades", CapacityMode::OnDemand, None).await.unwrap();
    assert!(matches!(streams.set_shard_count("trades", 4).await, Err(StreamError::OnDemand { .. })));
    let changes = NewStream { owner: StreamOwner::Table, ..new_stream("changes/t", 1) };
    streams.create(changes).await.unwrap();
    assert!(matches!(streams.split_shard("changes/t", 0, 9).await, Err(StreamError::NotReshardable { .. })));
}

#[tokio::test]
async fn closed_shards_take_nothing_and_go_when_their_records_have_gone() {
    let (streams, clock) = engine();
    streams.create(new_stream("trades", 1)).await.unwrap();
    streams.put("trades", &[entry("a", "1")]).await.unwrap();
    let before = streams.shard_batch("trades", 0, &[entry("a", "2")], None).unwrap();
    streams.split_shard("trades", 0, 1 << 100).await.unwrap();
    let late = streams.shard_batch("trades", 0, &[entry("a", "2")], None);
    assert!(matches!(late, Err(StreamError::ShardClosed { .. })));
    let producers = Producers::open(Storage::in_memory(clock.clone()), clock.clone(), streams.gate()).unwrap();
    let refused = producers.append(vec![before]).durable().await.remove(0);
    assert!(matches!(refused, Err(millstream_stream::AppendError::ShardClosed)), "made before, sent afterwards");
    let stream = streams.get("trades").unwrap();
    assert_eq!(streams.bounds(stream.shards[0].log()).next, 1);

    let day = 24 * 3_600_000;
    clock.advance(day + 1);
    streams.enforce_retention().await.unwrap();
    assert_eq!(streams.get("trades").unwrap().shards.len(), 3, "readers may still be told of what they missed");
    clock.advance(10 * 60_000);
    streams.enforce_retention().await.unwrap();
    let stream = streams.get("trades").unwrap();
    assert_eq!(stream.shards.iter().map(|shard| shard.index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(stream.numbers(), 3);
    streams.add_shards("trades", 4).await.unwrap();
    let stream = streams.get("trades").unwrap();
    assert_eq!(stream.shards.iter().map(|shard| shard.index).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_node_that_comes_back_knows_what_was_closed() {
    let clock = Arc::new(ManualClock::at(1_000));
    let storage = Storage::in_memory(clock.clone());
    let streams = Streams::new(storage.clone(), Catalog::open(&storage).unwrap(), clock.clone());
    streams.create(new_stream("trades", 1)).await.unwrap();
    streams.split_shard("trades", 0, 1 << 100).await.unwrap();
    let again = Streams::new(storage.clone(), Catalog::open(&storage).unwrap(), clock);
    let placed = again.put("trades", &[entry("a", "1")]).await.unwrap();
    assert_ne!(placed[0].shard, 0);
    let late = again.shard_batch("trades", 0, &[entry("a", "2")], None);
    assert!(matches!(late, Err(StreamError::ShardClosed { .. })));
}
