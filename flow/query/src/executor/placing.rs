//! Which time rows go by, and which of them a time policy drops.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch as ArrowBatch, TimestampMillisecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMillisecondType;

use super::evaluate::{self, by_row};
use super::{ExecuteError, Executor, RowError, rowtimes};
use crate::plan::{ScalarExpr, SourcePlan, TimeSource};
use crate::substreams::Substreams;
use crate::window::key::KeyEncoder;

/// The clocks of a source's shards, where it has timelines of their own.
pub(super) fn substreams(source: &SourcePlan, shards: usize) -> Vec<Substreams> {
    let shards = if source.timelines.is_empty() { 0 } else { shards };
    std::iter::repeat_with(Substreams::default).take(shards).collect()
}

impl Executor {
    /// Rows with the time they go by; those that a time policy drops are errors.
    pub(super) fn placed(
        &mut self,
        source: usize,
        shard: usize,
        rows: ArrowBatch,
        offsets: &[u64],
    ) -> Result<ArrowBatch, ExecuteError> {
        let read = &mut self.sources[source];
        let arrivals_unknown = read.arrivals_unknown;
        let time = &mut read.shards[shard];
        let arrivals = rowtimes(&rows);
        let SourcePlan { time: TimeSource::Event(event), timelines, .. } = &self.program.sources[source] else {
            if let Some(last) = arrivals.last() {
                time.arrived(*last);
            }
            return Ok(rows);
        };
        let wanted: Vec<&ScalarExpr> = std::iter::once(event).chain(timelines).collect();
        let (rows, values, failed) = by_row(&rows, |rows| evaluate::values(&wanted, rows))?;
        let arrivals = rowtimes(&rows);
        let events = values.column(0).as_primitive::<TimestampMillisecondType>();
        let mut encoder = KeyEncoder::default();
        let mut substreams = read.substreams.get_mut(shard);
        let keyed = if substreams.is_some() { rows.num_rows() } else { 0 };
        let keys = encoder.encode(&values.columns()[1..wanted.len()], keyed);
        let mut times = Vec::with_capacity(rows.num_rows());
        let mut kept = Vec::with_capacity(rows.num_rows());
        for (row, &arrival) in arrivals.iter().enumerate() {
            // A row without a time of its own goes by its arrival.
            let event = if events.is_valid(row) { events.value(row) } else { arrival };
            let arrival = if arrivals_unknown { event } else { arrival };
            let (order, counts) = (&self.order, &mut self.counts.order);
            let placed = match &mut substreams {
                None => time.place(event, arrival, order, counts),
                Some(substreams) => {
                    // Of rows that nobody knows the arrival of, none says how far all timelines are.
                    if !arrivals_unknown {
                        time.caught_up(arrival, Some(order));
                    }
                    substreams.place(keys.row(row), (event, arrival), time, order, counts)
                }
            };
            kept.push(placed.is_ok());
            times.push(placed.unwrap_or_default());
            if let Err(dropped) = placed {
                let record = offsets.get(row).map(|offset| (source, shard, *offset));
                let detail = format!("event time {}, arrival {}", shown(event), shown(arrival));
                self.produced.errors.push(RowError { record, kind: dropped.reason(), detail });
            }
        }
        if let Some(substreams) = substreams {
            substreams.sweep(time).map_err(|error| ExecuteError::TooLarge(error.to_string()))?;
        }
        self.note_failed(failed.iter().map(|failure| &failure.reason));
        let mut columns: Vec<ArrayRef> = rows.columns()[..rows.num_columns() - 1].to_vec();
        columns.push(Arc::new(TimestampMillisecondArray::from(times)));
        let rows = ArrowBatch::try_new(rows.schema(), columns)?;
        if kept.iter().all(|kept| *kept) {
            return Ok(rows);
        }
        Ok(filter_record_batch(&rows, &kept.into())?)
    }
}

fn shown(time: i64) -> String {
    millstream_types::time::rfc3339(time)
}
