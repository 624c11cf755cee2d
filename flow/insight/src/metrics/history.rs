//! How minutes of metrics outlive the node: once a minute, those that have changed become one row of the store. What clients
//! put does not wait for that: each call's minutes become a row at once, and the next minute's row takes the place of these.
//!
//! A row holds minutes as they were then; read in their order, a later row's is the newer one. A crash loses what the node
//! itself measured since the last row. What is beyond the bounds goes, oldest first.
//! A row's key is a number that rises, about the time in milliseconds, as eight bytes. Its value is a version byte and
//! points: `kind | texts | begin (8) | count (8) | sum (8) | min (8) | max (8)`, big-endian, texts with their lengths before
//! them (2); a client's metric has the number of its dimensions (1) before them.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::Millis;

use super::custom::KEPT;
use super::{CustomMetric, CustomValues, Metrics, Minute};
use crate::error::MetricError;

/// How often changed minutes are kept, milliseconds.
const EVERY: Millis = 60_000;

/// Bytes of a row, about: what has changed may be several.
const ROW_BYTES: usize = 256 << 10;

/// Bytes of all rows: with some hundred metrics more than a day.
const STORED_BYTES_MAX: usize = 64 << 20;

/// Bytes of rows of single calls: with more of them, the minutes that have changed are kept at once.
const CALLS_BYTES_MAX: usize = 4 << 20;

/// Rows that are read at once when a node starts.
const OPEN_ROWS: usize = 64;

/// The form of a row.
const VERSION: u8 = 1;

const COUNTER: u8 = 0;
const GAUGE: u8 = 1;
const DISTRIBUTION: u8 = 2;
const CUSTOM: u8 = 3;

/// A minute, and of what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) subject: Subject,
    pub(crate) minute: Minute,
}

/// What a minute is of: name and subject, or a client's metric and its unit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Subject {
    Counter(String, String),
    Gauge(String, String),
    Distribution(String, String),
    Custom(CustomMetric, String),
}

/// The rows of the store.
pub(crate) struct History {
    storage: Storage,
    keyspace: Keyspace,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    /// Numbers and bytes of rows, oldest first.
    kept: VecDeque<(u64, usize)>,
    bytes: usize,
    /// Numbers of the rows of calls since changed minutes were kept last, and their bytes.
    calls: Vec<u64>,
    calls_bytes: usize,
    /// Behind the highest number that was given.
    next: u64,
    /// When changed minutes were kept last.
    at: Millis,
}

impl History {
    /// Reads what is kept into the metrics. Touches the disk: not for an async worker.
    pub(crate) fn open(storage: Storage, metrics: &Metrics) -> Result<Self, StorageError> {
        let keyspace = Keyspace::new("insight/minutes");
        let mut rows = Rows { at: metrics.clock.now(), ..Rows::default() };
        let mut after = Bytes::new();
        loop {
            let page = storage.scan(&keyspace, (Bound::Excluded(&after[..]), Bound::Unbounded), false, OPEN_ROWS)?;
            let Some((last, _)) = page.last() else { break };
            after = last.clone();
            for (key, row) in page {
                let number = key.first_chunk::<8>().map_or(0, |number| u64::from_be_bytes(*number));
                rows.push(number, row.len());
                rows.next = number + 1;
                match decode(row) {
                    Some(points) => metrics.restore(points),
                    None => tracing::warn!(number, "minutes of metrics cannot be read"),
                }
            }
        }
        metrics.sweep();
        Ok(Self { storage, keyspace, rows: Mutex::new(rows) })
    }

    /// Adds clients' values, all or none, and keeps the minutes that they change. Durable when this returns.
    ///
    /// # Errors
    /// [`MetricError::TooMany`]; [`MetricError::Storage`], after which they may count all the same.
    pub(crate) async fn put(&self, metrics: &Metrics, values: &[CustomValues]) -> Result<(), MetricError> {
        let ticket = {
            // What is looked at later has the higher number, and is ordered later.
            let mut rows = self.rows();
            let changed = metrics.custom.add(values)?.into_iter();
            let point = |((metric, unit, _), minute)| Point { subject: Subject::Custom(metric, unit), minute };
            let mut points: Vec<Point> = changed.map(point).collect();
            let mut transaction = Transaction::new();
            while !points.is_empty() {
                let (row, count) = encode(&points);
                let number = rows.number(metrics.clock.now(), 1);
                rows.calls.push(number);
                rows.calls_bytes += row.len();
                transaction.put(&self.keyspace, key(number), row);
                points.drain(..count);
            }
            self.storage.submit(transaction)?
        };
        ticket.durable().await?;
        Ok(())
    }

