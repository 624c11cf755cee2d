//! Rows to functions: a query's own stream is read from a checkpoint, and each batch is tried until the function has said of
//! every record that it has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_insight::{Insight, Step};
use millstream_stream::{SequenceNumber, Streams};
use millstream_types::{Invocation, Invoke, LogId, Record};
use tokio::sync::watch;

use super::checkpoint::Checkpoints;
use super::error::QueryError;
use super::status::Running;

/// Records of one invocation.
const RECORDS_MAX: usize = 500;
/// Bytes of rows of one invocation: base64 and its frame stay below the functions' limit of 6 MiB.
const BYTES_MAX: usize = 4 << 20;
/// First and longest wait before failed records are sent again.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// Longest wait for rows before the stop signal is looked at again.
const LOOK: Duration = Duration::from_millis(500);

/// A row on its way to a function.
#[derive(Debug, Clone)]
pub struct DeliveryRecord {
    /// The same in every attempt: what a function tells repetitions by.
    pub id: String,
    /// How often it was sent before.
    pub attempts: u32,
    /// The row as a record.
    pub data: Bytes,
}

/// What a function said of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAnswer {
    /// Which record.
    pub id: String,
    /// Whether the function has it.
    pub ok: bool,
}

/// The shape in which rows go to functions and answers come back: a front's business, plugged in by the server.
pub trait OutputCodec: Send + Sync + 'static {
    /// The event of some records of a query's output.
    fn encode(&self, query: &str, records: &[DeliveryRecord]) -> Bytes;

    /// What the function said; `None` when it is no answer of that shape.
    fn decode(&self, answer: &[u8]) -> Option<Vec<DeliveryAnswer>>;
}

/// An output that goes to a function.
pub(super) struct FunctionDelivery {
    pub(super) query: String,
    pub(super) output: String,
    pub(super) function: String,
    pub(super) log: LogId,
    pub(super) streams: Streams,
    pub(super) checkpoints: Checkpoints,
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) codec: Arc<dyn OutputCodec>,
    pub(super) insight: Insight,
    pub(super) running: Arc<Running>,
}

impl FunctionDelivery {
    /// Delivers until asked to stop.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::select! {
                ended = self.deliver() => {
                    if let Err(error) = ended {
                        self.running.fail(&error);
                        tracing::warn!(query = %self.query, output = %self.output, %error, "delivery failed; it is tried again");
                        tokio::time::sleep(RETRY_WAITS.0).await;
                    }
                }
                _ = stop.changed() => return,
            }
        }
    }

    async fn deliver(&self) -> Result<(), QueryError> {
        let mut position = self.checkpoints.delivered(&self.query, &self.output).await?;
        let mut watched = self.streams.watch(self.log);
        loop {
            let read = self.streams.read(self.log, position, BYTES_MAX).await?;
            let records = batch(read.batches.iter().flat_map(|batch| batch.records()), position);
            let Some(last) = records.last() else {
                let _ = tokio::time::timeout(LOOK, watched.changed()).await;
                continue;
            };
            let next = last.offset + 1;
            self.deliver_all(&records).await;
            self.checkpoints.set_delivered(&self.query, &self.output, next).await?;
            position = next;
        }
    }

    /// Sends records until the function has all of them.
    async fn deliver_all(&self, records: &[Record]) {
        let mut left: Vec<DeliveryRecord> = records
            .iter()
            .map(|record| DeliveryRecord {
                id: SequenceNumber { log: self.log, offset: record.offset }.to_string(),
                attempts: 0,
                data: record.data.clone(),
            })
            .collect();
        let (from, to) = (records[0].offset, records[records.len() - 1].offset + 1);
        let mut wait = RETRY_WAITS.0;
        while !left.is_empty() {
            let sent = left.len();
            let (invocation, outcome) = self.send(&mut left).await;
            self.insight.trail.mark(Step::Delivered {
                log: self.log.0,
                from,
                to,
                function: self.function.clone(),
                invocation,
                outcome: outcome.clone(),
            });
            let subject = format!("query/{}", self.query);
            self.insight.metrics.counter("delivered", &subject).add((sent - left.len()) as u64);
            if left.is_empty() {
                self.running.delivered();
                return;
            }
            self.running.fail(&QueryError::Delivery {
                function: self.function.clone(),
                records: left.len(),
                reason: outcome,
            });
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAITS.1);
        }
    }

    /// One attempt: takes out of `left` what the function has. Gives the invocation's id and how it went.
    async fn send(&self, left: &mut Vec<DeliveryRecord>) -> (String, String) {
        let invocation = Invocation {
            function: self.function.clone(),
            payload: self.codec.encode(&self.query, left),
            source: format!("query:{}", self.query),
            client_context: None,
            log_tail: false,
        };
        left.iter_mut().for_each(|record| record.attempts += 1);
        let outcome = match self.invoke.invoke(invocation).await {
            Ok(outcome) => outcome,
            Err(error) => return (String::new(), error.to_string()),
        };
        if outcome.error.is_some() {
            return (outcome.id, String::from_utf8_lossy(&outcome.payload).into_owned());
        }
        let Some(answers) = self.codec.decode(&outcome.payload) else {
            let answer: String = String::from_utf8_lossy(&outcome.payload).chars().take(200).collect();
            return (outcome.id, format!("expected an answer for each record, found {answer}"));
        };
        let said: HashMap<&str, bool> = answers.iter().map(|answer| (answer.id.as_str(), answer.ok)).collect();
        left.retain(|record| said.get(record.id.as_str()) != Some(&true));
        let how = if left.is_empty() { "ok".to_owned() } else { format!("{} records were not taken", left.len()) };
        (outcome.id, how)
    }
}

/// As many records as one invocation takes.
fn batch(records: impl Iterator<Item = Record>, from: u64) -> Vec<Record> {
    let mut bytes = 0;
    records
        .filter(|record| record.offset >= from)
        .take_while(|record| {
            let first = bytes == 0;
            bytes += record.data.len().max(1);
            first || bytes <= BYTES_MAX
        })
        .take(RECORDS_MAX)
        .collect()
}
