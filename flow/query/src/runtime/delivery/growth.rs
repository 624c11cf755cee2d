//! Objects that grow: which row is in which object, what an object's bytes are, and when it grows no more. Pure; who writes
//! them is [`object`](super::object).

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_catalog::{ObjectOutput, RecordFormat};
use millstream_types::{Millis, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::object_path::ObjectPath;
use crate::runtime::rows::add_line;

/// An object of this size grows no more.
const OBJECT_BYTES_MAX: usize = 4 << 20;
/// An object that got no row for so long grows no more.
const RESTS: Duration = Duration::from_secs(60);
/// An object of this age grows no more: what a restart reads again stays far below the 24 h that rows are kept.
const AGE_MAX: Duration = Duration::from_secs(3_600);
/// Objects that grow at once: more paths close those that rested longest.
const GROWING_MAX: usize = 256;
/// Bytes of growing objects that are held in memory: more close those that rested longest.
const GROWING_BYTES_MAX: usize = 64 << 20;
/// Paths with closed objects that are remembered behind the oldest growing one: more close all, and none is left then.
const CLOSED_MAX: usize = 4_096;
/// What ends the text of an array.
const ARRAY_END: &[u8] = b"]\n";

/// Which rows are in objects: what is kept of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::runtime) struct ObjectPlace {
    /// Where to read on: the first row of the oldest growing object.
    resume: u64,
    /// Rows below this offset are in objects, growing or closed ones.
    written: u64,
    /// By path: rows below this offset are in closed objects.
    closed: BTreeMap<String, u64>,
    /// Where those objects are; `None` before the first.
    target: Option<(ObjectOutput, RecordFormat)>,
}

impl ObjectPlace {
    /// Goes on where another kind of delivery stopped.
    pub(in crate::runtime) fn at(next: u64) -> Self {
        Self { resume: next, written: next, ..Self::default() }
    }

    /// Where another kind of delivery goes on.
    pub(in crate::runtime) fn written(&self) -> u64 {
        self.written
    }

    /// The place in `target` when rows from `first` on can be read. Growing objects are given up, as they were last
    /// written, when they are elsewhere or when their rows cannot be read again.
    fn continued(self, target: (ObjectOutput, RecordFormat), first: u64) -> Self {
        let goes_on = self.target.as_ref().is_none_or(|known| *known == target) && first <= self.resume;
        let place = if goes_on { self } else { Self::at(self.written) };
        Self { target: Some(target), ..place }
    }
}

/// An object that still gets rows.
pub(super) struct Growing {
    /// Its first row: what it is named after.
    pub(super) first: u64,
    next: u64,
    /// The whole object, an array with its end.
    pub(super) body: Vec<u8>,
    /// Rows since the last write, as runs of offsets.
    pub(super) unwritten: Vec<(u64, u64)>,
    began: Instant,
    touched: Instant,
}

/// The objects of an output that grow, and its place.
pub(super) struct Growth {
    path: ObjectPath,
    output: ObjectOutput,
    format: RecordFormat,
    pub(super) place: ObjectPlace,
    growing: BTreeMap<String, Growing>,
    position: u64,
}

/// What a place will be once it is kept, and the paths whose objects grow no more then.
pub(super) struct Closing {
    pub(super) place: ObjectPlace,
    paths: Vec<String>,
}

