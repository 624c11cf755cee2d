//! A query at work, without I/O: records in, rows out, state as bytes.
//!
//! Rows pass through the steps as Arrow batches; windows keep state and give rows when time has passed them. The same records
//! give the same rows however they are cut into batches. Read next: [`crate::time_policy`], [`crate::window`].

mod advance;
mod apply;
pub(crate) mod evaluate;
mod failure;
mod join;
pub(crate) mod lookup;
mod placing;
mod replay;
pub(crate) mod state;
pub(crate) mod steps;
mod timed;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch as ArrowBatch, TimestampMillisecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::TimestampMillisecondType;
use arrow::error::ArrowError;
use millstream_catalog::{EventOrder, RecordFormat};
use millstream_types::RecordBatch;

use crate::decode::{Decoded, Decoder, Reading};
use crate::join::StreamJoin;
use crate::plan::{Operator, Program, StepInput, TimeSource};
use crate::substreams::Substreams;
use crate::time_policy::{OrderCounts, ShardTime};
use crate::window::Closed;
use advance::Handed;
use evaluate::{by_row, columns, keep};
use failure::ErrorRoom;
use lookup::Tables;
use state::{Reader, StateError, Writer};
use timed::Timed;

/// The first byte of a snapshot.
pub(crate) const SNAPSHOT_VERSION: u8 = 1;

/// A query at work.
pub struct Executor {
    program: Arc<Program>,
    order: EventOrder,
    sources: Vec<Source>,
    /// Per step: its windows, or what else it keeps until time has passed.
    windows: Vec<Option<Timed>>,
    /// Per step: the rows that it joins, if it does.
    joins: Vec<Option<StreamJoin>>,
    /// Per step: the table in which it looks rows up, if it does.
    tables: Tables,
    /// Per step: how far what it reads may be behind the watermark.
    delays: Vec<i64>,
    counts: Counts,
    produced: Produced,
    /// Per step: how far time has come in it; what joins have not given yet holds it up.
    times: Vec<i64>,
    /// Windows that were over at this watermark were handed on before.
    emitted: i64,
    /// Per step: what of its rows was handed on before.
    handed: Vec<Handed>,
    /// Outputs that had what flows before.
    withheld: Vec<usize>,
    /// Whether what flows was handed on before: it goes to windows, not to outputs.
    again: bool,
    apply_room: apply::Room,
    /// The step that holds what goes wrong, where something reads that.
    error_step: Option<usize>,
    /// What its rows take since a read of a shard, or time, was begun.
    error_room: ErrorRoom,
    /// Per step: rows that it took, and rows that it gave.
    passed: Vec<(u64, u64)>,
}

struct Source {
    decoder: Decoder,
    shards: Vec<ShardTime>,
    /// By shard the clocks of timelines of their own, if there are any.
    substreams: Vec<Substreams>,
    /// By shard: rows of records before this offset were handed on before.
    handed: Vec<u64>,
    /// Whether nobody knows when its records arrived: as each happened, then.
    arrivals_unknown: bool,
}

/// What happened since the executor was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows read.
    pub rows_in: u64,
    /// Rows given out.
    pub rows_out: u64,
    /// Rows that a time policy touched.
    pub order: OrderCounts,
    /// Records that were no rows.
    pub decode_errors: u64,
    /// Rows that failed in an expression.
    pub runtime_errors: u64,
}

/// What came out of a call.
#[derive(Debug, Default)]
pub struct Produced {
    /// Rows by output, in the order in which they came: index into `Program::outputs`, and a batch of the output step's
    /// schema (the hidden row time is the last column).
    pub rows: Vec<(usize, ArrowBatch)>,
    /// What did not become a row, or failed as one.
    pub errors: Vec<RowError>,
}

/// A record or row that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The source, shard and offset, when it is a record's.
    pub record: Option<(usize, usize, u64)>,
    /// One of `unparsable`, `early`, `late`, `out of order`, `failed`.
    pub kind: &'static str,
    /// What was expected and what was found.
    pub detail: String,
}

/// What stops a query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecuteError {
    /// Its state would grow beyond its bound.
    #[error("{0}")]
    TooLarge(String),
    /// Reference data cannot be used.
    #[error("reference data `{name}`: {reason}")]
    Reference {
        /// Their name in the SQL.
        name: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// Rows do not fit the plan: a defect of ours.
    #[error("the plan does not fit its rows: {0}")]
    Plan(String),
}

