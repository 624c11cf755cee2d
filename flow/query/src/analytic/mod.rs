//! Functions that look back from each row: the value of another row, whether it is the first, aggregates of the rows up to it, and
//! whether it is an anomaly among them.
//!
//! Rows wait until the watermark has passed them ([`crate::waiting`]). Then they go on in batches, each row with its results. Knows
//! no SQL. Read next: [`value`].

mod aggregate;
mod anomaly;
pub(crate) mod density;
mod first;
mod value;

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray};
use arrow::compute::filter;
use arrow::error::ArrowError;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{self, AnalyticFunction, Extent};
use crate::waiting::{Due, ENTRY_BYTES, KEPT_BYTES_MAX, Waiting};
use crate::window::key::{self, KeyEncoder};
use crate::window::listed::BYTES_A_GROUP;
use crate::window::{CLOSED_BYTES, CLOSED_ROWS, Closed};
use aggregate::Aggregates;
use anomaly::Anomalies;
use first::Firsts;
use value::Values;

/// The state of one step.
pub(crate) struct Analytic {
    /// Rows with all that they need, as [`plan::Analytic::inputs`] gives it.
    waiting: Waiting,
    /// How many of these columns go on.
    passed: usize,
    calls: Vec<Call>,
}

/// A function at work, or aggregates of the same rows.
struct Call {
    /// Which of the calls these are.
    places: Vec<usize>,
    /// Where its keys are among what all calls need.
    keys: Range<usize>,
    /// Where its condition is, if it has one.
    when: Option<usize>,
    /// Where what it computes with is.
    values: Vec<usize>,
    kind: Kind,
}

/// The results of a call, and which rows have none.
type Results = (ArrayRef, Vec<(usize, String)>);

enum Kind {
    Value(Values),
    First(Firsts),
    Aggregate(Box<Aggregates>),
    Anomaly(Anomalies),
}

/// Rows in the order of time, as one call sees them.
struct Rows<'r> {
    times: &'r [i64],
    keys: key::EncodedKeys<'r>,
    when: Option<&'r BooleanArray>,
    /// The value, and the default that stands for one; or the arguments of aggregates.
    values: &'r [ArrayRef],
}

impl Rows<'_> {
    /// Whether a row counts.
    fn counts(&self, row: usize) -> bool {
        self.when.is_none_or(|when| when.is_valid(row) && when.value(row))
    }
}

/// More is kept than may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {} MiB of rows are kept for analytic functions; use fewer keys, windows that go back less far, fewer columns or less tolerance for disorder",
    KEPT_BYTES_MAX / 1024 / 1024
)]
pub(crate) struct TooMuch;

impl Analytic {
    pub(crate) fn new(plan: &plan::Analytic) -> Self {
        let types = plan.inputs().into_iter().map(|input| input.data_type.clone()).collect();
        Self { waiting: Waiting::new(types), passed: plan.columns.len(), calls: calls(plan) }
    }

    /// Adds rows: their times, and the values of all inputs.
    pub(crate) fn add(&mut self, times: &[i64], inputs: &[ArrayRef]) -> Result<(), TooMuch> {
        self.waiting.add(times.iter().copied(), inputs);
        let kept = self.calls.iter().map(Call::bytes).sum::<usize>();
        if self.waiting.bytes() + kept > KEPT_BYTES_MAX { Err(TooMuch) } else { Ok(()) }
    }

    /// The rows that none can come before any more, with their results, or the first of them where results are large; and the
    /// watermark at which these are all.
    pub(crate) fn close(&mut self, watermark: i64) -> Result<(Vec<Closed>, i64), ArrowError> {
        let (mut closed, mut bytes) = (Vec::new(), 0);
        while let Some(due) = self.take_due(watermark) {
            let last = due.times.last().copied();
            let made = self.evaluate(due)?;
            bytes += made.bytes();
            closed.push(made);
            if let Some(last) = last.filter(|_| bytes > CLOSED_BYTES) {
                return Ok((closed, last.saturating_add(1)));
            }
        }
        self.calls.iter_mut().for_each(|call| call.forget(watermark));
        Ok((closed, watermark))
    }

