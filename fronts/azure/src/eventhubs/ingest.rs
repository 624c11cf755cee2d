//! Events on their way into the log: gathered by partition in the order they came, made durable together.

use millstream_insight::Step;
use millstream_stream::{AppendError, Entry, Sequence, ShardBatch, StreamError};

use super::EventHubs;

/// Events that wait for a commit.
#[derive(Default)]
pub struct Ingest {
    groups: Vec<Group>,
    /// Events of producers that number them.
    numbered: Vec<Numbered>,
    bytes: usize,
}

struct Group {
    stream: String,
    partition: u32,
    entries: Vec<Entry>,
    bytes: usize,
}

struct Numbered {
    group: Group,
    sequence: Sequence,
}

impl Ingest {
    /// Adds events behind those that wait already.
    pub fn add(&mut self, stream: &str, partition: u32, entries: Vec<Entry>) {
        let bytes = bytes_of(&entries);
        self.bytes += bytes;
        let known = self.groups.iter_mut().find(|group| group.partition == partition && group.stream == stream);
        match known {
            Some(group) => {
                group.entries.extend(entries);
                group.bytes += bytes;
            }
            None => self.groups.push(Group { stream: stream.to_owned(), partition, entries, bytes }),
        }
    }

    /// Adds numbered events, one at least; gives their place among the outcomes of the commit.
    pub fn add_numbered(&mut self, stream: &str, partition: u32, entries: Vec<Entry>, sequence: Sequence) -> usize {
        let bytes = bytes_of(&entries);
        self.bytes += bytes;
        let group = Group { stream: stream.to_owned(), partition, entries, bytes };
        self.numbered.push(Numbered { group, sequence });
        self.numbered.len() - 1
    }

    /// Bytes of the events that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes all of them durable; `request` names them in the trail. Gives what became of each of the numbered.
    ///
    /// # Errors
    /// [`StreamError`]: none of them is there, but for [`StreamError::ShardClosed`], where those of other partitions are.
    pub async fn commit(self, hubs: &EventHubs, request: &str) -> Result<Vec<Result<(), AppendError>>, StreamError> {
        let Self { groups, numbered, .. } = self;
        let without_numbers = groups.len();
        let all = groups.into_iter().map(|group| (group, None));
        let all = all.chain(numbered.into_iter().map(|one| (one.group, Some(one.sequence))));
        let (mut batches, mut coming) = (Vec::new(), Vec::new());
        for (group, sequence) in all {
            let batch = hubs.streams.shard_batch(&group.stream, group.partition, &group.entries, sequence)?;
            coming.push(Coming::of(group, &batch));
            batches.push(batch);
        }
        let mut outcomes = Vec::with_capacity(batches.len() - without_numbers);
        let mut closed = None;
        let placed = hubs.producers.append(batches).durable().await;
        for (at, (coming, placed)) in coming.into_iter().zip(placed).enumerate() {
            // Of events without numbers only a partition that was closed meanwhile is refused.
            let gone = StreamError::ShardClosed { stream: coming.stream.clone(), shard: coming.partition };
            if let Ok(placed) = &placed
                && !placed.repeated
            {
                coming.tell(hubs, placed.offset, request);
            }
            match placed {
                Err(AppendError::Storage(error)) => return Err(error.into()),
                placed if at >= without_numbers => outcomes.push(placed.map(|_| ())),
                Ok(_) => {}
                Err(_) => closed = Some(gone),
            }
        }
        closed.map_or(Ok(outcomes), Err)
    }
}

/// Events of a batch that is on its way.
struct Coming {
    stream: String,
    partition: u32,
    log: u64,
    records: u64,
    bytes: u64,
}

impl Coming {
    fn of(group: Group, batch: &ShardBatch) -> Self {
        let Group { stream, partition, bytes, .. } = group;
        Self { stream, partition, log: batch.log.0, records: batch.records.count().into(), bytes: bytes as u64 }
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