impl From<ArrowError> for ExecuteError {
    fn from(error: ArrowError) -> Self {
        Self::Plan(error.to_string())
    }
}

impl Executor {
    /// An executor of a program whose sources have `shards` shards each and `formats` of records.
    #[must_use]
    pub fn new(program: Program, order: EventOrder, formats: &[RecordFormat], shards: &[usize]) -> Self {
        let error_step = program.error_step();
        let source = |index: usize| {
            let format = formats.get(index).unwrap_or(&RecordFormat::Json);
            let shards = shards.get(index).copied().unwrap_or(1);
            Source {
                decoder: Decoder::new(&program.sources[index], format, program.dialect)
                    .keeping_data(error_step.is_some()),
                shards: vec![ShardTime::default(); shards],
                substreams: placing::substreams(&program.sources[index], shards),
                handed: vec![0; shards],
                arrivals_unknown: false,
            }
        };
        let sources = (0..program.sources.len()).map(source).collect();
        let windows = program.steps.iter().map(|step| Timed::of(&step.operator)).collect();
        let (joins, delays) = (join::states(&program), join::delays(&program));
        let steps = program.steps.len();
        Self {
            program: Arc::new(program),
            order,
            sources,
            windows,
            joins,
            tables: Vec::new(),
            delays,
            counts: Counts::default(),
            produced: Produced::default(),
            times: vec![i64::MIN; steps],
            emitted: i64::MIN,
            handed: vec![Handed::new(); steps],
            withheld: Vec::new(),
            again: false,
            apply_room: apply::Room::default(),
            error_step,
            error_room: ErrorRoom::default(),
            passed: vec![(0, 0); steps],
        }
    }

    /// The program it runs.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Groups that windows hold, and rows that are kept.
    #[must_use]
    pub fn groups(&self) -> usize {
        let rows: usize = self.joins.iter().flatten().map(StreamJoin::rows).sum();
        self.windows.iter().flatten().map(Timed::groups).sum::<usize>() + rows
    }

    /// Takes records of a shard of a source whose offset is `from` or later. They are read as they arrive.
    ///
    /// # Errors
    /// [`ExecuteError`]: the query cannot go on.
    pub fn push(
        &mut self,
        source: usize,
        shard: usize,
        batch: &RecordBatch,
        from: u64,
    ) -> Result<Produced, ExecuteError> {
        self.begin_read();
        let decoded = self.decode(source, shard, batch, from)?;
        self.push_decoded(source, shard, decoded)
    }

    /// Reads records as [`Executor::push`] does, for [`Executor::push_decoded`].
    ///
    /// # Errors
    /// [`ExecuteError`]: the query cannot go on.
    pub fn decode(
        &mut self,
        source: usize,
        shard: usize,
        batch: &RecordBatch,
        from: u64,
    ) -> Result<Decoded, ExecuteError> {
        let reading = Reading { from, without: &[], shard, processed: batch.append_time };
        Ok(self.sources[source].decoder.decode(batch, reading)?)
    }

    /// A decoder of a source's records, to decode on another thread for [`Executor::push_decoded`].
    pub(crate) fn decoder(&self, source: usize) -> Decoder {
        self.sources[source].decoder.another()
    }

    /// Takes what a decoder of the source made of records of a shard.
    ///
    /// # Errors
    /// [`ExecuteError`]: the query cannot go on.
    pub fn push_decoded(&mut self, source: usize, shard: usize, decoded: Decoded) -> Result<Produced, ExecuteError> {
        let handed = self.sources[source].handed[shard];
        if handed == 0 {
            self.take_rows(source, shard, decoded)?;
            return Ok(self.take());
        }
        let (before, behind) = decoded.split_at(handed);
        self.again(true, |executor| executor.take_rows(source, shard, before))?;
        self.take_rows(source, shard, behind)?;
        Ok(self.take())
    }

    /// Lets decoded records flow.
    fn take_rows(&mut self, source: usize, shard: usize, decoded: Decoded) -> Result<(), ExecuteError> {
        self.unparsable((source, shard), decoded.errors)?;
        self.counts.rows_in += decoded.rows.num_rows() as u64;
        let rows = self.placed(source, shard, decoded.rows, &decoded.offsets)?;
        if rows.num_rows() > 0 {
            self.flow(StepInput::Source(source), &rows)?;
        }
        Ok(())
    }