    /// Takes rows that are computed together: each one's results may hold all values that it looks back to, those that come with it,
    /// too.
    fn take_due(&mut self, watermark: i64) -> Option<Due> {
        let of_row = |call: &Call| match &call.kind {
            Kind::Aggregate(aggregates) => aggregates.result_bytes(),
            _ => None,
        };
        let kept = self.calls.iter().filter_map(of_row).reduce(|bytes, other| bytes + other);
        self.waiting.take_due(watermark, |rows, bytes| {
            let of_row = kept.map_or(0, |kept| kept + bytes + rows * BYTES_A_GROUP);
            rows < CLOSED_ROWS && rows.saturating_mul(of_row) <= CLOSED_BYTES
        })
    }

    /// Rows in the order of time with the results of all calls; those that have none are told.
    fn evaluate(&mut self, Due { mut times, columns: inputs }: Due) -> Result<Closed, ArrowError> {
        let (columns, rest) = inputs.split_at(self.passed);
        let mut columns = columns.to_vec();
        let mut results = BTreeMap::new();
        for call in &mut self.calls {
            let found = call.evaluate(&times, rest)?;
            results.extend(call.places.iter().copied().zip(found));
        }
        let (mut kept, mut errors) = (vec![true; times.len()], Vec::new());
        for (result, failed) in results.into_values() {
            columns.push(result);
            for (row, error) in failed {
                kept[row] = false;
                errors.push((times[row], error));
            }
        }
        if !errors.is_empty() {
            times = times.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(time, _)| time).collect();
            let kept = BooleanArray::from(kept);
            columns = columns.iter().map(|column| filter(column, &kept)).collect::<Result<_, _>>()?;
        }
        Ok(Closed { starts: times.clone(), ends: times, columns, errors, stops: None })
    }

    /// Gives the time behind which rows are needed for those from a watermark on.
    pub(crate) fn begin_behind(&self, watermark: i64) -> i64 {
        let behind = |call: &Call| match &call.kind {
            Kind::Value(values) => values.extent.oldest(watermark).saturating_sub(1),
            Kind::First(firsts) => firsts.behind(watermark),
            Kind::Aggregate(aggregates) => aggregates.extent.oldest(watermark).saturating_sub(1),
            Kind::Anomaly(anomalies) => anomalies.behind(watermark),
        };
        self.calls.iter().map(behind).min().unwrap_or(watermark).min(watermark.saturating_sub(1))
    }

    /// Rows that wait, and values that are looked back to.
    pub(crate) fn groups(&self) -> usize {
        self.waiting.rows() + self.calls.iter().map(Call::entries).sum::<usize>()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        self.waiting.write(writer);
        let done = self.waiting.done();
        for call in &self.calls {
            match &call.kind {
                Kind::Value(values) => values.write(done, writer),
                Kind::First(firsts) => firsts.write(done, writer),
                Kind::Aggregate(aggregates) => aggregates.write(done, writer),
                Kind::Anomaly(anomalies) => anomalies.write(done, writer),
            }
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.waiting.read(reader)?;
        for call in &mut self.calls {
            match &mut call.kind {
                Kind::Value(values) => values.read(reader)?,
                Kind::First(firsts) => firsts.read(reader)?,
                Kind::Aggregate(aggregates) => aggregates.read(reader)?,
                Kind::Anomaly(anomalies) => anomalies.read(reader)?,
            }
        }
        Ok(())
    }
}

/// The calls of a plan at work. Aggregates of the same rows are one.
fn calls(plan: &plan::Analytic) -> Vec<Call> {
    let mut starts = Vec::with_capacity(plan.calls.len());
    let mut next = 0;
    for call in &plan.calls {
        starts.push(next);
        next += call.inputs().len();
    }
    let mut calls = Vec::new();
    for (place, call) in plan.calls.iter().enumerate() {
        if plan.calls[..place].iter().any(|before| before.counts_same_rows(call)) {
            continue;
        }
        let same = |other: &usize| *other == place || call.counts_same_rows(&plan.calls[*other]);
        calls.push(Call::new(plan, &starts, (place..plan.calls.len()).filter(same).collect()));
    }
    calls
}

