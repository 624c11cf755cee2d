//! One delivery stream at work: fill a buffer, decide an object, write it, go on behind it.
//!
//! What is buffered is only counted: records are read again when their object is written. Read next:
//! [`crate::buffer`] (when an object is due), [`crate::plan`] (what is kept of the work).

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression as GzipLevel, write::GzEncoder};
use millstream_catalog::{Compression, DeliverySource, DeliveryStreamDefinition, ShardDefinition};
use millstream_insight::{Gauge, Insight, Step};
use millstream_object::{Objects, Properties, Put};
use millstream_storage::StorageError;
use millstream_stream::Streams;
use millstream_types::{Backoff, CheckRole, Clock, LogId, Millis, RoleUse};
use tokio::sync::watch;

use crate::buffer::{Buffer, share};
use crate::engine::Status;
use crate::error::DeliveryError;
use crate::naming::Naming;
use crate::plan::{ObjectPlan, Progress, ProgressStore, Range};

/// Bytes asked of a shard at once.
const READ_BYTES: usize = 4 << 20;

/// First and longest wait before a failed delivery is tried again.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// How often the buffer is looked at while it fills.
const LOOK: Duration = Duration::from_millis(100);

/// The media type of delivered objects: records are bytes to us.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Everything a delivery stream needs at work.
pub(crate) struct Task {
    pub(crate) definition: Arc<DeliveryStreamDefinition>,
    pub(crate) streams: Streams,
    pub(crate) progress: ProgressStore,
    pub(crate) objects: Objects,
    pub(crate) insight: Insight,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
    /// `None`: no role is asked.
    pub(crate) roles: Option<Arc<dyn CheckRole>>,
}

/// What of a plan's records is there.
#[derive(Default)]
struct Contents {
    parts: Vec<Bytes>,
    found: Vec<Range>,
    /// Retention or the stream's end came first.
    expired: Vec<Range>,
}

