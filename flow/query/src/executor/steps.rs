//! What each step has done: rows in, rows out, what it keeps. Counted by batch, so it costs next to nothing.

use arrow::array::RecordBatch as ArrowBatch;

use super::Executor;
use super::timed::Timed;
use crate::explain::step_title;
use crate::join::StreamJoin;

/// What a step has done since its query started, and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepCounts {
    /// What it does, as a plan explains it.
    pub title: String,
    /// Rows that it took.
    pub rows_in: u64,
    /// Rows that it gave.
    pub rows_out: u64,
    /// Groups and rows that it keeps.
    pub kept: usize,
}

impl Executor {
    /// What each step has done, in the order of the plan.
    #[must_use]
    pub fn steps(&self) -> Vec<StepCounts> {
        let count = |(index, (rows_in, rows_out)): (usize, &(u64, u64))| StepCounts {
            title: step_title(&self.program, &self.program.steps[index]),
            rows_in: *rows_in,
            rows_out: *rows_out,
            kept: self.windows[index].as_ref().map_or(0, Timed::groups)
                + self.joins[index].as_ref().map_or(0, StreamJoin::rows),
        };
        self.passed.iter().enumerate().map(count).collect()
    }

    /// Counts what a step takes; what was handed on before is not counted again.
    pub(super) fn takes(&mut self, step: usize, rows: &ArrowBatch) {
        if !self.again {
            self.passed[step].0 += rows.num_rows() as u64;
        }
    }

    /// Counts what a step gives.
    pub(super) fn gives(&mut self, step: usize, rows: &ArrowBatch) {
        if !self.again {
            self.passed[step].1 += rows.num_rows() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::{EventOrder, QueryDialect, RecordFormat};
    use millstream_types::{EncodedRecords, RecordBatch};

    use super::*;
    use crate::decode::infer::columns_of;
    use crate::dialect::{InputSchema, plan};

    #[test]
    fn each_step_counts_what_it_takes_gives_and_keeps() {
        let dialect = QueryDialect::StreamAnalytics;
        let events = [r#"{"k":"a","v":1}"#, r#"{"k":"a","v":2}"#, r#"{"k":"b","v":3}"#];
        let columns = Some(columns_of(dialect, &RecordFormat::Json, events.map(str::as_bytes)));
        let input = InputSchema::new("events", columns);
        let sql = "WITH big AS (SELECT k, v FROM events WHERE v > 1)
            SELECT k, SUM(v) AS s INTO out FROM big GROUP BY k, TumblingWindow(minute, 1)";
        let program = plan(dialect, sql, &[input]).unwrap();
        let mut executor = Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1]);
        let mut encoded = EncodedRecords::default();
        events.iter().for_each(|event| encoded.push(b"", b"", event.as_bytes()));
        let (bytes, count) = encoded.freeze();
        executor.push(0, 0, &RecordBatch { base_offset: 0, count, append_time: 1_000, bytes }, 0).unwrap();
        let counted = |executor: &Executor| {
            let steps = executor.steps().into_iter();
            steps.map(|step| (step.title, step.rows_in, step.rows_out, step.kept)).collect::<Vec<_>>()
        };
        let windows = "step 1: tumbling windows of 1 min (start, end]".to_owned();
        let project = "step 0 (big): project".to_owned();
        assert_eq!(counted(&executor), [(project.clone(), 3, 2, 0), (windows.clone(), 2, 0, 2)]);
        executor.advance(Some(i64::MAX)).unwrap();
        assert_eq!(counted(&executor), [(project, 3, 2, 0), (windows, 2, 2, 0)]);
    }
}
