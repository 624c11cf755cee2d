//! What steps keep until time has passed: windows, or rows that others may still come before.

use arrow::array::{ArrayRef, RecordBatch as ArrowBatch};

use super::evaluate::{self, by_row, keep};
use super::state::{Reader, StateError, Writer};
use super::{ExecuteError, Executor, rowtimes};
use crate::analytic::Analytic;
use crate::pattern::PatternMatch;
use crate::plan::{Operator, ScalarExpr, WindowAggregate};
use crate::scoring::Scoring;
use crate::sorting::Sorting;
use crate::window::{Closed, Windows};

/// The state of a step whose rows come when time has passed.
pub(super) enum Timed {
    Windows(Box<Windows>),
    Analytic(Analytic),
    Pattern(Box<PatternMatch>),
    Sorting(Sorting),
    Scoring(Box<Scoring>),
}

impl Timed {
    /// The state that an operator begins with, if it keeps any.
    pub(super) fn of(operator: &Operator) -> Option<Self> {
        match operator {
            Operator::WindowAggregate(aggregate) => Some(Self::Windows(Box::new(windows_of(aggregate)))),
            Operator::Analytic(analytic) => Some(Self::Analytic(Analytic::new(analytic))),
            Operator::PatternMatch(pattern) => Some(Self::Pattern(Box::new(PatternMatch::new(pattern)))),
            Operator::Sort(sort) => Some(Self::Sorting(Sorting::new(sort))),
            Operator::Scored(scored) => Some(Self::Scoring(Box::new(Scoring::new(scored)))),
            _ => None,
        }
    }

    /// Whether an operator's rows come when time has passed.
    pub(super) fn waits(operator: &Operator) -> bool {
        match operator {
            Operator::WindowAggregate(_) | Operator::Analytic(_) | Operator::PatternMatch(_) => true,
            Operator::Sort(_) | Operator::Scored(_) => true,
            Operator::Project { .. }
            | Operator::Apply(_)
            | Operator::Union
            | Operator::Join(_)
            | Operator::Lookup(_)
            | Operator::Errors => false,
        }
    }

    /// Adds rows of a windowed aggregation: their times, keys and the aggregates' arguments.
    pub(super) fn add(
        &mut self,
        times: &[i64],
        keys: &[ArrayRef],
        arguments: &[Option<ArrayRef>],
    ) -> Result<(), ExecuteError> {
        let Self::Windows(windows) = self else { return Ok(()) };
        windows.add(times, keys, arguments).map_err(|error| ExecuteError::TooLarge(error.to_string()))
    }

    /// Adds rows that wait: their times, and all that is needed of them.
    pub(super) fn add_rows(&mut self, times: &[i64], inputs: &[ArrayRef]) -> Result<(), ExecuteError> {
        let told = match self {
            Self::Windows(_) => return Ok(()),
            Self::Analytic(analytic) => analytic.add(times, inputs).map_err(|error| error.to_string()),
            Self::Sorting(sorting) => sorting.add(times, inputs).map_err(|error| error.to_string()),
            Self::Pattern(pattern) => pattern.add(times, inputs).map_err(|error| error.to_string()),
            Self::Scoring(scoring) => scoring.add(times, inputs).map_err(|error| error.to_string()),
        };
        told.map_err(ExecuteError::TooLarge)
    }

    /// What no further row can change, oldest first, each once, or a part of it where that is much; and the watermark at which
    /// this is all.
    pub(super) fn close(&mut self, watermark: i64) -> Result<(Vec<Closed>, i64), ExecuteError> {
        let mut reached = watermark;
        let mut closed = match self {
            Self::Windows(windows) => {
                let closed;
                (closed, reached) = windows.close(watermark);
                closed
            }
            Self::Analytic(analytic) => {
                let closed;
                (closed, reached) = analytic.close(watermark)?;
                closed
            }
            Self::Pattern(pattern) => pattern.close(watermark)?,
            Self::Sorting(sorting) => sorting.close(watermark)?,
            Self::Scoring(scoring) => scoring.close(watermark),
        };
        match closed.iter_mut().find_map(|closed| closed.stops.take()) {
            Some(reason) => Err(ExecuteError::TooLarge(reason)),
            None => Ok((closed, reached)),
        }
    }