    /// Says that nobody knows when the records of a source arrived: none of its events is early or late.
    pub(crate) fn arrivals_unknown(&mut self, source: usize) {
        self.sources[source].arrivals_unknown = true;
    }

    /// Says that all records of a shard that arrived before `frontier` have been pushed.
    pub fn caught_up(&mut self, source: usize, shard: usize, frontier: i64) {
        let plan = &self.program.sources[source];
        if plan.watermark_ms.is_some() {
            // Only its rows say how far time is.
            return;
        }
        let event_time = matches!(plan.time, TimeSource::Event(_)).then_some(&self.order);
        self.sources[source].shards[shard].caught_up(frontier, event_time);
    }

    /// Says that all records of a shard have been pushed, and that no more will come: it holds up no window.
    pub(crate) fn ended(&mut self, source: usize, shard: usize) {
        self.sources[source].shards[shard].ended();
    }

    /// How far time has come over all shards.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        let shards = self.sources.iter().flat_map(|source| &source.shards);
        shards.map(ShardTime::watermark).min().unwrap_or(i64::MIN)
    }

    /// How far rows of steps may be behind the watermark.
    pub(crate) fn delay_max(&self) -> i64 {
        self.delays.iter().copied().max().unwrap_or_default()
    }

    fn take(&mut self) -> Produced {
        self.apply_room = apply::Room::default();
        std::mem::take(&mut self.produced)
    }

    /// Passes rows to every step that reads them, and on.
    fn flow(&mut self, from: StepInput, rows: &ArrowBatch) -> Result<(), ExecuteError> {
        for step in 0..self.program.steps.len() {
            // The error stream is made of what goes wrong in other steps, not of their rows.
            if self.program.steps[step].inputs.contains(&from) && self.error_step != Some(step) {
                self.step(step, from, rows)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: usize, from: StepInput, rows: &ArrowBatch) -> Result<(), ExecuteError> {
        self.takes(step, rows);
        let program = Arc::clone(&self.program);
        let plan = &program.steps[step];
        match &plan.operator {
            Operator::Union => {
                let rows = ArrowBatch::try_new(plan.schema.clone(), rows.columns().to_vec())?;
                self.give(step, &rows)
            }
            Operator::Project { predicate, columns: wanted, rowtime } => {
                let (_, made, failed) = by_row(rows, |rows| {
                    let rows = keep(predicate.as_ref(), rows)?;
                    columns(wanted, rowtime.as_ref(), &rows, &plan.schema)
                })?;
                self.failed(step, rows, &failed)?;
                self.give(step, &made)
            }
            Operator::Apply(apply) => self.apply(step, apply, &plan.schema, rows),
            Operator::WindowAggregate(aggregate) => self.aggregate(step, aggregate, rows),
            Operator::Analytic(analytic) => self.wait(step, analytic.predicate.as_ref(), &analytic.inputs(), rows),
            Operator::PatternMatch(pattern) => self.wait(step, None, &pattern.inputs(), rows),
            Operator::Sort(sort) => self.wait(step, None, &sort.inputs(), rows),
            Operator::Scored(scored) => self.wait(step, None, &scored.inputs(), rows),
            Operator::Join(join) => self.add_to_join(step, join, from, rows),
            Operator::Lookup(lookup) => self.look_up(step, lookup, &plan.schema, rows),
            Operator::Errors => Ok(()),
        }
    }

    /// The rows of windows that are over, or those that have waited.
    fn closed(&mut self, step: usize, closed: Closed) -> Result<(), ExecuteError> {
        let program = Arc::clone(&self.program);
        let plan = &program.steps[step];
        self.failed_groups(step, &closed.errors)?;
        if closed.ends.is_empty() {
            return Ok(());
        }
        let times = |times: Vec<i64>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(times)) };
        let mut groups = closed.columns;
        let (schema, having, wanted) = match &plan.operator {
            Operator::WindowAggregate(aggregate) => {
                groups.push(times(closed.starts));
                (&aggregate.group_schema, aggregate.having.as_ref(), &aggregate.columns)
            }
            Operator::PatternMatch(pattern) => (&pattern.schema, None, &pattern.columns),
            _ => {
                groups.push(times(closed.ends));
                return self.give(step, &ArrowBatch::try_new(plan.schema.clone(), groups)?);
            }
        };
        groups.push(times(closed.ends));
        let groups = ArrowBatch::try_new(Arc::clone(schema), groups)?;
        let (_, made, failed) = by_row(&groups, |groups| {
            let groups = keep(having, groups)?;
            columns(wanted, None, &groups, &plan.schema)
        })?;
        let ends = rowtimes(&groups);
        let failed = failed.into_iter().map(|failure| (ends[failure.row], failure.reason));
        self.failed_groups(step, &failed.collect::<Vec<_>>())?;
        self.give(step, &made)
    }

    /// Hands a step's rows to the outputs that hold them and to the steps behind.
    fn give(&mut self, step: usize, rows: &ArrowBatch) -> Result<(), ExecuteError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.gives(step, rows);
        for (index, output) in self.program.outputs.iter().enumerate() {
            if output.step == Some(step) && !self.again && !self.withheld.contains(&index) {
                self.counts.rows_out += rows.num_rows() as u64;
                self.produced.rows.push((index, rows.clone()));
            }
        }
        self.flow(StepInput::Step(step), rows)
    }

    /// The state as bytes: the same for the same records and watermark.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut writer = Writer(vec![SNAPSHOT_VERSION]);
        for source in &self.sources {
            writer.count(source.shards.len());
            source.shards.iter().for_each(|shard| shard.write(&mut writer));
            source.substreams.iter().zip(&source.shards).for_each(|(clocks, shard)| clocks.write(shard, &mut writer));
        }
        for windows in self.windows.iter().flatten() {
            windows.write(&mut writer);
        }
        self.joins.iter().flatten().for_each(|join| join.write(&mut writer));
        writer.0
    }

    /// Takes up a snapshot of the same program. Its sources may have had other shards: times of those that are no more are left
    /// out, and those that it does not know have [`Executor::join`] to say when they begin.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are none.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), StateError> {
        let Some((&SNAPSHOT_VERSION, rest)) = snapshot.split_first() else { return Err(StateError) };
        let mut reader = Reader(rest);
        for source in &mut self.sources {
            let count = reader.count()?;
            for index in 0..count {
                let time = ShardTime::read(&mut reader)?;
                if let Some(shard) = source.shards.get_mut(index) {
                    *shard = time;
                }
            }
            let clocks = if source.substreams.is_empty() { 0 } else { count };
            for index in 0..clocks {
                let clocks = Substreams::read(&mut reader)?;
                if let Some(substreams) = source.substreams.get_mut(index) {
                    *substreams = clocks;
                }
            }
        }
        for windows in self.windows.iter_mut().flatten() {
            windows.read(&mut reader)?;
        }
        self.joins.iter_mut().flatten().try_for_each(|join| join.read(&mut reader))?;
        if reader.0.is_empty() { Ok(()) } else { Err(StateError) }
    }
}

impl Produced {
    /// What the rows take in memory, about: batches that share their buffers count them each.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.iter().map(|(_, batch)| batch.get_array_memory_size()).sum()
    }

    /// Rows of all outputs.
    pub(crate) fn count(&self) -> usize {
        self.rows.iter().map(|(_, batch)| batch.num_rows()).sum()
    }

    /// Adds what another call gave.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.errors.extend(other.errors);
    }

    /// The rows of one output as one batch; `None` when there are none.
    ///
    /// # Errors
    /// When batches of one output differ in their schema: a defect of ours.
    pub fn of_output(&self, output: usize) -> Result<Option<ArrowBatch>, ExecuteError> {
        let batches: Vec<&ArrowBatch> =
            self.rows.iter().filter(|(index, _)| *index == output).map(|(_, rows)| rows).collect();
        let Some(first) = batches.first() else { return Ok(None) };
        Ok(Some(concat_batches(&first.schema(), batches.iter().copied())?))
    }
}

/// The hidden last column.
pub(crate) fn rowtimes(rows: &ArrowBatch) -> &[i64] {
    rows.column(rows.num_columns() - 1).as_primitive::<TimestampMillisecondType>().values()
}