impl Call {
    /// The calls at `places`, whose inputs begin at `starts`: one, or aggregates of the same rows.
    fn new(plan: &plan::Analytic, starts: &[usize], places: Vec<usize>) -> Self {
        let (first, start) = (&plan.calls[places[0]], starts[places[0]]);
        let kind = match &first.function {
            AnalyticFunction::Value { place, extent, .. } => {
                Kind::Value(Values::new(*place, *extent, first.data_type.clone()))
            }
            AnalyticFunction::IsFirst { interval_ms, bounds } => Kind::First(Firsts::new(*interval_ms, *bounds)),
            AnalyticFunction::Anomaly { detector, extent, .. } => Kind::Anomaly(Anomalies::new(*detector, *extent)),
            AnalyticFunction::Aggregate { extent, .. } => {
                let aggregate = |place: &usize| match &plan.calls[*place].function {
                    AnalyticFunction::Aggregate { call, .. } => Some(call.clone()),
                    _ => None,
                };
                Kind::Aggregate(Box::new(Aggregates::new(places.iter().filter_map(aggregate).collect(), *extent)))
            }
        };
        let keys = start..start + first.partition_by.len();
        let when = first.when.as_ref().map(|_| keys.end);
        let before = keys.len() + usize::from(when.is_some());
        let own = |place: &usize| starts[*place] + before..starts[*place] + plan.calls[*place].inputs().len();
        let values = places.iter().flat_map(own).collect();
        Self { places, keys, when, values, kind }
    }

    /// The results over rows, in the order of time, of each of its calls; `inputs` is what all calls need.
    fn evaluate(&mut self, times: &[i64], inputs: &[ArrayRef]) -> Result<Vec<Results>, ArrowError> {
        let mut encoder = KeyEncoder::default();
        let keys = encoder.encode(&inputs[self.keys.clone()], times.len());
        let values: Vec<ArrayRef> = self.values.iter().map(|value| inputs[*value].clone()).collect();
        let when = self.when.map(|when| inputs[when].as_boolean());
        let rows = Rows { times, keys, when, values: &values };
        Ok(match &mut self.kind {
            Kind::Value(values) => vec![(values.evaluate(&rows), Vec::new())],
            Kind::First(firsts) => vec![(firsts.evaluate(&rows), Vec::new())],
            Kind::Aggregate(aggregates) => aggregates.evaluate(&rows)?,
            Kind::Anomaly(anomalies) => vec![(anomalies.evaluate(&rows), Vec::new())],
        })
    }

    /// Lets go of what is too old to be looked back to by rows from a time on.
    fn forget(&mut self, now: i64) {
        match &mut self.kind {
            Kind::Value(values) => values.forget(now),
            Kind::First(firsts) => firsts.forget(now),
            Kind::Aggregate(aggregates) => aggregates.forget(now),
            Kind::Anomaly(anomalies) => anomalies.forget(now),
        }
    }

    fn entries(&self) -> usize {
        match &self.kind {
            Kind::Value(values) => values.entries(),
            Kind::First(firsts) => firsts.entries(),
            Kind::Aggregate(aggregates) => aggregates.entries(),
            Kind::Anomaly(anomalies) => anomalies.entries(),
        }
    }

    fn bytes(&self) -> usize {
        let own = match &self.kind {
            Kind::Value(values) => values.bytes(),
            Kind::First(firsts) => firsts.bytes(),
            Kind::Aggregate(aggregates) => aggregates.bytes(),
            Kind::Anomaly(anomalies) => anomalies.bytes(),
        };
        own + self.entries() * ENTRY_BYTES
    }
}

/// When what is too old is let go: once in so many milliseconds, so that each entry is looked at a constant number of times.
struct Sweep {
    /// `None`: never.
    length_ms: Option<i64>,
    last: i64,
}

impl Sweep {
    fn new(length_ms: Option<i64>) -> Self {
        Self { length_ms, last: i64::MIN }
    }

    /// For rows that go back so far.
    fn of(extent: Extent) -> Self {
        match extent {
            Extent::Time(length_ms) => Self::new(Some(length_ms)),
            Extent::Rows(_) => Self::new(None),
        }
    }

    /// Whether it is time, at a time that never goes back.
    fn is_due(&mut self, now: i64) -> bool {
        let Some(length_ms) = self.length_ms else { return false };
        let period = now.div_euclid(length_ms.max(1));
        std::mem::replace(&mut self.last, period) != period
    }
}
