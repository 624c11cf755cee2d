//! Time passes: windows end, joins decide, and what comes of it flows on, each of it to each output once.
//!
//! A join, or windows that are over at once, may give much. They then give a part, the steps behind follow as far as it has come, and the
//! next call goes on there. Read next: [`super::replay`], where a plan takes over from one that had handed on a part of what it gives.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::Room;
use super::timed::Timed;
use super::{ExecuteError, Executor, Produced};
use crate::join::Candidates;
use crate::plan::{Operator, Program, StepInput};
use crate::window::Closed;

/// As many candidates of a join are enough for one call of [`Executor::advance_some`].
const ENOUGH: usize = 65_536;
/// So are as many bytes of their rows' values.
const ENOUGH_BYTES: usize = 2 << 20;

/// What a step handed on before: by the time before which all was handed on, the outputs to which it was.
pub(super) type Handed = BTreeMap<i64, Vec<usize>>;

/// The steps that wait for time to pass whose rows an output holds as they come or after steps that keep nothing.
fn origins(program: &Program, output: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut left: BTreeSet<usize> = program.outputs[output].step.into_iter().collect();
    // The last first: all that read a step come behind it, so each is looked at once.
    while let Some(step) = left.pop_last() {
        let plan = &program.steps[step];
        if matches!(plan.operator, Operator::Join(_)) || Timed::waits(&plan.operator) {
            found.insert(step);
            continue;
        }
        left.extend(plan.inputs.iter().filter_map(|input| match input {
            StepInput::Step(before) => Some(*before),
            StepInput::Source(_) => None,
        }));
    }
    found
}

/// By step, what had been handed on at a watermark: by output in the order of its steps where that is known of it, else as this
/// plan would have.
pub(super) fn handed(
    program: &Program,
    delays: &[i64],
    watermark: i64,
    known: &BTreeMap<String, Vec<i64>>,
) -> Vec<Handed> {
    let mut handed = vec![Handed::new(); program.steps.len()];
    for (output, plan) in program.outputs.iter().enumerate() {
        let origins = origins(program, output);
        let known = known.get(&plan.name).filter(|times| times.len() == origins.len());
        for (place, step) in origins.into_iter().enumerate() {
            let as_this_plan = watermark.saturating_sub(delays[step]);
            let time = known.and_then(|times| times.get(place)).copied().unwrap_or(as_this_plan);
            handed[step].entry(time).or_default().push(output);
        }
    }
    for (handed, delay) in handed.iter_mut().zip(delays).filter(|(handed, _)| handed.is_empty()) {
        handed.insert(watermark.saturating_sub(*delay), Vec::new());
    }
    handed
}

impl Executor {
    /// Gives the rows of all windows that are over by the watermark, or by `until` if that is later: the end of a sample. So
    /// it is with the pairs of joins.
    ///
    /// # Errors
    /// [`ExecuteError`]: the query cannot go on.
    pub fn advance(&mut self, until: Option<i64>) -> Result<Produced, ExecuteError> {
        let mut produced = Produced::default();
        loop {
            let (some, more) = self.advance_some(until)?;
            produced.extend(some);
            if !more {
                return Ok(produced);
            }
        }
    }

    /// The same, but only a part where joins or windows give much; says whether there is more.
    pub(crate) fn advance_some(&mut self, until: Option<i64>) -> Result<(Produced, bool), ExecuteError> {
        self.begin_read();
        let watermark = self.watermark().max(until.unwrap_or(i64::MIN));
        let mut time = watermark;
        for step in 0..self.program.steps.len() {
            // What is given waits in the steps behind: a step goes on when those have come as far as it has.
            if self.times[step..].iter().any(|behind| *behind < self.times[step]) {
                time = time.min(self.times[step]);
                continue;
            }
            let delay = self.delays[step];
            time = time.min(self.join_until(step, time.saturating_sub(delay))?.saturating_add(delay));
            time = time.min(self.close_until(step, time.saturating_sub(delay))?.saturating_add(delay));
            self.times[step] = self.times[step].max(time);
        }
        Ok((self.take(), time < watermark))
    }

    /// How far time has come in all steps.
    pub(crate) fn advanced(&self) -> i64 {
        self.times.iter().copied().min().unwrap_or_else(|| self.watermark())
    }

