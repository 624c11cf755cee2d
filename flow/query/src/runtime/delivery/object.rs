//! Rows to objects: each path of an output has one object that grows for a while; each row is in one object, once, whatever
//! is tried again.
//!
//! An object is named after its first row and always written whole. What is kept durable is where to read on (the first row
//! of the oldest growing object), how far rows are written, and, by path, up to where they are in objects that grow no more.
//! After a crash the same rows come to the same names, so a growing object is replaced by itself and a closed one is not
//! touched. A query that is stopped closes its objects. Read next: [`growth`](super::growth).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{ObjectOutput, OutputHanding, RecordFormat};
use millstream_insight::Step;
use millstream_stream::ReadBatch;
use millstream_types::{Backoff, NewObject, PutObject};
use tokio::time::Instant;

use super::growth::{Growing, Growth};
use super::{ANSWER_WAIT, BYTES_MAX, Outlet, RETRY_WAITS, first_read};
use crate::runtime::error::QueryError;

/// How often growing objects are written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How long rows wait for more when an output asks for many and does not say how long: the service's own.
const WAIT: Duration = Duration::from_secs(60);
/// Runs of rows that one write tells the trail of.
const MARKS_MAX: usize = 64;

/// A bucket that gets rows.
pub(in crate::runtime) struct ObjectTarget {
    pub(in crate::runtime) output: ObjectOutput,
    pub(in crate::runtime) format: RecordFormat,
    pub(in crate::runtime) handing: OutputHanding,
    pub(in crate::runtime) objects: Arc<dyn PutObject>,
}

impl ObjectTarget {
    /// Writes rows until it fails or is asked to stop.
    pub(super) async fn deliver(&self, outlet: &Outlet) -> Result<(), QueryError> {
        let mut growth = self.growth(outlet, outlet.streams.bounds(outlet.log).first).await?;
        outlet.running.handed(&outlet.output, growth.place.written());
        let mut watched = outlet.streams.watch(outlet.log);
        let mut written = Instant::now();
        let mut waiting = Instant::now();
        while !outlet.stopping() {
            let read = outlet.streams.read(outlet.log, growth.position(), BYTES_MAX).await?;
            if growth.is_catching_up() && first_read(&read) > growth.position() {
                // Rows of growing objects are gone, let go or lost by the disk: it begins again behind what is written.
                growth = self.growth(outlet, first_read(&read)).await?;
                continue;
            }
            outlet.tell_lost(growth.position(), &read);
            let idle = read.batches.is_empty();
            if growth.rows_waiting() == 0 {
                waiting = Instant::now();
            }
            growth = take(outlet, growth, read).await?;
            if growth.is_catching_up() {
                continue;
            }
            if growth.is_full() || (written.elapsed() >= WRITE_EVERY && self.waited(&growth, waiting)) {
                self.write(outlet, &mut growth).await;
                written = Instant::now();
            } else if idle {
                outlet.more(&mut watched).await;
            }
        }
        // What is not caught up with stays as it was written.
        if growth.is_catching_up() { Ok(()) } else { self.write_once(outlet, &mut growth, true).await }
    }

    /// Growing objects as they are written, when rows from `first` on can be read.
    async fn growth(&self, outlet: &Outlet, first: u64) -> Result<Growth, QueryError> {
        let place = outlet.place().await?;
        Growth::new(&self.output, &self.format, place, first).map_err(|reason| self.failed(0, reason))
    }

    /// Whether what waits since then is as many rows as the output asks for, or has waited long enough.
    fn waited(&self, growth: &Growth, since: Instant) -> bool {
        let OutputHanding { rows_min, wait_max_seconds, .. } = self.handing;
        let most = if wait_max_seconds == 0 { WAIT } else { Duration::from_secs(wait_max_seconds.into()) };
        let rows = growth.rows_waiting();
        rows == 0 || rows >= rows_min.into() || since.elapsed() >= most
    }

