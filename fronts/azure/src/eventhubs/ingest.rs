//! Events on their way into the log: gathered by partition in the order they came, made durable together.

use millstream_insight::Step;
use millstream_storage::Transaction;
use millstream_stream::{Entry, StreamError};

use super::EventHubs;

/// Events that wait for a commit.
#[derive(Default)]
pub struct Ingest {
    groups: Vec<Group>,
    bytes: usize,
}

struct Group {
    stream: String,
    partition: u32,
    entries: Vec<Entry>,
    bytes: usize,
}

impl Ingest {
    /// Adds events behind those that wait already.
    pub fn add(&mut self, stream: &str, partition: u32, entries: Vec<Entry>) {
        let size = |entry: &Entry| entry.data.len() + entry.partition_key.len() + entry.headers.len();
        let bytes: usize = entries.iter().map(size).sum();
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

    /// Bytes of the events that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes all of them durable, or none; `request` names them in the trail.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn commit(self, hubs: &EventHubs, request: &str) -> Result<(), StreamError> {
        let mut transaction = Transaction::new();
        let mut staged = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let appends_before = staged.len();
            let put = hubs.streams.stage_to_shard(
                &group.stream,
                group.partition,
                &group.entries,
                &mut transaction,
                appends_before,
            )?;
            staged.push(put);
        }
        if transaction.is_empty() {
            return Ok(());
        }
        let receipt = hubs.streams.commit(transaction).await?;
        for (group, staged) in self.groups.iter().zip(&staged) {
            let subject = format!("stream/{}", group.stream);
            for (_, log, from, to) in staged.ranges(&receipt) {
                hubs.insight.metrics.counter("records_in", &subject).add(to - from);
                hubs.insight.trail.mark(Step::Received {
                    log: log.0,
                    from,
                    to,
                    stream: group.stream.clone(),
                    request: request.to_owned(),
                    invocation: None,
                });
            }
            hubs.insight.metrics.counter("bytes_in", &subject).add(group.bytes as u64);
        }
        Ok(())
    }
}