impl Task {
    /// Delivers until asked to stop; what is buffered then is delivered by the next start.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.deliver() => {}
            _ = stop.changed() => {}
        }
    }

    async fn deliver(&self) {
        let mut backoff = Backoff::new(RETRY_WAITS);
        // Which shard the next buffer begins with: each object begins where the one before ended, so none is left behind.
        let mut turn = 0;
        loop {
            match self.deliver_object(&mut turn).await {
                Ok(()) => backoff.succeeded(),
                Err(error) => {
                    self.failed(&error);
                    tokio::time::sleep(backoff.failed()).await;
                }
            }
        }
    }

    async fn deliver_object(&self, turn: &mut usize) -> Result<(), DeliveryError> {
        let mut progress = self.progress.load().await?;
        let plan = match progress.writing.clone() {
            Some(plan) => plan,
            None => {
                let plan = self.fill(&progress, turn).await?;
                progress.writing = Some(plan.clone());
                self.progress.save(&progress).await?;
                plan
            }
        };
        if let Some(first) = plan.first {
            // The lag goes on rising while attempts fail.
            self.lag().set(self.clock.now() - first);
        }
        let mut contents = self.read(&plan).await?;
        let bytes = contents.parts.iter().map(|part| part.len() as u64).sum();
        if !contents.found.is_empty() {
            let mut parts = std::mem::take(&mut contents.parts);
            if plan.gzip {
                parts = vec![gzip(parts).await?];
            }
            self.write(&plan, parts).await?;
        }
        self.advance(progress, &plan).await?;
        self.tell(&plan, &contents, bytes);
        Ok(())
    }

    /// Waits until the buffer is full or old enough, and decides the object.
    async fn fill(&self, progress: &Progress, turn: &mut usize) -> Result<ObjectPlan, DeliveryError> {
        let destination = &self.definition.destination;
        let lag = self.lag();
        let mut buffer = Buffer::default();
        loop {
            self.look(progress, &mut buffer, turn).await?;
            let age = buffer.first.map_or(0, |first| self.clock.now() - first);
            lag.set(age);
            let old = buffer.first.is_some() && age >= Millis::from(destination.buffer_seconds) * 1_000;
            if buffer.bytes >= destination.buffer_bytes || old {
                return self.plan(progress, &buffer).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes note of records behind the buffer's ends, from shard to shard, until it is full or no shard has more.
    async fn look(&self, progress: &Progress, buffer: &mut Buffer, turn: &mut usize) -> Result<(), DeliveryError> {
        self.may_read()?;
        let full = self.definition.destination.buffer_bytes;
        let source = self.streams.get(&self.definition.source_stream())?;
        let share = share(full, source.open_shards().count());
        loop {
            // What came of a split or a merge waits until all that was before it has been taken.
            let is_read = |shard: &ShardDefinition| self.streams.has_ended(shard, next(progress, buffer, shard));
            let readable = source.readable(is_read);
            let mut any = false;
            for _ in 0..readable.len() {
                if buffer.bytes >= full {
                    return Ok(());
                }
                let shard = readable[*turn % readable.len()];
                *turn += 1;
                any |= self.take(shard, progress, buffer, share.min(full - buffer.bytes)).await?;
            }
            if !any {
                return Ok(());
            }
        }
    }

    /// Takes note of about `most` bytes of a shard; whether there were any records.
    async fn take(
        &self,
        shard: &ShardDefinition,
        progress: &Progress,
        buffer: &mut Buffer,
        most: u64,
    ) -> Result<bool, DeliveryError> {
        let from = next(progress, buffer, shard);
        let read =
            self.streams.read(shard.log(), from, READ_BYTES.min(usize::try_from(most).unwrap_or(READ_BYTES))).await?;
        let records = read.batches.iter().flat_map(|batch| batch.iter());
        let records = records.filter(|record| record.offset >= from);
        if buffer.take(shard.log, records, most) {
            return Ok(true);
        }
        if read.next > from {
            // Retention took all there was: the object that is due tells of it.
            buffer.pass(shard.log, read.next, self.clock.now());
        }
        Ok(false)
    }

    async fn plan(&self, progress: &Progress, buffer: &Buffer) -> Result<ObjectPlan, DeliveryError> {
        let destination = &self.definition.destination;
        let definition = Arc::clone(&self.definition);
        let naming = off_worker(move || Naming::of(&definition)).await??;
        let first = buffer.first.unwrap_or_else(|| self.clock.now());
        let begin = |log: &u64| progress.positions.get(log).copied().unwrap_or_default();
        Ok(ObjectPlan {
            bucket: destination.bucket.clone(),
            object: naming.object(first, uuid::Uuid::new_v4()),
            first: Some(first),
            gzip: destination.compression == Compression::Gzip,
            ranges: buffer.ends.iter().map(|(log, end)| (*log, begin(log), *end)).collect(),
        })
    }

    /// Reads a plan's records. Offsets rise by one, so a gap is what retention has taken since, or the disk lost.
    async fn read(&self, plan: &ObjectPlan) -> Result<Contents, DeliveryError> {
        self.may_read()?;
        let mut contents = Contents::default();
        for &(log, from, to) in &plan.ranges {
            let mut next = from;
            while next < to {
                let read = self.streams.read(LogId(log), next, READ_BYTES).await?;
                let records = read.batches.iter().flat_map(|batch| batch.records());
                let records: Vec<_> = records.filter(|record| (next..to).contains(&record.offset)).collect();
                let (Some(first), Some(last)) = (records.first(), records.last()) else {
                    contents.expired.push((log, next, to));
                    break;
                };
                if first.offset > next {
                    contents.expired.push((log, next, first.offset));
                }
                contents.found.push((log, first.offset, last.offset + 1));
                next = last.offset + 1;
                contents.parts.extend(records.into_iter().map(|record| record.data));
            }
        }
        Ok(contents)
    }

    async fn write(&self, plan: &ObjectPlan, parts: Vec<Bytes>) -> Result<(), DeliveryError> {
        let wanted = RoleUse::WriteObject { bucket: &plan.bucket, object: &plan.object };
        self.permitted(&self.definition.destination.role, wanted)?;
        let put = Put {
            properties: Properties { content_type: Some(CONTENT_TYPE.to_owned()), ..Properties::default() },
            make_bucket: true,
            ..Put::new(plan.bucket.clone(), plan.object.clone(), parts)
        };
        match self.objects.put(put).await {
            Ok(_) => Ok(()),
            Err(error) => Err(DeliveryError::Object {
                bucket: plan.bucket.clone(),
                object: plan.object.clone(),
                error: Box::new(error),
            }),
        }
    }

    fn may_read(&self) -> Result<(), DeliveryError> {
        match &self.definition.source {
            DeliverySource::DirectPut => Ok(()),
            DeliverySource::Stream { name } => self.permitted(&self.definition.source_role, RoleUse::ReadStream(name)),
        }
    }

    /// Roles are asked before each look and each object, so that what changes in them counts at once.
    fn permitted(&self, role: &str, wanted: RoleUse<'_>) -> Result<(), DeliveryError> {
        let Some(roles) = &self.roles else { return Ok(()) };
        roles.check(role, &self.definition.name, wanted).map_err(|reason| DeliveryError::NotAllowed { reason })
    }

    async fn advance(&self, mut progress: Progress, plan: &ObjectPlan) -> Result<(), DeliveryError> {
        for &(log, _, to) in &plan.ranges {
            progress.positions.insert(log, to);
        }
        if let Ok(source) = self.streams.get(&self.definition.source_stream()) {
            // A stream that was made anew under its name has other logs.
            progress.positions.retain(|log, _| source.shards.iter().any(|shard| shard.log == *log));
        }
        progress.writing = None;
        self.progress.save(&progress).await?;
        Ok(())
    }

    /// Counts and marks what was written, so many bytes before they were packed, and what could not be any more.
    fn tell(&self, plan: &ObjectPlan, contents: &Contents, bytes: u64) {
        if !contents.found.is_empty() {
            self.insight.metrics.counter("objects_written", &self.subject()).add(1);
            self.status.wrote(&plan.object);
            let records = contents.found.iter().map(|(_, from, to)| to - from).sum();
            self.insight.metrics.counter("delivered_records", &self.subject()).add(records);
            self.insight.metrics.counter("delivered_bytes", &self.subject()).add(bytes);
            self.insight.metrics.distribution("delivery_success", &self.subject()).observe(1.0);
        }
        for &(log, from, to) in &contents.found {
            let (bucket, object) = (plan.bucket.clone(), plan.object.clone());
            self.insight.trail.mark(Step::ObjectWritten { log, from, to, bucket, object });
        }
        for &(log, from, to) in &contents.expired {
            let records = to - from;
            self.status.expired(records);
            self.insight.metrics.counter("records_expired", &self.subject()).add(records);
            self.insight.trail.mark(Step::Expired { reader: self.subject(), log, from, to });
            tracing::error!(
                delivery_stream = %self.definition.name, log, from, to, records,
                "records were removed from the source before they could be delivered",
            );
            self.write_error_log(format!(
                "{records} records were removed from the source before they could be delivered"
            ));
        }
    }

    fn failed(&self, error: &DeliveryError) {
        tracing::warn!(delivery_stream = %self.definition.name, %error, "delivery failed; it is tried again");
        self.insight.metrics.counter("delivery_failures", &self.subject()).add(1);
        self.insight.metrics.distribution("delivery_success", &self.subject()).observe(0.0);
        self.write_error_log(error.to_string());
        self.status.fail(error.to_string());
    }

    fn write_error_log(&self, line: String) {
        if let Some(log) = &self.definition.destination.error_log {
            self.insight.logs.append(&log.group, &log.stream, [(self.clock.now(), line)]);
        }
    }

    fn lag(&self) -> Gauge {
        self.insight.metrics.gauge("delivery_lag_ms", &self.subject())
    }

    fn subject(&self) -> String {
        format!("delivery/{}", self.definition.name)
    }
}

/// Where a shard's next record is that is not in the buffer.
fn next(progress: &Progress, buffer: &Buffer, shard: &ShardDefinition) -> u64 {
    let position = || progress.positions.get(&shard.log).copied().unwrap_or_default();
    buffer.ends.get(&shard.log).copied().unwrap_or_else(position)
}

/// Packs off the async workers. Deterministic: the header holds no time.
async fn gzip(parts: Vec<Bytes>) -> Result<Bytes, DeliveryError> {
    let packed = off_worker(move || {
        let mut encoder = GzEncoder::new(Vec::new(), GzipLevel::default());
        parts.iter().try_for_each(|part| encoder.write_all(part))?;
        encoder.finish()
    });
    // Writing to memory does not fail.
    packed.await?.map(Bytes::from).map_err(|_: std::io::Error| DeliveryError::Storage(StorageError::Closed))
}

/// Runs work that reads the disk or takes long.
pub(crate) async fn off_worker<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DeliveryError> {
    // It only fails while the runtime goes down.
    tokio::task::spawn_blocking(work).await.map_err(|_| DeliveryError::Storage(StorageError::Closed))
}