    /// Keeps the minutes that have changed, if it is time or `now_or_never`.
    ///
    /// # Errors
    /// [`StorageError`]: they wait for the next call.
    pub(crate) async fn keep(&self, metrics: &Metrics, now_or_never: bool) -> Result<(), StorageError> {
        let now = metrics.clock.now();
        let (mut changed, mut number, calls) = {
            let mut rows = self.rows();
            let is_time = now_or_never || !(rows.at..rows.at + EVERY).contains(&now);
            if !is_time && rows.calls_bytes <= CALLS_BYTES_MAX {
                return Ok(());
            }
            rows.at = now;
            metrics.sweep();
            let changed = metrics.take_changed();
            // A row has a point at least. Rows of calls that come from now on hold later values, and have higher numbers.
            let number = rows.number(now, changed.len() as u64);
            rows.calls_bytes = 0;
            (changed, number, std::mem::take(&mut rows.calls))
        };
        while !changed.is_empty() {
            let (row, count) = encode(&changed);
            if let Err(error) = self.commit(number, row, now).await {
                metrics.mark_changed(&changed);
                self.rows().calls.extend(calls);
                return Err(error);
            }
            changed.drain(..count);
            number += 1;
        }
        self.remove(calls).await
    }

    /// Adds a row, and removes those that are beyond the bounds with it.
    async fn commit(&self, number: u64, row: Bytes, now: Millis) -> Result<(), StorageError> {
        let mut transaction = Transaction::new();
        let (bytes, mut dropped) = (row.len(), 0);
        {
            let rows = self.rows();
            let oldest = u64::try_from(now - KEPT).unwrap_or(0);
            let mut total = rows.bytes + bytes;
            for (number, bytes) in &rows.kept {
                if total <= STORED_BYTES_MAX && *number >= oldest {
                    break;
                }
                transaction.delete(&self.keyspace, key(*number));
                (total, dropped) = (total - bytes, dropped + 1);
            }
        }
        transaction.put(&self.keyspace, key(number), row);
        self.storage.commit(transaction).await?;
        let mut rows = self.rows();
        for (_, bytes) in rows.kept.drain(..dropped).collect::<Vec<_>>() {
            rows.bytes -= bytes;
        }
        rows.push(number, bytes);
        Ok(())
    }

