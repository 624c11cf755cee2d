//! From a query's own stream to the outside: functions, documents, objects. Each output has its own place, so one that
//! fails waits alone, and it goes on where it stopped after a crash.
//!
//! Towards functions it is at least once, with ids that stay the same; documents of the same id replace each other; objects
//! hold each row once. Read next: [`function`], [`document`], [`object`].

pub(super) mod document;
pub(super) mod function;
pub(super) mod object;
pub(crate) mod object_path;

use std::sync::Arc;
use std::time::Duration;

use millstream_insight::Insight;
use millstream_stream::Streams;
use millstream_types::{Invoke, LogId, PutObject, Record, UpsertDocuments};
use tokio::sync::watch;

use super::checkpoint::Checkpoints;
use super::error::QueryError;
use super::status::Running;
use document::DocumentTarget;
use function::FunctionTarget;
pub use function::{DeliveryAnswer, DeliveryRecord, OutputCodec};
use object::ObjectTarget;

/// Bytes of rows that are handed on at once: base64 and its frame stay below the functions' limit of 6 MiB.
const BYTES_MAX: usize = 4 << 20;
/// First and longest wait before what failed is tried again.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// Longest wait for rows before the stop signal is looked at again.
const LOOK: Duration = Duration::from_millis(500);

/// What outputs are handed to.
#[derive(Clone)]
pub struct Outside {
    /// Functions.
    pub invoke: Arc<dyn Invoke>,
    /// The event in which rows of the Kinesis dialect go to functions.
    pub kinesis_codec: Arc<dyn OutputCodec>,
    /// The event in which rows of the Stream Analytics dialect go to functions.
    pub stream_analytics_codec: Arc<dyn OutputCodec>,
    /// Objects.
    pub objects: Arc<dyn PutObject>,
    /// Documents.
    pub documents: Arc<dyn UpsertDocuments>,
}

/// An output's rows and what is known of them.
pub(super) struct Outlet {
    pub(super) query: String,
    pub(super) output: String,
    /// The query's own stream of this output.
    pub(super) log: LogId,
    pub(super) streams: Streams,
    pub(super) checkpoints: Checkpoints,
    pub(super) insight: Insight,
    pub(super) running: Arc<Running>,
}

/// Where rows go.
pub(super) enum Target {
    Function(FunctionTarget),
    Documents(DocumentTarget),
    Objects(ObjectTarget),
}

/// An output on its way out.
pub(super) struct Delivery {
    pub(super) outlet: Outlet,
    pub(super) target: Target,
}

impl Delivery {
    /// Delivers until asked to stop.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let delivered = async {
                match &self.target {
                    Target::Objects(target) => target.deliver(&self.outlet).await,
                    Target::Function(_) | Target::Documents(_) => self.in_batches().await,
                }
            };
            tokio::select! {
                ended = delivered => {
                    if let Err(error) = ended {
                        let Outlet { query, output, running, .. } = &self.outlet;
                        running.fail(&error);
                        tracing::warn!(%query, %output, %error, "delivery failed; it is tried again");
                        tokio::time::sleep(RETRY_WAITS.0).await;
                    }
                }
                _ = stop.changed() => return,
            }
        }
    }

    async fn in_batches(&self) -> Result<(), QueryError> {
        let Outlet { query, output, log, streams, checkpoints, .. } = &self.outlet;
        let mut position = checkpoints.delivered(query, output).await?;
        let mut watched = streams.watch(*log);
        loop {
            let read = streams.read(*log, position, BYTES_MAX).await?;
            let records = batch(read.batches.iter().flat_map(|batch| batch.records()), position, self.records_max());
            let Some(last) = records.last() else {
                let _ = tokio::time::timeout(LOOK, watched.changed()).await;
                continue;
            };
            let next = last.offset + 1;
            match &self.target {
                Target::Function(target) => target.deliver_all(&self.outlet, &records).await,
                Target::Documents(target) => target.deliver_all(&self.outlet, &records).await,
                Target::Objects(_) => {}
            }
            checkpoints.set_delivered(query, output, next).await?;
            position = next;
        }
    }

    fn records_max(&self) -> usize {
        match &self.target {
            Target::Function(target) => target.codec.records_max(),
            Target::Documents(_) | Target::Objects(_) => document::RECORDS_MAX,
        }
    }
}

/// As many records as one batch takes.
fn batch(records: impl Iterator<Item = Record>, from: u64, records_max: usize) -> Vec<Record> {
    let mut bytes = 0;
    records
        .filter(|record| record.offset >= from)
        .take_while(|record| {
            let first = bytes == 0;
            bytes += record.data.len().max(1);
            first || bytes <= BYTES_MAX
        })
        .take(records_max)
        .collect()
}
