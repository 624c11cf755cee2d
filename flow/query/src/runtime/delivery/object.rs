//! Rows to objects: each path of an output has one object that grows until it is full or rests; each row is in one object,
//! once, whatever is tried again.
//!
//! An object is named after its first row's offset and always written whole. What is kept durable is where to read on
//! (the first row of the oldest growing object) and, by path, up to where rows are in objects that grow no more. After a
//! crash the same rows come to the same names, so a growing object is replaced by itself and a closed one is not touched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{ObjectOutput, RecordFormat};
use millstream_insight::Step;
use millstream_types::{Millis, NewObject, PutObject, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::object_path::ObjectPath;
use super::{BYTES_MAX, LOOK, Outlet, RETRY_WAITS};
use crate::runtime::error::QueryError;

/// An object of this size grows no more.
const OBJECT_BYTES_MAX: usize = 4 << 20;
/// An object that got no row for so long grows no more.
const RESTS: Duration = Duration::from_secs(60);
/// How often growing objects are written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Objects that grow at once: more paths close the one that rested longest.
const GROWING_MAX: usize = 256;
/// Runs of rows that one write tells the trail of.
const MARKS_MAX: usize = 64;

/// A bucket that gets rows.
pub(in crate::runtime) struct ObjectTarget {
    pub(in crate::runtime) output: ObjectOutput,
    pub(in crate::runtime) format: RecordFormat,
    pub(in crate::runtime) objects: Arc<dyn PutObject>,
}

/// Which rows are in closed objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::runtime) struct ObjectPlace {
    /// Where to read on.
    resume: u64,
    /// By path: rows below this offset are in closed objects.
    closed: BTreeMap<String, u64>,
}

impl ObjectPlace {
    /// Goes on where another kind of delivery stopped.
    pub(in crate::runtime) fn at(resume: u64) -> Self {
        Self { resume, closed: BTreeMap::new() }
    }
}

/// An object that still gets rows.
struct Growing {
    first: u64,
    next: u64,
    body: Vec<u8>,
    /// Rows since the last write, as runs of offsets.
    unwritten: Vec<(u64, u64)>,
    touched: Instant,
}

/// Objects at work.
struct Work {
    path: ObjectPath,
    place: ObjectPlace,
    growing: BTreeMap<String, Growing>,
    position: u64,
}

impl ObjectTarget {
    /// Writes rows until it fails.
    pub(super) async fn deliver(&self, outlet: &Outlet) -> Result<(), QueryError> {
        let ObjectOutput { path, date_format, time_format, .. } = &self.output;
        let path = ObjectPath::parse(path, date_format, time_format).map_err(|reason| self.failed(0, reason))?;
        let place = outlet.checkpoints.objects(&outlet.query, &outlet.output).await?;
        let mut work = Work { path, position: place.resume, place, growing: BTreeMap::new() };
        let mut watched = outlet.streams.watch(outlet.log);
        let mut written = Instant::now();
        loop {
            let read = outlet.streams.read(outlet.log, work.position, BYTES_MAX).await?;
            for record in read.batches.iter().flat_map(|batch| batch.records()) {
                if record.offset >= work.position {
                    self.take(outlet, &mut work, &record);
                }
            }
            work.position = read.next.max(work.position);
            let full = work.growing.values().any(|object| object.body.len() >= OBJECT_BYTES_MAX);
            if full || work.growing.len() > GROWING_MAX || written.elapsed() >= WRITE_EVERY {
                self.write(outlet, &mut work).await;
                written = Instant::now();
            } else if read.batches.is_empty() {
                let _ = tokio::time::timeout(LOOK.min(WRITE_EVERY), watched.changed()).await;
            }
        }
    }

    /// Adds a row to the object of its path, unless it is in a closed one.
    fn take(&self, outlet: &Outlet, work: &mut Work, record: &Record) {
        let row: Map<String, Value> = match serde_json::from_slice(&record.data) {
            Ok(row) => row,
            Err(error) => return outlet.running.seen("no row", &error.to_string()),
        };
        let path = work.path.fill(row_time(record), &row);
        if work.place.closed.get(&path).is_some_and(|next| record.offset < *next) {
            return;
        }
        let object = work.growing.entry(path).or_insert_with(|| Growing {
            first: record.offset,
            next: record.offset,
            body: Vec::new(),
            unwritten: Vec::new(),
            touched: Instant::now(),
        });
        add_row(&mut object.body, &self.format, self.output.array, &row, &record.data);
        object.next = record.offset + 1;
        object.touched = Instant::now();
        match object.unwritten.last_mut() {
            Some((_, to)) if *to == record.offset => *to += 1,
            _ => object.unwritten.push((record.offset, record.offset + 1)),
        }
    }

