//! From a query's own stream to the outside: functions, documents, objects. Each output has its own place, so one that
//! fails waits alone, and it goes on where it stopped after a crash.
//!
//! Towards functions it is at least once, with ids that stay the same; documents of the same id replace each other; objects
//! hold each row once. Read next: [`function`], [`document`], [`object`].

pub(super) mod document;
pub(super) mod function;
pub(super) mod growth;
pub(super) mod object;
pub(crate) mod object_path;

use std::sync::Arc;
use std::time::Duration;

use millstream_insight::Insight;
use millstream_stream::{ReadBatch, Streams};
use millstream_types::{CheckRole, Invoke, LogId, PutObject, ReadObject, Record, UpsertDocuments};
use tokio::sync::watch;

use super::checkpoint::Checkpoints;
use super::error::QueryError;
use super::processing::ProcessingCodec;
use super::status::Running;
use document::DocumentTarget;
use function::FunctionTarget;
pub use function::{DeliveryAnswer, DeliveryRecord, OutputCodec};
use growth::ObjectPlace;
use object::ObjectTarget;

/// Bytes of rows that are handed on at once: base64 and its frame stay below the functions' limit of 6 MiB.
pub(super) const BYTES_MAX: usize = 4 << 20;
/// First and longest wait before what failed is tried again.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// Longest wait for an answer of what keeps rows, before they are handed over again.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Longest wait for rows before the end of the stream is looked at again.
const LOOK: Duration = Duration::from_millis(500);
/// How long a delivery that is asked to stop may take to end what it has begun: an object that was half on its way could
/// replace the next one of its name.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What outputs are handed to.
#[derive(Clone)]
pub struct Outside {
    /// Functions.
    pub invoke: Arc<dyn Invoke>,
    /// The event in which rows of the Kinesis dialect go to functions.
    pub kinesis_codec: Arc<dyn OutputCodec>,
    /// The event in which records of inputs of the Kinesis dialect go through functions. `None`: such inputs are not read.
    pub kinesis_processing: Option<Arc<dyn ProcessingCodec>>,
    /// The event in which rows of the Stream Analytics dialect go to functions.
    pub stream_analytics_codec: Arc<dyn OutputCodec>,
    /// Objects that are written.
    pub objects: Arc<dyn PutObject>,
    /// Objects that are read: reference data.
    pub reads: Arc<dyn ReadObject>,
    /// How often newer versions of reference data are looked for. Those that begin within twice as long are read ahead.
    pub reference_scan: Duration,
    /// Documents.
    pub documents: Arc<dyn UpsertDocuments>,
    /// What the roles allow that queries of the Kinesis dialect name; those of the other dialect name policies and accounts.
    /// `None`: nobody is asked.
    pub kinesis_roles: Option<Arc<dyn CheckRole>>,
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
    pub(super) stop: watch::Receiver<bool>,
}

impl Outlet {
    /// How far rows are delivered. The first time that is where the stream begins, kept at once: what is let go later without
    /// being delivered is lost, what was let go before is not.
    async fn place(&self) -> Result<ObjectPlace, QueryError> {
        if let Some(place) = self.checkpoints.place(&self.query, &self.output).await? {
            return Ok(place);
        }
        let first = self.streams.bounds(self.log).first;
        self.checkpoints.set_delivered(&self.query, &self.output, first).await?;
        Ok(ObjectPlace::at(first))
    }

    /// Whether the query is asked to stop; so it is when nobody is left to ask.
    fn stopping(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Resolves when the query is asked to stop.
    async fn stopped(&self) {
        let mut stop = self.stop.clone();
        let _ = stop.wait_for(|stopped| *stopped).await;
    }

    /// Waits, but not when the query is asked to stop.
    async fn pause(&self, wait: Duration) {
        let _ = tokio::time::timeout(wait, self.stopped()).await;
    }

    /// Waits a while for more rows.
    async fn more(&self, watched: &mut watch::Receiver<u64>) {
        tokio::select! {
            _ = watched.changed() => {}
            () = self.pause(LOOK) => {}
        }
    }

    /// Tells of rows that were let go before they were delivered.
    fn tell_lost(&self, position: u64, read: &ReadBatch) {
        let first = first_read(read);
        if first > position {
            let detail =
                format!("rows {position} to {} of output `{}` were not delivered in time", first - 1, self.output);
            tracing::error!(query = %self.query, %detail, "rows are lost");
            self.running.seen("lost", &detail);
            self.insight.metrics.counter("rows_lost", &format!("query/{}", self.query)).add(first - position);
        }
    }
}

/// The first row that a read gave, or will give next. Behind the position that was asked for, rows were let go.
fn first_read(read: &ReadBatch) -> u64 {
    read.batches.first().map_or(read.next, |batch| batch.base_offset)
}

/// Where rows go.
pub(super) enum Target {
    Function(FunctionTarget),
    Documents(DocumentTarget),
    Objects(ObjectTarget),
}

impl Target {
    /// The function, container or bucket.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Function(target) => target.function.clone(),
            Self::Documents(target) => format!("{}/{}", target.output.database, target.output.container),
            Self::Objects(target) => target.output.bucket.clone(),
        }
    }
}

