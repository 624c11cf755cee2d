//! What steps keep until time has passed: windows, or rows that others may still come before.

use arrow::array::ArrayRef;

use super::ExecuteError;
use super::state::{Reader, StateError, Writer};
use crate::analytic::Analytic;
use crate::plan::{Operator, WindowAggregate};
use crate::window::{Closed, Windows};

/// The state of a step whose rows come when time has passed.
pub(super) enum Timed {
    Windows(Box<Windows>),
    Analytic(Analytic),
}

impl Timed {
    /// The state that an operator begins with, if it keeps any.
    pub(super) fn of(operator: &Operator) -> Option<Self> {
        match operator {
            Operator::WindowAggregate(aggregate) => Some(Self::Windows(Box::new(windows_of(aggregate)))),
            Operator::Analytic(analytic) => Some(Self::Analytic(Analytic::new(analytic))),
            _ => None,
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

    /// Adds rows that look back: their times, and all that is needed of them.
    pub(super) fn add_rows(&mut self, times: &[i64], inputs: &[ArrayRef]) -> Result<(), ExecuteError> {
        let Self::Analytic(analytic) = self else { return Ok(()) };
        analytic.add(times, inputs).map_err(|error| ExecuteError::TooLarge(error.to_string()))
    }

    /// What no further row can change, oldest first, each once.
    pub(super) fn close(&mut self, watermark: i64) -> Result<Vec<Closed>, ExecuteError> {
        match self {
            Self::Windows(windows) => {
                windows.close(watermark).map_err(|error| ExecuteError::TooLarge(error.to_string()))
            }
            Self::Analytic(analytic) => Ok(analytic.close(watermark)?),
        }
    }

    /// Whether what ends then has come at a watermark.
    pub(super) fn is_over(&self, end: i64, watermark: i64) -> bool {
        match self {
            Self::Windows(windows) => windows.is_over(end, watermark),
            Self::Analytic(_) => Analytic::is_over(end, watermark),
        }
    }

    /// Begins, without anything kept yet, with the first result that is not over at a watermark. Gives the time behind which
    /// rows are needed for it or for later ones; results that are over may come again.
    pub(super) fn begin_behind(&mut self, watermark: i64) -> i64 {
        match self {
            Self::Windows(windows) => windows.begin_behind(watermark),
            Self::Analytic(analytic) => analytic.begin_behind(watermark),
        }
    }

    /// Groups and rows that are kept.
    pub(super) fn groups(&self) -> usize {
        match self {
            Self::Windows(windows) => windows.groups(),
            Self::Analytic(analytic) => analytic.groups(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Windows(windows) => windows.write(writer),
            Self::Analytic(analytic) => analytic.write(writer),
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        match self {
            Self::Windows(windows) => windows.read(reader),
            Self::Analytic(analytic) => analytic.read(reader),
        }
    }
}

fn windows_of(aggregate: &WindowAggregate) -> Windows {
    let keys = aggregate.keys.iter().map(|key| key.data_type.clone()).collect();
    Windows::new(aggregate.window, keys, aggregate.aggregates.clone())
}