    /// Tries to write what grew until that is done, or until asked to stop.
    async fn write(&self, outlet: &Outlet, growth: &mut Growth) {
        let mut backoff = Backoff::new(RETRY_WAITS);
        while let Err(error) = self.write_once(outlet, growth, false).await {
            outlet.running.not_delivered(&outlet.output, &error);
            outlet.pause(backoff.failed()).await;
            if outlet.stopping() {
                return;
            }
        }
        outlet.running.delivered(&outlet.output);
        outlet.running.handed(&outlet.output, growth.position());
    }

    /// Writes what grew; then closes objects that grow no more, or `all`, and keeps where to read on.
    async fn write_once(&self, outlet: &Outlet, growth: &mut Growth, all: bool) -> Result<(), QueryError> {
        for (path, object) in growth.unwritten() {
            let key = self.key(outlet, path, object.first);
            // Lent, not copied: the bytes come back when the write is done.
            let body = Bytes::from(std::mem::take(&mut object.body));
            let put = self.put(key.clone(), body.clone()).await;
            object.body = body.into();
            put?;
            self.tell_written(outlet, &key, object);
        }
        let closing = growth.closing(Instant::now(), all);
        if closing.place != growth.place {
            outlet.checkpoints.set_objects(&outlet.query, &outlet.output, &closing.place).await?;
        }
        growth.close(closing);
        Ok(())
    }

    async fn put(&self, key: String, body: Bytes) -> Result<(), QueryError> {
        let content_type = if self.format == RecordFormat::Json { "application/json" } else { "text/csv" };
        let bucket = self.output.bucket.clone();
        let new = NewObject { bucket, key: key.clone(), content_type: content_type.to_owned(), body };
        match tokio::time::timeout(ANSWER_WAIT, self.objects.put_object(new)).await {
            Ok(put) => put.map_err(|error| self.failed(1, format!("{key}: {error}"))),
            Err(_) => Err(self.failed(1, format!("{key}: no answer in {} s", ANSWER_WAIT.as_secs()))),
        }
    }

    fn tell_written(&self, outlet: &Outlet, key: &str, object: &mut Growing) {
        let subject = format!("query/{}", outlet.query);
        let rows = object.unwritten.iter().map(|(from, to)| to - from).sum();
        outlet.insight.metrics.counter("delivered", &subject).add(rows);
        outlet.insight.metrics.counter("objects_written", &format!("delivery/{subject}")).add(1);
        for (from, to) in object.unwritten.drain(..).take(MARKS_MAX) {
            let (bucket, object) = (self.output.bucket.clone(), key.to_owned());
            outlet.insight.trail.mark(Step::ObjectWritten { log: outlet.log.0, from, to, bucket, object });
        }
    }

    fn failed(&self, objects: usize, reason: String) -> QueryError {
        QueryError::Delivery {
            target: format!("bucket {}", self.output.bucket),
            what: "objects",
            left: objects,
            reason,
        }
    }

    /// The log is part of the name: a query that is made again begins with row 0 again, in a log of its own.
    fn key(&self, outlet: &Outlet, path: &str, first: u64) -> String {
        let extension = if self.format == RecordFormat::Json { "json" } else { "csv" };
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{path}{slash}{}_{}_{first:012}.{extension}", outlet.output, outlet.log.0)
    }
}

/// Sorts rows into their objects on a thread that may be busy.
async fn take(outlet: &Outlet, mut growth: Growth, read: ReadBatch) -> Result<Growth, QueryError> {
    if read.batches.is_empty() {
        growth.take(std::iter::empty(), read.next, Instant::now());
        return Ok(growth);
    }
    let sorted = tokio::task::spawn_blocking(move || {
        let records = read.batches.iter().flat_map(|batch| batch.records());
        let wrong = growth.take(records, read.next, Instant::now());
        (growth, wrong)
    });
    let (growth, wrong) = sorted.await.map_err(|_| QueryError::Stopping)?;
    for error in wrong {
        outlet.running.seen("no row", &error.to_string());
    }
    Ok(growth)
}