    /// Writes what grew and closes what is full or rests; then tells where to read on. Tries until all is written.
    async fn write(&self, outlet: &Outlet, work: &mut Work) {
        let mut wait = RETRY_WAITS.0;
        while let Err(error) = self.write_once(outlet, work).await {
            outlet.running.fail(&error);
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAITS.1);
        }
        outlet.running.delivered();
    }

    async fn write_once(&self, outlet: &Outlet, work: &mut Work) -> Result<(), QueryError> {
        for (path, object) in work.growing.iter_mut().filter(|(_, object)| !object.unwritten.is_empty()) {
            let key = self.key(path, &outlet.output, object.first);
            let new = NewObject {
                bucket: self.output.bucket.clone(),
                key: key.clone(),
                content_type: self.content_type().to_owned(),
                body: self.whole(&object.body),
            };
            let rows: u64 = object.unwritten.iter().map(|(from, to)| to - from).sum();
            let put = self.objects.put_object(new).await;
            put.map_err(|error| self.failed(usize::try_from(rows).unwrap_or(usize::MAX), error.to_string()))?;
            let subject = format!("query/{}", outlet.query);
            outlet.insight.metrics.counter("delivered", &subject).add(rows);
            outlet.insight.metrics.counter("objects_written", &format!("delivery/{subject}")).add(1);
            for (from, to) in object.unwritten.drain(..).take(MARKS_MAX) {
                let (bucket, object) = (self.output.bucket.clone(), key.clone());
                outlet.insight.trail.mark(Step::ObjectWritten { log: outlet.log.0, from, to, bucket, object });
            }
        }
        if let Some(place) = work.close(Instant::now()) {
            outlet.checkpoints.set_objects(&outlet.query, &outlet.output, &place).await?;
            work.place = place;
            work.growing.retain(|path, object| work.place.closed.get(path) != Some(&object.next));
        }
        Ok(())
    }

    fn failed(&self, records: usize, reason: String) -> QueryError {
        QueryError::Delivery { target: format!("bucket {}", self.output.bucket), records, reason }
    }

    fn key(&self, path: &str, output: &str, first: u64) -> String {
        let extension = if self.format == RecordFormat::Json { "json" } else { "csv" };
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{path}{slash}{output}_{first:012}.{extension}")
    }

    fn content_type(&self) -> &'static str {
        if self.format == RecordFormat::Json { "application/json" } else { "text/csv" }
    }

    /// The object's bytes: rows in an array are closed with its bracket.
    fn whole(&self, body: &[u8]) -> Bytes {
        if self.output.array && self.format == RecordFormat::Json {
            return Bytes::from([body, b"]\n"].concat());
        }
        Bytes::copy_from_slice(body)
    }
}

impl Work {
    /// The place once full and resting objects are closed; `None` when none is and nothing was read on. All objects are
    /// written.
    fn close(&self, now: Instant) -> Option<ObjectPlace> {
        let mut place = self.place.clone();
        let crowded = self.growing.len().saturating_sub(GROWING_MAX);
        let mut by_rest: Vec<(&String, &Growing)> = self.growing.iter().collect();
        by_rest.sort_by_key(|(_, object)| object.touched);
        let mut oldest = self.position;
        for (order, (path, object)) in by_rest.into_iter().enumerate() {
            let rests = now.saturating_duration_since(object.touched) >= RESTS;
            if object.body.len() >= OBJECT_BYTES_MAX || rests || order < crowded {
                place.closed.insert(path.clone(), object.next);
            } else {
                oldest = oldest.min(object.first);
            }
        }
        place.resume = oldest;
        place.closed.retain(|_, next| *next > oldest);
        (place != self.place).then_some(place)
    }
}

/// When a row's window ended: the query keeps it as the record's header.
fn row_time(record: &Record) -> Millis {
    record.headers.as_ref().try_into().map_or(record.append_time, i64::from_be_bytes)
}

/// Adds a row as a line, as a member of an array, or as delimited text under its head.
fn add_row(body: &mut Vec<u8>, format: &RecordFormat, array: bool, row: &Map<String, Value>, json: &[u8]) {
    match format {
        RecordFormat::Json if array => {
            body.extend_from_slice(if body.is_empty() { b"[" } else { b",\n" });
            body.extend_from_slice(json);
        }
        RecordFormat::Json => {
            body.extend_from_slice(json);
            body.push(b'\n');
        }
        RecordFormat::Csv { delimiter } => {
            if body.is_empty() {
                let names: Vec<Value> = row.keys().map(|name| Value::String(name.clone())).collect();
                crate::runtime::rows::add_line(body, names.iter(), delimiter);
            }
            crate::runtime::rows::add_line(body, row.values(), delimiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(first: u64, next: u64, bytes: usize, touched: Instant) -> Growing {
        Growing { first, next, body: vec![b'x'; bytes], unwritten: Vec::new(), touched }
    }

    #[test]
    fn rows_stand_in_lines_in_arrays_and_under_their_head() {
        let rows = [r#"{"a":1,"b":"x,y"}"#, r#"{"a":2,"b":null}"#];
        let cases = [
            (RecordFormat::Json, false, "{\"a\":1,\"b\":\"x,y\"}\n{\"a\":2,\"b\":null}\n"),
            (RecordFormat::Json, true, "[{\"a\":1,\"b\":\"x,y\"},\n{\"a\":2,\"b\":null}"),
            (RecordFormat::Csv { delimiter: ",".into() }, false, "a,b\n1,\"x,y\"\n2,\n"),
        ];
        for (format, array, expected) in cases {
            let mut body = Vec::new();
            for row in rows {
                add_row(&mut body, &format, array, &serde_json::from_str(row).unwrap(), row.as_bytes());
            }
            assert_eq!(String::from_utf8(body).unwrap(), expected);
        }
    }

    #[test]
    fn the_place_is_the_oldest_growing_object_and_what_is_closed_behind_it() {
        let now = Instant::now();
        let mut work = Work {
            path: ObjectPath::parse("{a}", "", "").unwrap(),
            place: ObjectPlace { resume: 2, closed: BTreeMap::from([("gone".into(), 4)]) },
            growing: BTreeMap::from([
                ("full".into(), growing(5, 30, OBJECT_BYTES_MAX, now)),
                ("open".into(), growing(9, 20, 10, now)),
            ]),
            position: 31,
        };
        let place = work.close(now).unwrap();
        assert_eq!(place, ObjectPlace { resume: 9, closed: BTreeMap::from([("full".into(), 30)]) });
        work.growing.remove("full");
        work.place = place;
        assert_eq!(work.close(now), None, "nothing changed");
        let later = work.close(now + RESTS).unwrap();
        assert_eq!(later, ObjectPlace::at(31), "all is in closed objects");
    }
}
