//! Events on their way into the log: gathered by partition in the order they came, made durable together.

use millstream_insight::Step;
use millstream_namespace::{Sequenced, Verdict};
use millstream_storage::{Receipt, Transaction};
use millstream_stream::{Entry, StagedPut, StreamError};

use super::EventHubs;

/// Events that wait for a commit.
#[derive(Default)]
pub struct Ingest {
    groups: Vec<Group>,
    /// Events of producers that number them.
    sequenced: Vec<Sequenced>,
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

    /// Adds numbered events; gives their place among the verdicts of the commit.
    pub fn add_sequenced(&mut self, sequenced: Sequenced) -> usize {
        self.bytes += bytes_of(&sequenced.entries);
        self.sequenced.push(sequenced);
        self.sequenced.len() - 1
    }

    /// Bytes of the events that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes all of them durable, or none; `request` names them in the trail. Gives what became of each of the numbered.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn commit(self, hubs: &EventHubs, request: &str) -> Result<Vec<Verdict>, StreamError> {
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
        let mut landed: Vec<_> = self
            .groups
            .iter()
            .zip(staged)
            .map(|(group, put)| Landed { stream: group.stream.clone(), bytes: group.bytes, put })
            .collect();
        if self.sequenced.is_empty() {
            if !transaction.is_empty() {
                let receipt = hubs.streams.commit(transaction).await?;
                landed.iter().for_each(|landed| landed.tell(hubs, &receipt, request));
            }
            return Ok(Vec::new());
        }
        let told: Vec<(String, usize)> =
            self.sequenced.iter().map(|one| (one.stream.clone(), bytes_of(&one.entries))).collect();
        let appends = landed.len();
        let (receipt, outcomes) = hubs.namespaces.producers().commit(transaction, appends, self.sequenced).await?;
        let mut verdicts = Vec::with_capacity(outcomes.len());
        for ((verdict, put), (stream, bytes)) in outcomes.into_iter().zip(told) {
            verdicts.push(verdict);
            landed.extend(put.map(|put| Landed { stream, bytes, put }));
        }
        landed.iter().for_each(|landed| landed.tell(hubs, &receipt, request));
        Ok(verdicts)
    }
}

/// Events that a commit took.
struct Landed {
    stream: String,
    bytes: usize,
    put: StagedPut,
}

impl Landed {
    /// Counts them, and notes where they are.
    fn tell(&self, hubs: &EventHubs, receipt: &Receipt, request: &str) {
        let subject = format!("stream/{}", self.stream);
        for (_, log, from, to) in self.put.ranges(receipt) {
            hubs.insight.metrics.counter("records_in", &subject).add(to - from);
            hubs.insight.trail.mark(Step::Received {
                log: log.0,
                from,
                to,
                stream: self.stream.clone(),
                request: request.to_owned(),
                invocation: None,
            });
        }
        hubs.insight.metrics.counter("bytes_in", &subject).add(self.bytes as u64);
    }
}

fn bytes_of(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.data.len() + entry.partition_key.len() + entry.headers.len()).sum()
}