/// An output on its way out.
pub(super) struct Delivery {
    pub(super) outlet: Outlet,
    pub(super) target: Target,
}

impl Delivery {
    /// Delivers until asked to stop.
    pub(super) async fn run(self) {
        let outlet = &self.outlet;
        while !outlet.stopping() {
            let delivered = async {
                match &self.target {
                    Target::Objects(target) => target.deliver(outlet).await,
                    Target::Function(_) | Target::Documents(_) => self.in_batches().await,
                }
            };
            tokio::select! {
                ended = delivered => {
                    if let Err(error) = ended {
                        let Outlet { query, output, running, .. } = outlet;
                        running.not_delivered(output, &error);
                        tracing::warn!(%query, %output, %error, "delivery failed; it is tried again");
                        outlet.pause(RETRY_WAITS.0).await;
                    }
                }
                () = self.given_up() => return,
            }
        }
    }

    /// Resolves when the query was asked to stop and what was begun had its time to end. A function may be cut off: it gets
    /// the records again.
    async fn given_up(&self) {
        self.outlet.stopped().await;
        if !matches!(self.target, Target::Function(_)) {
            tokio::time::sleep(STOP_WAIT).await;
        }
    }

    async fn in_batches(&self) -> Result<(), QueryError> {
        let Outlet { query, output, log, streams, checkpoints, .. } = &self.outlet;
        let mut position = self.outlet.place().await?.written();
        self.outlet.running.handed(output, position);
        let mut watched = streams.watch(*log);
        while !self.outlet.stopping() {
            let read = streams.read(*log, position, BYTES_MAX).await?;
            self.outlet.tell_lost(position, &read);
            position = position.max(first_read(&read));
            let records = read.batches.iter().flat_map(|batch| batch.records());
            let records: Vec<Record> = records.filter(|record| record.offset >= position).collect();
            if records.is_empty() {
                self.outlet.more(&mut watched).await;
            }
            for records in batches(&records, self.batch_max()) {
                if !self.hand_over(records).await? {
                    return Ok(());
                }
                position = records[records.len() - 1].offset + 1;
                checkpoints.set_delivered(query, output, position).await?;
                self.outlet.running.handed(output, position);
            }
        }
        Ok(())
    }

    /// Delivers records; `false`: not all of them before the query was asked to stop.
    async fn hand_over(&self, records: &[Record]) -> Result<bool, QueryError> {
        match &self.target {
            Target::Function(target) => target.deliver_all(&self.outlet, records).await,
            Target::Documents(target) => return target.deliver_all(&self.outlet, records).await,
            Target::Objects(_) => {}
        }
        Ok(true)
    }

    /// Rows that are handed over at once, and their bytes.
    fn batch_max(&self) -> (usize, usize) {
        match &self.target {
            Target::Function(target) => target.batch_max(),
            Target::Documents(_) | Target::Objects(_) => (document::RECORDS_MAX, BYTES_MAX),
        }
    }
}

/// Records in batches of which none is empty or too large.
pub(super) fn batches(records: &[Record], (records_max, bytes_max): (usize, usize)) -> impl Iterator<Item = &[Record]> {
    let (mut bytes, mut count) = (0, 0);
    records.chunk_by(move |before, next| {
        bytes += before.data.len();
        count += 1;
        let together = count < records_max && bytes + next.data.len() <= bytes_max;
        if !together {
            (bytes, count) = (0, 0);
        }
        together
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_records_and_bytes() {
        let record = |bytes: usize| Record {
            offset: 0,
            append_time: 0,
            partition_key: bytes::Bytes::new(),
            headers: bytes::Bytes::new(),
            data: bytes::Bytes::from(vec![0; bytes]),
        };
        let half = BYTES_MAX / 2;
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![1; 7], vec![3, 3, 1]),
            (vec![half, half, 1], vec![2, 1]),
            (vec![BYTES_MAX + 1, 1, 1], vec![1, 2]),
            (vec![1, half, half, half, 0, 0], vec![2, 3, 1]),
        ] {
            let records: Vec<Record> = sizes.iter().map(|bytes| record(*bytes)).collect();
            let found: Vec<usize> = batches(&records, (3, BYTES_MAX)).map(<[Record]>::len).collect();
            assert_eq!(found, expected, "{sizes:?}");
        }
    }
}