    /// Whether what ends then has come at a watermark.
    pub(super) fn is_over(&self, end: i64, watermark: i64) -> bool {
        match self {
            Self::Windows(windows) => windows.is_over(end, watermark),
            Self::Sorting(sorting) => sorting.is_over(end, watermark),
            // Rows that go on at their own time, and what has the time of a row and comes with it.
            Self::Analytic(_) | Self::Scoring(_) | Self::Pattern(_) => end < watermark,
        }
    }

    /// Begins, without anything kept yet, with the first result that is not over at a watermark. Gives the time behind which
    /// rows are needed for it or for later ones; results that are over may come again.
    pub(super) fn begin_behind(&mut self, watermark: i64) -> i64 {
        match self {
            Self::Windows(windows) => windows.begin_behind(watermark),
            Self::Analytic(analytic) => analytic.begin_behind(watermark),
            Self::Pattern(pattern) => pattern.begin_behind(watermark),
            Self::Sorting(sorting) => sorting.begin_behind(watermark),
            // What a model says hangs on all rows before.
            Self::Scoring(_) => i64::MIN,
        }
    }

    /// Groups and rows that are kept.
    pub(super) fn groups(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.groups(),
            Self::Analytic(analytic) => analytic.groups(),
            Self::Pattern(pattern) => pattern.groups(),
            Self::Sorting(sorting) => sorting.rows(),
            Self::Scoring(scoring) => scoring.rows(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Windows(windows) => windows.write(writer),
            Self::Analytic(analytic) => analytic.write(writer),
            Self::Pattern(pattern) => pattern.write(writer),
            Self::Sorting(sorting) => sorting.write(writer),
            Self::Scoring(scoring) => scoring.write(writer),
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        match self {
            Self::Windows(windows) => windows.read(reader),
            Self::Analytic(analytic) => analytic.read(reader),
            Self::Pattern(pattern) => pattern.read(reader),
            Self::Sorting(sorting) => sorting.read(reader),
            Self::Scoring(scoring) => scoring.read(reader),
        }
    }
}

impl Executor {
    /// Lets rows wait, those for which a predicate is true, with what is `wanted` of them.
    pub(super) fn wait(
        &mut self,
        step: usize,
        predicate: Option<&ScalarExpr>,
        wanted: &[&ScalarExpr],
        rows: &ArrowBatch,
    ) -> Result<(), ExecuteError> {
        let (_, inputs, failed) = by_row(rows, |rows| {
            let rows = keep(predicate, rows)?;
            evaluate::values(wanted, &rows)
        })?;
        self.failed(step, rows, &failed)?;
        let columns = &inputs.columns()[..wanted.len()];
        self.windows[step].as_mut().map_or(Ok(()), |kept| kept.add_rows(rowtimes(&inputs), columns))
    }

    /// Adds rows to windows.
    pub(super) fn aggregate(
        &mut self,
        step: usize,
        aggregate: &WindowAggregate,
        rows: &ArrowBatch,
    ) -> Result<(), ExecuteError> {
        let wanted = evaluate::inputs_of(aggregate);
        let (_, inputs, failed) = by_row(rows, |rows| {
            let rows = keep(aggregate.predicate.as_ref(), rows)?;
            evaluate::values(&wanted, &rows)
        })?;
        self.failed(step, rows, &failed)?;
        if inputs.num_rows() == 0 {
            return Ok(());
        }
        let times = rowtimes(&inputs);
        let keys = &inputs.columns()[..aggregate.keys.len()];
        let mut next = aggregate.keys.len();
        let arguments: Vec<Option<ArrayRef>> = aggregate
            .aggregates
            .iter()
            .map(|call| {
                call.argument.as_ref()?;
                next += 1;
                Some(inputs.column(next - 1).clone())
            })
            .collect();
        let Some(windows) = &mut self.windows[step] else { return Ok(()) };
        windows.add(times, keys, &arguments)
    }
}

fn windows_of(aggregate: &WindowAggregate) -> Windows {
    let keys = aggregate.keys.iter().map(|key| key.data_type.clone()).collect();
    Windows::new(aggregate.window, keys, aggregate.aggregates.clone())
}
