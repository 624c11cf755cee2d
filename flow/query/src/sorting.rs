//! Rows of a stretch of time in the order of values of theirs, with their ranks where these are asked for.
//!
//! Rows wait until the watermark has passed their stretch ([`crate::waiting`]). Knows no SQL.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::error::ArrowError;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{RankOrder, Sort};
use crate::waiting::{Due, KEPT_BYTES_MAX, Waiting};
use crate::window::key::KeyEncoder;
use crate::window::{CLOSED_ROWS, Closed, floor_to};

/// The state of one step.
pub(crate) struct Sorting {
    waiting: Waiting,
    /// How many of a row's values go on; the others are what it is ordered by.
    passed: usize,
    /// By key whether it descends.
    descending: Vec<bool>,
    stretch_ms: Option<i64>,
    rank: Option<RankOrder>,
    most: Option<usize>,
}

/// More rows wait than may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {} MiB of rows wait to be ordered; use shorter stretches of time, fewer columns or less tolerance for disorder",
    KEPT_BYTES_MAX / 1024 / 1024
)]
pub(crate) struct TooMuch;

impl Sorting {
    pub(crate) fn new(plan: &Sort) -> Self {
        let types = plan.inputs().into_iter().map(|input| input.data_type.clone()).collect();
        Self {
            waiting: Waiting::new(types),
            passed: plan.columns.len(),
            descending: plan.keys.iter().map(|(_, descending)| *descending).collect(),
            stretch_ms: plan.stretch_ms,
            rank: plan.rank,
            most: plan.most,
        }
    }

    /// Adds rows: their times, and the values of all inputs.
    pub(crate) fn add(&mut self, times: &[i64], inputs: &[ArrayRef]) -> Result<(), TooMuch> {
        let stretch_ms = self.stretch_ms;
        // A stretch is known when its last instant has passed.
        let last =
            |time: &i64| stretch_ms.map_or(*time, |stretch| floor_to(*time, stretch).saturating_add(stretch - 1));
        self.waiting.add(times.iter().map(last), inputs);
        if self.waiting.bytes() > KEPT_BYTES_MAX { Err(TooMuch) } else { Ok(()) }
    }

    /// The rows of stretches that are over, oldest first.
    pub(crate) fn close(&mut self, watermark: i64) -> Result<Vec<Closed>, ArrowError> {
        let mut closed = Vec::new();
        while let Some(due) = self.waiting.take_due(watermark, |rows, _| rows < CLOSED_ROWS) {
            closed.push(self.ordered(&due)?);
        }
        Ok(closed)
    }

    fn ordered(&self, due: &Due) -> Result<Closed, ArrowError> {
        let (columns, keys) = due.columns.split_at(self.passed);
        let mut encoders: Vec<KeyEncoder> = keys.iter().map(|_| KeyEncoder::default()).collect();
        let encoded = encoders.iter_mut().zip(keys);
        let encoded: Vec<_> =
            encoded.map(|(encoder, key)| encoder.encode(std::slice::from_ref(key), due.times.len())).collect();
        let compare = |left: usize, right: usize| {
            let by_key = encoded.iter().zip(&self.descending).map(|(key, descending)| {
                let order = key.row(left).cmp(key.row(right));
                if *descending { order.reverse() } else { order }
            });
            by_key.fold(Ordering::Equal, Ordering::then)
        };
        let (mut places, mut ranks, mut times, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0);
        while first < due.times.len() {
            let last = due.times[first];
            let end = first + due.times[first..].partition_point(|time| *time == last);
            let time = if self.stretch_ms.is_some() { last.saturating_add(1) } else { last };
            for (place, rank) in self.of_stretch(first..end, &compare) {
                places.push(place as u32);
                ranks.push(rank);
                times.push(time);
            }
            first = end;
        }
        let places = UInt32Array::from(places);
        let mut columns = columns.iter().map(|column| take(column, &places, None)).collect::<Result<Vec<_>, _>>()?;
        if self.rank.is_some() {
            columns.push(Arc::new(Int64Array::from(ranks)));
        }
        Ok(Closed { starts: times.clone(), ends: times, columns, errors: Vec::new(), stops: None })
    }

    /// The places of a stretch's rows as they go on, with their ranks.
    fn of_stretch(
        &self,
        rows: std::ops::Range<usize>,
        compare: &impl Fn(usize, usize) -> Ordering,
    ) -> Vec<(usize, i64)> {
        let mut sorted: Vec<usize> = rows.collect();
        sorted.sort_by(|left, right| compare(*left, *right));
        let mut ranked: Vec<(usize, i64)> = Vec::with_capacity(sorted.len());
        for (index, place) in sorted.into_iter().enumerate() {
            let as_before = ranked.last().filter(|(before, _)| compare(*before, place).is_eq());
            let rank = as_before.map_or(index as i64 + 1, |(_, rank)| *rank);
            ranked.push((place, rank));
        }
        match self.rank {
            Some(RankOrder::Descending) => ranked.sort_by_key(|(place, rank)| (-rank, *place)),
            Some(RankOrder::Arrival) => ranked.sort_by_key(|(place, _)| *place),
            Some(RankOrder::Ascending) | None => {}
        }
        ranked.truncate(self.most.unwrap_or(usize::MAX));
        ranked
    }

    /// Whether a row of that time went on at a watermark.
    pub(crate) fn is_over(&self, time: i64, watermark: i64) -> bool {
        if self.stretch_ms.is_some() { time <= watermark } else { time < watermark }
    }

    /// Gives the time behind which rows are needed for those from a watermark on.
    pub(crate) fn begin_behind(&self, watermark: i64) -> i64 {
        let first = self.stretch_ms.map_or(watermark, |stretch| floor_to(watermark, stretch));
        first.saturating_sub(1)
    }

    pub(crate) fn rows(&self) -> usize {
        self.waiting.rows()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        self.waiting.write(writer);
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.waiting.read(reader)
    }
}