impl Growth {
    /// Goes on from a place; `first` is the oldest row that can be read.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub(super) fn new(
        output: &ObjectOutput,
        format: &RecordFormat,
        place: ObjectPlace,
        first: u64,
    ) -> Result<Self, String> {
        let path = ObjectPath::parse(&output.path, &output.date_format, &output.time_format)?;
        let place = place.continued((output.clone(), format.clone()), first);
        Ok(Self {
            path,
            output: output.clone(),
            format: format.clone(),
            position: place.resume,
            place,
            growing: BTreeMap::new(),
        })
    }

    /// Where to read on.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether rows are read again that are written: until the objects are as they were, writing them would shorten them.
    pub(super) fn is_catching_up(&self) -> bool {
        self.position < self.place.written
    }

    /// Adds rows to the objects of their paths, unless they are in closed ones; `next` is where to read on. Gives what is
    /// wrong with records that are no rows.
    pub(super) fn take(
        &mut self,
        records: impl Iterator<Item = Record>,
        next: u64,
        now: Instant,
    ) -> Vec<serde_json::Error> {
        let mut wrong = Vec::new();
        let from = self.position;
        for record in records.filter(|record| record.offset >= from) {
            match serde_json::from_slice(&record.data) {
                Ok(row) => self.add(&record, &row, now),
                Err(error) => wrong.push(error),
            }
        }
        self.position = next.max(self.position);
        wrong
    }

    fn add(&mut self, record: &Record, row: &Map<String, Value>, now: Instant) {
        let path = self.path.fill(row_time(record), row);
        if self.place.closed.get(&path).is_some_and(|next| record.offset < *next) {
            return;
        }
        let object = self.growing.entry(path).or_insert_with(|| Growing {
            first: record.offset,
            next: record.offset,
            body: Vec::new(),
            unwritten: Vec::new(),
            began: now,
            touched: now,
        });
        add_row(&mut object.body, &self.format, self.output.array, row, &record.data);
        object.next = record.offset + 1;
        object.touched = now;
        match object.unwritten.last_mut() {
            Some((_, to)) if *to == record.offset => *to += 1,
            _ => object.unwritten.push((record.offset, record.offset + 1)),
        }
    }

    /// Whether there is so much that it is to be written now.
    pub(super) fn is_full(&self) -> bool {
        self.growing.len() > GROWING_MAX
            || self.growing.values().any(|object| object.body.len() >= OBJECT_BYTES_MAX)
            || self.bytes() > GROWING_BYTES_MAX
    }

    /// Rows that are not written.
    pub(super) fn rows_waiting(&self) -> u64 {
        let waiting = self.growing.values().flat_map(|object| &object.unwritten);
        waiting.map(|(from, to)| to - from).sum()
    }

    /// Objects with rows that are not written, by path.
    pub(super) fn unwritten(&mut self) -> impl Iterator<Item = (&String, &mut Growing)> {
        self.growing.iter_mut().filter(|(_, object)| !object.unwritten.is_empty())
    }

    /// Which objects grow no more, once all is written: those that are full, old or rest, those that are too many, or `all`.
    pub(super) fn closing(&self, now: Instant, all: bool) -> Closing {
        let (mut count, mut bytes) = (self.growing.len(), self.bytes());
        let mut by_rest: Vec<(&String, &Growing)> = self.growing.iter().collect();
        by_rest.sort_by_key(|(_, object)| object.touched);
        let mut place = ObjectPlace { resume: self.position, written: self.position, ..self.place.clone() };
        let mut paths = Vec::new();
        for (path, object) in by_rest {
            let crowded = count > GROWING_MAX || bytes > GROWING_BYTES_MAX;
            if all || crowded || object.is_done(now) {
                (count, bytes) = (count - 1, bytes - object.body.len());
                place.closed.insert(path.clone(), object.next);
                paths.push(path.clone());
            } else {
                place.resume = place.resume.min(object.first);
            }
        }
        place.closed.retain(|_, next| *next > place.resume);
        if place.closed.len() > CLOSED_MAX {
            return self.closing(now, true);
        }
        Closing { place, paths }
    }

    /// Goes on with a place that is kept.
    pub(super) fn close(&mut self, closing: Closing) {
        for path in closing.paths {
            self.growing.remove(&path);
        }
        self.place = closing.place;
    }

    fn bytes(&self) -> usize {
        self.growing.values().map(|object| object.body.len()).sum()
    }
}

