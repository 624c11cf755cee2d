//! One delivery stream at work: read, decide an object, write it, go on behind it.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression as GzipLevel, write::GzEncoder};
use millstream_catalog::{Compression, DeliveryStreamDefinition, StreamDefinition};
use millstream_insight::{Counter, Gauge, Insight, Step};
use millstream_object::{Objects, Properties, Put};
use millstream_stream::Streams;
use millstream_types::{Clock, LogId, Millis};
use tokio::sync::watch;

use crate::engine::Status;
use crate::error::DeliveryError;
use crate::naming::object_name;
use crate::plan::{ObjectPlan, Progress, ProgressStore};

/// Bytes asked of a shard at once.
const READ_BYTES: usize = 4 << 20;

/// How often the buffer is looked at while it fills.
const LOOK: Duration = Duration::from_millis(100);

/// First and longest wait after a sink refused.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// The media type of delivered objects: records are bytes to us.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Everything a delivery stream needs at work.
pub(crate) struct Task {
    pub(crate) definition: Arc<DeliveryStreamDefinition>,
    pub(crate) source: Arc<StreamDefinition>,
    pub(crate) streams: Streams,
    pub(crate) progress: ProgressStore,
    pub(crate) objects: Objects,
    pub(crate) insight: Insight,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
}

/// Records seen since the last object: only their extent is kept, they are read again when the object is written.
#[derive(Default)]
struct Buffer {
    bytes: u64,
    first: Option<Millis>,
    ends: std::collections::BTreeMap<u64, u64>,
}

impl Task {
    /// Delivers until asked to stop; what is buffered then is delivered by the next start.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut wait = RETRY_WAITS.0;
        while !*stop.borrow() {
            let error = tokio::select! {
                ended = self.deliver() => match ended {
                    Ok(never) => match never {},
                    Err(error) => error,
                },
                _ = stop.changed() => return,
            };
            tracing::warn!(delivery_stream = %self.definition.name, %error, "delivery failed; it is tried again");
            self.status.fail(error.to_string());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => return,
            }
            wait = (wait * 2).min(RETRY_WAITS.1);
        }
    }

    async fn deliver(&self) -> Result<std::convert::Infallible, DeliveryError> {
        let subject = format!("delivery/{}", self.definition.name);
        let written = self.insight.metrics.counter("objects_written", &subject);
        let lag = self.insight.metrics.gauge("delivery_lag_ms", &subject);
        let mut progress = self.progress.load().await?;
        loop {
            if let Some(plan) = progress.writing.clone() {
                self.write(&plan).await?;
                self.advance(&mut progress, &plan).await?;
                self.written(&plan, &written);
            }
            let plan = self.fill(&progress, &lag).await?;
            progress.writing = Some(plan);
            self.progress.save(&progress).await?;
        }
    }

    /// Waits until the buffer is full or old enough, and decides the object.
    async fn fill(&self, progress: &Progress, lag: &Gauge) -> Result<ObjectPlan, DeliveryError> {
        let destination = &self.definition.destination;
        let mut buffer = Buffer::default();
        loop {
            self.look(progress, &mut buffer, destination.buffer_bytes).await?;
            let age = buffer.first.map_or(0, |first| self.clock.now() - first);
            lag.set(age);
            let old = buffer.first.is_some() && age >= Millis::from(destination.buffer_seconds) * 1_000;
            if buffer.bytes >= destination.buffer_bytes || old {
                return Ok(self.plan(progress, &buffer));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes note of records behind the buffer's ends until it is full.
    async fn look(&self, progress: &Progress, buffer: &mut Buffer, full: u64) -> Result<(), DeliveryError> {
        for shard in &self.source.shards {
            loop {
                if buffer.bytes >= full {
                    return Ok(());
                }
                let position = progress.positions.get(&shard.log).copied().unwrap_or_default();
                let from = buffer.ends.get(&shard.log).copied().unwrap_or(position);
                let read = self.streams.read(shard.log(), from, READ_BYTES).await?;
                let records = read.batches.iter().flat_map(|batch| batch.iter()).filter(|record| record.offset >= from);
                let mut end = from;
                for record in records {
                    if buffer.bytes >= full {
                        break;
                    }
                    buffer.bytes += record.data.len() as u64;
                    buffer.first = Some(buffer.first.map_or(record.append_time, |first| first.min(record.append_time)));
                    end = record.offset + 1;
                }
                if end == from {
                    break;
                }
                buffer.ends.insert(shard.log, end);
            }
        }
        Ok(())
    }

    fn plan(&self, progress: &Progress, buffer: &Buffer) -> ObjectPlan {
        let destination = &self.definition.destination;
        let first = buffer.first.unwrap_or_else(|| self.clock.now());
        let begin = |log: &u64| progress.positions.get(log).copied().unwrap_or_default();
        ObjectPlan {
            bucket: destination.bucket.clone(),
            object: object_name(&self.definition, first, uuid::Uuid::new_v4()),
            gzip: destination.compression == Compression::Gzip,
            ranges: buffer.ends.iter().map(|(log, end)| (*log, begin(log), *end)).collect(),
        }
    }

    async fn write(&self, plan: &ObjectPlan) -> Result<(), DeliveryError> {
        let mut parts: Vec<Bytes> = Vec::new();
        for &(log, from, to) in &plan.ranges {
            let mut next = from;
            while next < to {
                let read = self.streams.read(LogId(log), next, READ_BYTES).await?;
                let records = read.batches.iter().flat_map(|batch| batch.records());
                parts.extend(records.filter(|record| (next..to).contains(&record.offset)).map(|record| record.data));
                if read.next <= next {
                    break; // Retention took what was left: there is nothing more to write.
                }
                next = read.next;
            }
        }
        if plan.gzip {
            parts = vec![gzip(parts).await?];
        }
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

    async fn advance(&self, progress: &mut Progress, plan: &ObjectPlan) -> Result<(), DeliveryError> {
        for &(log, _, to) in &plan.ranges {
            progress.positions.insert(log, to);
        }
        progress.writing = None;
        self.progress.save(progress).await?;
        Ok(())
    }

    fn written(&self, plan: &ObjectPlan, written: &Counter) {
        written.add(1);
        self.status.wrote(&plan.object);
        for &(log, from, to) in &plan.ranges {
            let (bucket, object) = (plan.bucket.clone(), plan.object.clone());
            self.insight.trail.mark(Step::ObjectWritten { log, from, to, bucket, object });
        }
    }
}

/// Packs off the async workers. Deterministic: the header holds no time.
async fn gzip(parts: Vec<Bytes>) -> Result<Bytes, DeliveryError> {
    let packed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::new(), GzipLevel::default());
        parts.iter().try_for_each(|part| encoder.write_all(part))?;
        encoder.finish()
    });
    match packed.await {
        Ok(Ok(bytes)) => Ok(Bytes::from(bytes)),
        // Writing to memory does not fail; the runtime is going down.
        Ok(Err(_)) | Err(_) => Err(DeliveryError::Storage(millstream_storage::StorageError::Closed)),
    }
}