    /// By output the times before which everything was handed on to it, in the order of the steps that it came from.
    pub(crate) fn given(&self) -> BTreeMap<String, Vec<i64>> {
        let of_output = |(output, plan): (usize, &crate::plan::OutputPlan)| {
            let of_step = |step: usize| {
                let now = self.times[step].saturating_sub(self.delays[step]);
                let before = self.handed[step].iter().rfind(|(_, outputs)| outputs.contains(&output));
                before.map_or(now, |(time, _)| now.max(*time))
            };
            (plan.name.clone(), origins(&self.program, output).into_iter().map(of_step).collect())
        };
        self.program.outputs.iter().enumerate().map(of_output).collect()
    }

    /// Gives what a join has decided before a time, or a part of that; tells before which time.
    fn join_until(&mut self, step: usize, reached: i64) -> Result<i64, ExecuteError> {
        let (mut count, mut bytes) = (0, 0);
        loop {
            let Some(join) = &mut self.joins[step] else { return Ok(reached) };
            if count >= ENOUGH || bytes >= ENOUGH_BYTES {
                return Ok(join.done().min(reached));
            }
            let next = join.next(reached).map_err(|error| ExecuteError::TooLarge(error.to_string()))?;
            let Some(candidates) = next else { return Ok(reached) };
            count += candidates.len();
            bytes += candidates.bytes();
            self.decided(step, &candidates)?;
        }
    }

    fn decided(&mut self, step: usize, candidates: &Candidates) -> Result<(), ExecuteError> {
        let mut from = 0;
        for time in self.handed_times(step) {
            let to = candidates.before(time).max(from);
            self.handed_before(step, time, |executor| executor.joined(step, candidates, from..to))?;
            from = to;
        }
        self.joined(step, candidates, from..candidates.len())
    }

    /// Gives the windows of a step that are over at a time, or what else has waited for it, or a part of that; tells at which time
    /// that part is all.
    fn close_until(&mut self, step: usize, reached: i64) -> Result<i64, ExecuteError> {
        let Some(windows) = &mut self.windows[step] else { return Ok(reached) };
        let (closed, reached) = windows.close(reached)?;
        for closed in closed {
            // What comes of one window does not hang on how many end together.
            self.apply_room = Room::default();
            self.over(step, closed)?;
        }
        Ok(reached)
    }

    fn over(&mut self, step: usize, mut rest: Closed) -> Result<(), ExecuteError> {
        let times = self.handed_times(step);
        for time in times {
            let Some(windows) = &self.windows[step] else { return Ok(()) };
            let (before, behind) = rest.split(|end| windows.is_over(end, time));
            rest = behind;
            if !before.is_empty() {
                self.handed_before(step, time, |executor| executor.closed(step, before))?;
            }
        }
        self.closed(step, rest)
    }

    fn handed_times(&self, step: usize) -> Vec<i64> {
        self.handed[step].keys().copied().collect()
    }