impl Growing {
    fn is_done(&self, now: Instant) -> bool {
        self.body.len() >= OBJECT_BYTES_MAX
            || now.saturating_duration_since(self.touched) >= RESTS
            || now.saturating_duration_since(self.began) >= AGE_MAX
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
            body.truncate(body.len().saturating_sub(ARRAY_END.len()));
            body.extend_from_slice(if body.is_empty() { b"[" } else { b",\n" });
            body.extend_from_slice(json);
            body.extend_from_slice(ARRAY_END);
        }
        RecordFormat::Json => {
            body.extend_from_slice(json);
            body.push(b'\n');
        }
        RecordFormat::Csv { delimiter } => {
            if body.is_empty() {
                let names: Vec<Value> = row.keys().map(|name| Value::String(name.clone())).collect();
                add_line(body, names.iter(), delimiter);
            }
            add_line(body, row.values(), delimiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn growth(place: ObjectPlace, first: u64) -> Growth {
        let output = ObjectOutput {
            bucket: "b".into(),
            path: "{a}".into(),
            date_format: String::new(),
            time_format: String::new(),
            array: false,
        };
        Growth::new(&output, &RecordFormat::Json, place, first).unwrap()
    }

    /// A row whose path is `path`; `bytes` more make it large.
    fn row(offset: u64, path: &str, bytes: usize) -> Record {
        Record {
            offset,
            append_time: 0,
            partition_key: Bytes::new(),
            headers: Bytes::new(),
            data: Bytes::from(format!("{{\"a\":\"{path}\",\"b\":\"{}\"}}", "x".repeat(bytes))),
        }
    }

    fn firsts(growth: &Growth) -> Vec<(&str, u64)> {
        growth.growing.iter().map(|(path, object)| (path.as_str(), object.first)).collect()
    }

    fn step(growth: &mut Growth, now: Instant, all: bool) {
        let closing = growth.closing(now, all);
        growth.close(closing);
    }

    #[test]
    fn rows_stand_in_lines_in_arrays_and_under_their_head() {
        let rows = [r#"{"a":1,"b":"x,y"}"#, r#"{"a":2,"b":null}"#];
        let cases = [
            (RecordFormat::Json, false, "{\"a\":1,\"b\":\"x,y\"}\n{\"a\":2,\"b\":null}\n"),
            (RecordFormat::Json, true, "[{\"a\":1,\"b\":\"x,y\"},\n{\"a\":2,\"b\":null}]\n"),
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
        let mut growth = growth(ObjectPlace::at(2), 0);
        growth.take([row(5, "full", OBJECT_BYTES_MAX), row(4, "open", 1), row(6, "open", 1)].into_iter(), 8, now);
        step(&mut growth, now, false);
        let closed = BTreeMap::from([("full".to_owned(), 6)]);
        let target = growth.place.target.clone();
        assert_eq!(growth.place, ObjectPlace { resume: 4, written: 8, closed, target: target.clone() });
        assert_eq!(firsts(&growth), [("open", 4)], "the full one grows no more");
        growth.take(std::iter::once(row(8, "full", 1)), 9, now);
        assert_eq!(firsts(&growth), [("full", 8), ("open", 4)], "its path has a new one");
        step(&mut growth, now + RESTS, false);
        assert_eq!(growth.place, ObjectPlace { target, ..ObjectPlace::at(9) }, "all is in closed objects");
        assert!(firsts(&growth).is_empty());
    }

    #[test]
    fn an_object_is_closed_by_age_by_the_crowd_and_at_the_end() {
        let now = Instant::now();
        let mut one = growth(ObjectPlace::default(), 0);
        for minutes in 0..60 {
            let then = now + Duration::from_secs(59 * minutes);
            one.take(std::iter::once(row(minutes, "steady", 1)), minutes + 1, then);
            step(&mut one, then, false);
            assert_eq!(one.place.resume, 0);
        }
        step(&mut one, now + AGE_MAX, false);
        assert_eq!(one.place.resume, 60);

        let mut many = growth(ObjectPlace::default(), 0);
        let paths = GROWING_MAX as u64 + 3;
        many.take((0..paths).map(|offset| row(offset, &format!("{offset:04}"), 1)), paths, now);
        assert!(many.is_full());
        step(&mut many, now, false);
        assert_eq!((many.growing.len(), many.place.resume), (GROWING_MAX, 3));
        step(&mut many, now, true);
        assert_eq!((many.growing.len(), many.place.resume), (0, paths));
    }

    #[test]
    fn closed_paths_are_not_remembered_without_bound() {
        let now = Instant::now();
        let mut growth = growth(ObjectPlace::default(), 0);
        let paths = (CLOSED_MAX + GROWING_MAX) as u64 + 10;
        let later = now + Duration::from_secs(1);
        // The first path stays young, so that all others are closed behind it.
        growth.take((1..paths).map(|offset| row(offset, &format!("{offset}"), 1)), 1, now);
        growth.position = 0;
        growth.take(std::iter::once(row(0, "0", 1)), paths, later);
        step(&mut growth, later, false);
        assert!(growth.growing.is_empty() && growth.place.closed.is_empty());
        assert_eq!(growth.place.resume, paths);
    }

    #[test]
    fn a_growing_object_is_given_up_when_it_is_elsewhere_or_cannot_be_read_again() {
        let now = Instant::now();
        let mut before = growth(ObjectPlace::default(), 0);
        before.take((0..5).map(|offset| row(offset, "a", 1)), 5, now);
        step(&mut before, now, false);
        assert_eq!((before.place.resume, before.place.written), (0, 5));
        let place = before.place;
        let mut again = growth(place.clone(), 0);
        assert_eq!(again.position(), 0, "the same target: it grows on");
        again.take((0..4).map(|offset| row(offset, "a", 1)), 4, now);
        assert!(again.is_catching_up());
        again.take(std::iter::once(row(4, "a", 1)), 5, now);
        assert!(!again.is_catching_up());
        assert_eq!(growth(place.clone(), 3).position(), 5, "rows 0 to 2 are gone");
        let elsewhere = ObjectOutput { bucket: "c".into(), ..before.output };
        let moved = Growth::new(&elsewhere, &RecordFormat::Json, place.clone(), 0).unwrap();
        assert_eq!(moved.position(), 5, "another bucket gets what is not written");
        let csv = RecordFormat::Csv { delimiter: ",".into() };
        assert_eq!(Growth::new(&elsewhere, &csv, place, 0).unwrap().position(), 5);
    }
}
