//! Events on their way into the log: gathered by partition in the order they came, made durable together.

use millstream_insight::Step;
use millstream_stream::{AppendError, Entry, Sequence, ShardBatch, StreamError};

use super::EventHubs;

/// Events that wait for a commit.
#[derive(Default)]
pub struct Ingest {
    groups: Vec<Group>,
    bytes: usize,
}

/// Events of one partition, and their numbers when the producer numbers them.
struct Group {
    stream: String,
    partition: u32,
    entries: Vec<Entry>,
    sequence: Option<Sequence>,
    bytes: usize,
}

/// Why events were not taken.
pub enum NotTaken {
    /// The stream does not take them, now or ever.
    Stream(StreamError),
    /// Their numbers are not the ones that come next.
    Numbers(AppendError),
}

impl Ingest {
    /// Adds events behind those that wait already, with a sequence when their producer numbers them; gives their place among
    /// the outcomes of the commit.
    pub fn add(&mut self, stream: &str, partition: u32, entries: Vec<Entry>, sequence: Option<Sequence>) -> usize {
        let bytes = bytes_of(&entries);
        self.bytes += bytes;
        let alike = |group: &Group| {
            sequence.is_none() && group.sequence.is_none() && group.partition == partition && group.stream == stream
        };
        if let Some(place) = self.groups.iter().position(alike) {
            let group = &mut self.groups[place];
            group.entries.extend(entries);
            group.bytes += bytes;
            return place;
        }
        self.groups.push(Group { stream: stream.to_owned(), partition, entries, sequence, bytes });
        self.groups.len() - 1
    }

    /// Bytes of the events that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes them durable, all together but for those that are refused; `request` names them in the trail. Gives what became of
    /// those of each place.
    pub async fn commit(self, hubs: &EventHubs, request: &str) -> Vec<Result<(), NotTaken>> {
        let (mut batches, mut coming, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for group in self.groups {
            match hubs.streams.shard_batch(&group.stream, group.partition, &group.entries, group.sequence) {
                Ok(batch) => {
                    coming.push(Coming::of(outcomes.len(), group, &batch));
                    batches.push(batch);
                    outcomes.push(Ok(()));
                }
                Err(error) => outcomes.push(Err(NotTaken::Stream(error))),
            }
        }
        let placed = hubs.producers.append(batches).durable().await;
        for (coming, placed) in coming.into_iter().zip(placed) {
            let place = coming.place;
            match placed {
                Ok(placed) if placed.repeated => {}
                Ok(placed) => coming.tell(hubs, placed.offset, request),
                Err(error) => outcomes[place] = Err(coming.refused(error)),
            }
        }
        outcomes
    }
}

/// Events of a batch that is on its way.
struct Coming {
    /// Its place among the outcomes.
    place: usize,
    stream: String,
    partition: u32,
    log: u64,
    records: u64,
    bytes: u64,
}

impl Coming {
    fn of(place: usize, group: Group, batch: &ShardBatch) -> Self {
        let Group { stream, partition, bytes, .. } = group;
        Self { place, stream, partition, log: batch.log.0, records: batch.records.count().into(), bytes: bytes as u64 }
    }

    fn refused(self, error: AppendError) -> NotTaken {
        match error {
            AppendError::ShardClosed => {
                NotTaken::Stream(StreamError::ShardClosed { stream: self.stream, shard: self.partition })
            }
            AppendError::Storage(error) => NotTaken::Stream(error.into()),
            error => NotTaken::Numbers(error),
        }
    }

    /// Counts them, and notes where they are: from an offset on.
    fn tell(self, hubs: &EventHubs, from: u64, request: &str) {
        let subject = format!("stream/{}", self.stream);
        hubs.insight.metrics.counter("records_in", &subject).add(self.records);
        hubs.insight.metrics.counter("bytes_in", &subject).add(self.bytes);
        hubs.insight.trail.mark(Step::Received {
            log: self.log,
            from,
            to: from + self.records,
            stream: self.stream,
            request: request.to_owned(),
            invocation: None,
        });
    }
}

fn bytes_of(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.data.len() + entry.partition_key.len() + entry.headers.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_access::Management;
    use millstream_catalog::{Catalog, StreamOwner};
    use millstream_insight::Insight;
    use millstream_namespace::Namespaces;
    use millstream_storage::Storage;
    use millstream_stream::{NewStream, Producers, Streams};
    use millstream_types::ManualClock;

    use super::*;
    use crate::eventhubs::Endpoint;

    #[tokio::test]
    async fn a_partition_that_is_closed_refuses_its_own_events_only() {
        let clock = Arc::new(ManualClock::at(1));
        let storage = Storage::in_memory(clock.clone());
        let catalog = Catalog::open(&storage).unwrap();
        let streams = Streams::new(storage.clone(), catalog.clone(), clock.clone());
        let producers = Producers::open(storage.clone(), clock.clone(), streams.gate()).unwrap();
        let insight = Insight::open(&storage, clock.clone()).unwrap();
        let random = Arc::new(|| [0; 32]);
        let namespaces = Namespaces::new(catalog, streams.clone(), clock.clone(), random, true);
        let endpoint = Endpoint { host: "host".into(), port: 1, tls: false };
        let management = Management::by(String::new());
        let hubs = EventHubs::new(namespaces, streams.clone(), producers, insight, clock, endpoint, management);
        let new = NewStream { name: "s".into(), owner: StreamOwner::User, shards: 2, retention_hours: 24 };
        streams.create(new).await.unwrap();

        let mut ingest = Ingest::default();
        let entry = || {
            let (partition_key, headers) = (bytes::Bytes::new(), bytes::Bytes::new());
            vec![Entry { partition_key, explicit_hash_key: None, headers, data: "x".into() }]
        };
        let places = [0, 1, 0].map(|partition| ingest.add("s", partition, entry(), None));
        assert_eq!(places, [0, 1, 0]);
        streams.split_shard("s", 0, 1 << 100).await.unwrap();
        let outcomes = ingest.commit(&hubs, "r").await;
        assert!(matches!(outcomes[0], Err(NotTaken::Stream(StreamError::ShardClosed { .. }))));
        assert!(outcomes[1].is_ok() && outcomes.len() == 2);
        let log = streams.shard_log("s", 1).unwrap();
        assert_eq!(streams.bounds(log).next, 1, "two partitions, one event");
    }
}