    /// Lets flow what a step gives before a time: not to the outputs that had it before.
    fn handed_before(
        &mut self,
        step: usize,
        time: i64,
        flow: impl FnOnce(&mut Self) -> Result<(), ExecuteError>,
    ) -> Result<(), ExecuteError> {
        if self.handed[step].range(..time).next().is_none() {
            return self.again(true, flow);
        }
        self.withheld = self.handed[step].range(time..).flat_map(|(_, outputs)| outputs).copied().collect();
        let flowed = flow(self);
        self.withheld.clear();
        flowed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millstream_catalog::{ColumnDefinition, ColumnType, EventOrder, QueryDialect, RecordFormat};
    use millstream_types::{EncodedRecords, RecordBatch};

    use super::{ENOUGH, Executor, Produced};
    use crate::dialect::{InputSchema, plan};

    const ROWS: u64 = 500;

    fn executor() -> Executor {
        let sql = "WITH p AS (SELECT a.n FROM i a JOIN i b ON DATEDIFF(hour, a, b) BETWEEN -1 AND 1)
            SELECT n INTO pairs FROM p;
            SELECT COUNT(*) AS n INTO sums FROM p GROUP BY TumblingWindow(second, 1)";
        let column = ColumnDefinition::new("n", ColumnType::BigInt);
        let input = InputSchema::new("i", Some(vec![column]));
        let program = plan(QueryDialect::StreamAnalytics, sql, &[input]).unwrap();
        Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1])
    }

    fn note(produced: &Produced, rows: &mut BTreeMap<(usize, i64), usize>) {
        for (output, batch) in &produced.rows {
            super::super::rowtimes(batch).iter().for_each(|time| *rows.entry((*output, *time)).or_default() += 1);
        }
    }

    /// Millions of pairs that are decided at once are given in parts, each of which may be the last before a crash.
    #[test]
    fn what_a_join_gives_at_once_comes_in_parts() {
        let (mut executor_now, mut found, mut parts) = (executor(), BTreeMap::new(), 0);
        for row in 0..ROWS {
            let mut records = EncodedRecords::default();
            records.push(b"", b"", format!("{{\"n\":{row}}}").as_bytes());
            let (bytes, count) = records.freeze();
            let append_time = 1_700_000_000_000 + row as i64 * 10;
            let batch = RecordBatch { base_offset: row, count, append_time, bytes };
            executor_now.push(0, 0, &batch, 0).unwrap();
        }
        executor_now.caught_up(0, 0, 1_700_000_060_000);
        loop {
            let (some, more) = executor_now.advance_some(None).unwrap();
            note(&some, &mut found);
            parts += 1;
            if !more {
                break;
            }
            let (snapshot, emitted, given) = (executor_now.snapshot(), executor_now.advanced(), executor_now.given());
            executor_now = executor();
            executor_now.restore(&snapshot).unwrap();
            executor_now.resume(emitted, vec![vec![ROWS]], &given);
        }
        let total = (ROWS * ROWS) as usize;
        assert!(parts > total / (2 * ENOUGH), "{parts}");
        let of = |output| found.iter().filter(move |((of, _), _)| *of == output).map(|(_, count)| *count);
        assert_eq!(of(0).sum::<usize>(), total);
        assert_eq!(of(1).collect::<Vec<_>>(), [1; 6], "each window once");
    }

    /// Hopping windows of a value of a mebibyte, all over at once, are given in parts; each may be the last before a crash.
    #[test]
    fn windows_that_give_much_at_once_come_in_parts() {
        for (window, rows) in [("HoppingWindow(second, 80, 1)", 80), ("SlidingWindow(second, 300)", 21)] {
            let sql = format!(
                "WITH c AS (SELECT Collect(REPLICATE('x', 1048576)) AS c FROM i GROUP BY {window})
                 SELECT GetArrayLength(c) AS n INTO lengths FROM c;
                 SELECT COUNT(*) AS n INTO sums FROM c GROUP BY TumblingWindow(hour, 1)"
            );
            let executor = || {
                let input = InputSchema::new("i", Some(vec![ColumnDefinition::new("n", ColumnType::BigInt)]));
                let program = plan(QueryDialect::StreamAnalytics, &sql, &[input]).unwrap();
                Executor::new(program, EventOrder::default(), &[RecordFormat::Json], &[1])
            };
            let (mut executor_now, mut found, mut parts) = (executor(), BTreeMap::new(), 0);
            let count = if rows == 80 { 1 } else { 11 };
            for row in 0..count {
                let mut records = EncodedRecords::default();
                records.push(b"", b"", b"{}");
                let (bytes, count) = records.freeze();
                let append_time = 1_700_000_000_000 + row as i64 * 1_000;
                executor_now.push(0, 0, &RecordBatch { base_offset: row, count, append_time, bytes }, 0).unwrap();
            }
            executor_now.caught_up(0, 0, 1_700_010_000_000);
            loop {
                let (some, more) = executor_now.advance_some(None).unwrap();
                assert!(some.bytes() < 1 << 20, "{window}: what is given flows on part by part");
                note(&some, &mut found);
                parts += 1;
                if !more {
                    break;
                }
                let (snapshot, emitted, given) =
                    (executor_now.snapshot(), executor_now.advanced(), executor_now.given());
                executor_now = executor();
                executor_now.restore(&snapshot).unwrap();
                executor_now.resume(emitted, vec![vec![count]], &given);
            }
            assert!(parts > 2, "{window}: {parts}");
            let of = |output| found.iter().filter(move |((of, _), _)| *of == output).map(|(_, count)| *count);
            assert_eq!((of(0).sum::<usize>(), of(0).max()), (rows, Some(1)), "{window}: each window once");
            assert_eq!(of(1).collect::<Vec<_>>(), [1], "{window}");
        }
    }
}