    /// Removes rows of calls: all that they hold is in later rows.
    async fn remove(&self, calls: Vec<u64>) -> Result<(), StorageError> {
        if calls.is_empty() {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        for number in &calls {
            transaction.delete(&self.keyspace, key(*number));
        }
        let removed = self.storage.commit(transaction).await;
        if removed.is_err() {
            self.rows().calls.extend(calls);
        }
        removed.map(drop)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// The number of the first of some rows that are made now: a clock that goes back does not make it smaller.
    fn number(&mut self, now: Millis, count: u64) -> u64 {
        let first = self.next.max(u64::try_from(now).unwrap_or(0));
        self.next = first + count;
        first
    }

    fn push(&mut self, number: u64, bytes: usize) {
        self.kept.push_back((number, bytes));
        self.bytes += bytes;
    }
}

fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// A row of the first of some points, and how many they are.
fn encode(points: &[Point]) -> (Bytes, usize) {
    let mut row = BytesMut::with_capacity(ROW_BYTES.min(points.len() * 128));
    row.put_u8(VERSION);
    let mut count = 0;
    for Point { subject, minute } in points {
        if row.len() >= ROW_BYTES {
            break;
        }
        count += 1;
        match subject {
            Subject::Counter(name, of) => put(&mut row, COUNTER, [name, of]),
            Subject::Gauge(name, of) => put(&mut row, GAUGE, [name, of]),
            Subject::Distribution(name, of) => put(&mut row, DISTRIBUTION, [name, of]),
            Subject::Custom(metric, unit) => {
                put(&mut row, CUSTOM, [unit, &metric.namespace, &metric.name]);
                let dimensions = &metric.dimensions[..metric.dimensions.len().min(usize::from(u8::MAX))];
                row.put_u8(dimensions.len() as u8);
                dimensions.iter().flat_map(|(name, value)| [name, value]).for_each(|text| put_text(&mut row, text));
            }
        }
        row.put_i64(minute.start);
        [minute.count, minute.sum, minute.min, minute.max].into_iter().for_each(|value| row.put_f64(value));
    }
    (row.freeze(), count)
}

fn put<const N: usize>(row: &mut BytesMut, kind: u8, texts: [&String; N]) {
    row.put_u8(kind);
    texts.into_iter().for_each(|text| put_text(row, text));
}

/// Texts are names: none is as long as two bytes can say.
fn put_text(row: &mut BytesMut, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    row.put_u16(bytes.len() as u16);
    row.put_slice(bytes);
}

/// `None` for what no version up to this one wrote.
fn decode(mut row: Bytes) -> Option<Vec<Point>> {
    if row.try_get_u8().ok()? != VERSION {
        return None;
    }
    let mut points = Vec::new();
    while row.has_remaining() {
        let subject = match row.try_get_u8().ok()? {
            COUNTER => Subject::Counter(text(&mut row)?, text(&mut row)?),
            GAUGE => Subject::Gauge(text(&mut row)?, text(&mut row)?),
            DISTRIBUTION => Subject::Distribution(text(&mut row)?, text(&mut row)?),
            CUSTOM => {
                let (unit, namespace, name) = (text(&mut row)?, text(&mut row)?, text(&mut row)?);
                let dimensions = (0..row.try_get_u8().ok()?).map(|_| Some((text(&mut row)?, text(&mut row)?)));
                let dimensions = dimensions.collect::<Option<Vec<_>>>()?;
                Subject::Custom(CustomMetric { namespace, name, dimensions }, unit)
            }
            _ => return None,
        };
        let start = row.try_get_i64().ok()?;
        let mut value = || row.try_get_f64().ok();
        let (count, sum, min, max) = (value()?, value()?, value()?, value()?);
        points.push(Point { subject, minute: Minute { start, count, sum, min, max } });
    }
    Some(points)
}

fn text(row: &mut Bytes) -> Option<String> {
    let length = usize::from(row.try_get_u16().ok()?);
    (row.len() >= length).then(|| String::from_utf8_lossy(&row.split_to(length)).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_types::ManualClock;

    use super::super::CustomValues;
    use super::*;

    const HOUR: Millis = 3_600_000;

    fn open(storage: &Storage, clock: &Arc<ManualClock>) -> (Metrics, History) {
        let metrics = Metrics::new(Arc::clone(clock) as Arc<_>);
        let history = History::open(storage.clone(), &metrics).unwrap();
        (metrics, history)
    }

    fn shop(value: f64, start: Millis) -> CustomValues {
        let dimensions = vec![("till".into(), "1".into())];
        let metric = CustomMetric { namespace: "shop".into(), name: "sales".into(), dimensions };
        let values = vec![Minute { start, ..Minute::of(0, value) }];
        CustomValues { metric, unit: "Count".into(), high_resolution: false, values }
    }

    #[tokio::test]
    async fn minutes_outlive_the_node() {
        let clock = Arc::new(ManualClock::at(100 * HOUR));
        let storage = Storage::in_memory(clock.clone());
        let (metrics, history) = open(&storage, &clock);
        let counter = metrics.counter("records_in", "stream/s");
        let gauge = metrics.gauge("visible", "queue/q");
        let count = |amount| {
            counter.add(amount);
            gauge.set(5);
            metrics.distribution("ms", "function/f").observe(2.5);
            metrics.sample();
        };
        count(3);
        metrics.custom.add(&[shop(7.0, 99 * HOUR)]).unwrap();
        history.keep(&metrics, false).await.unwrap();
        assert!(history.rows().kept.is_empty(), "it is not yet time");
        clock.advance(EVERY);
        history.keep(&metrics, false).await.unwrap();
        // Later values of a minute that is kept already.
        count(4);
        metrics.custom.add(&[shop(8.0, 99 * HOUR)]).unwrap();
        history.keep(&metrics, true).await.unwrap();
        history.keep(&metrics, true).await.unwrap();
        assert_eq!(history.rows().kept.len(), 2, "without a change there is nothing to keep");

        let (again, history) = open(&storage, &clock);
        let sums = |name, of| -> Vec<f64> {
            again.periods(name, of, (0, 200 * HOUR), HOUR).iter().map(|minute| minute.sum).collect()
        };
        assert_eq!((sums("records_in", "stream/s"), sums("ms", "function/f")), (vec![7.0], vec![5.0]));
        let sales = again.custom.periods(&shop(0.0, 0).metric, None, (0, 200 * HOUR), HOUR);
        assert_eq!((sales[0].0.as_str(), sales[0].1.sum), ("Count", 15.0));
        again.sample();
        assert_eq!(sums("visible", "queue/q"), [10.0], "a gauge of a queue that is gone says nothing any more");
        again.counter("records_in", "stream/s").add(1);
        again.sample();
        assert_eq!(sums("records_in", "stream/s"), [8.0]);

        clock.advance(25 * HOUR);
        history.keep(&again, true).await.unwrap();
        assert_eq!(again.subjects("records_in", 0), [] as [String; 0], "a day is kept");
        assert_eq!(again.custom.list(0).len(), 1);
        clock.advance(KEPT);
        again.custom.add(&[shop(8.0, clock_now(&clock))]).unwrap();
        history.keep(&again, true).await.unwrap();
        assert_eq!(history.rows().kept.len(), 1, "old rows go");
        assert_eq!(storage.scan(&history.keyspace, (Bound::Unbounded, Bound::Unbounded), false, 10).unwrap().len(), 1);
    }

    fn clock_now(clock: &ManualClock) -> Millis {
        millstream_types::Clock::now(clock)
    }

    #[tokio::test]
    async fn what_clients_put_is_durable_at_once_and_gathered_by_the_minute() {
        let clock = Arc::new(ManualClock::at(100 * HOUR));
        let storage = Storage::in_memory(clock.clone());
        let (metrics, history) = open(&storage, &clock);
        let stored =
            || storage.scan(&Keyspace::new("insight/minutes"), (Bound::Unbounded, Bound::Unbounded), false, 99);
        let sum = || {
            let (again, _) = open(&storage, &clock);
            again.custom.periods(&shop(0.0, 0).metric, None, (0, 200 * HOUR), HOUR)[0].1.sum
        };
        for (value, so_far) in [(7.0, 7.0), (8.0, 15.0), (1.0, 16.0)] {
            history.put(&metrics, &[shop(value, 99 * HOUR)]).await.unwrap();
            assert_eq!(sum(), so_far, "without a minute's row");
        }
        assert_eq!(stored().unwrap().len(), 3);
        clock.advance(EVERY);
        history.keep(&metrics, false).await.unwrap();
        assert_eq!((stored().unwrap().len(), sum()), (1, 16.0));
        history.put(&metrics, &[shop(1.0, 99 * HOUR)]).await.unwrap();
        assert_eq!((stored().unwrap().len(), sum()), (2, 17.0), "the call's row is the later one");
    }

    #[tokio::test]
    async fn what_could_not_be_kept_waits_with_what_came_to_it() {
        let clock = Arc::new(ManualClock::at(100 * HOUR));
        let metrics = Metrics::new(clock as Arc<_>);
        metrics.counter("records_in", "stream/s").add(1);
        metrics.sample();
        metrics.custom.add(&[shop(7.0, 99 * HOUR)]).unwrap();
        let taken = metrics.take_changed();
        metrics.counter("records_in", "stream/s").add(2);
        metrics.sample();
        metrics.custom.add(&[shop(8.0, 99 * HOUR)]).unwrap();
        assert_eq!(metrics.take_changed().len(), 2);
        metrics.mark_changed(&taken);
        let sums: Vec<f64> = metrics.take_changed().iter().map(|point| point.minute.sum).collect();
        assert_eq!(sums, [15.0, 3.0]);
    }

    #[test]
    fn rows_are_read_as_they_were_written_and_damaged_ones_not_at_all() {
        let minute = Minute { start: -60_000, count: 2.0, sum: -0.5, min: f64::MIN, max: 7.0 };
        let CustomValues { metric, unit, .. } = shop(0.0, 0);
        let named = |kind: fn(String, String) -> Subject| kind("n".into(), "stream/\u{e4}".into());
        let points: Vec<Point> = [
            named(Subject::Counter),
            named(Subject::Gauge),
            named(Subject::Distribution),
            Subject::Custom(metric, unit),
        ]
        .into_iter()
        .map(|subject| Point { subject, minute })
        .collect();
        let (row, count) = encode(&points);
        assert_eq!((count, decode(row.clone())), (4, Some(points.clone())));
        for end in 1..row.len() {
            assert_ne!(decode(row.slice(..end)).as_ref(), Some(&points));
        }
        assert_eq!(decode(Bytes::from_static(&[9])), None);
        let many = vec![points[0].clone(); 10_000];
        let (row, count) = encode(&many);
        assert!(count < 10_000 && row.len() < ROW_BYTES + 200);
    }
}
