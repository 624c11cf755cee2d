//! Patterns of rows (`MATCH_RECOGNIZE`): rows go in, and for each match a row comes out once it is decided.
//!
//! Rows wait until the watermark has passed them, so that they come in the order of their times, and are then held against the
//! attempts of their key. Knows no SQL. Read next: `nodes.rs` (a pattern as an automaton), `attempt.rs` (what is followed).
//!
//! Which of several ways is preferred is as in ISO/IEC 19075-5, "Row pattern recognition in SQL"; the ways are followed side by
//! side after K. Thompson, "Regular expression search algorithm" (1968), in the order of preference.

mod attempt;
mod nodes;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, LargeStringArray, RecordBatch, TimestampMillisecondArray,
    new_null_array,
};
use arrow::datatypes::DataType;

use crate::executor::ExecuteError;
use crate::executor::evaluate::true_rows;
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{self, Condition, Kept, KeptOf, Skip, VALUE};
use crate::value::json::quoted;
use crate::waiting::{Due, KEPT_BYTES_MAX, Waiting};
use crate::window::key::{Builder, KeyEncoder, encode_exact};
use crate::window::{CLOSED_ROWS, Closed};
use attempt::{Attempts, Taken, WAYS_MAX, WAYS_OF_KEY_MAX};
use nodes::Nodes;

/// The key bytes of which a value is NULL.
const NULL: [u8; 1] = [0];

/// The state of one step.
pub(crate) struct PatternMatch {
    plan: Arc<plan::PatternMatch>,
    nodes: Nodes,
    /// The types of what is kept.
    kept: Vec<DataType>,
    /// What is kept of no rows.
    nothing: Taken,
    /// Rows with all that they need, as [`plan::PatternMatch::inputs`] gives it, until they are held against the attempts.
    waiting: Waiting,
    /// By key the attempts that are not decided.
    open: BTreeMap<Box<[u8]>, Attempts>,
    /// When the first attempt of each key ends.
    ends: BTreeSet<(i64, Box<[u8]>)>,
    /// What keys and attempts take.
    bytes: usize,
}

/// More is kept than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuch {
    #[error(
        "more than {} MiB are kept for a pattern of rows; let matches be shorter in time, keep fewer and shorter values, or begin the pattern with fewer rows",
        KEPT_BYTES_MAX / 1024 / 1024
    )]
    Bytes,
    #[error(
        "rows may match a pattern in more than {WAYS_MAX} ways from one row on; let conditions read fewer values of earlier rows, or the pattern have fewer choices"
    )]
    Ways,
    #[error(
        "more than {WAYS_OF_KEY_MAX} matches of one key are not decided yet; let matches be shorter in time, partition by more, or begin the pattern with fewer rows"
    )]
    WaysOfKey,
}

impl From<TooMuch> for ExecuteError {
    fn from(error: TooMuch) -> Self {
        Self::TooLarge(error.to_string())
    }
}

/// A row that is held against attempts.
pub(crate) struct Row<'r> {
    plan: &'r plan::PatternMatch,
    /// By variable whether the row alone is of it.
    holds: &'r [Option<&'r BooleanArray>],
    inputs: &'r [ArrayRef],
    row: usize,
    /// The values as bytes, once they are asked for.
    values: OnceCell<Vec<Arc<[u8]>>>,
}

/// Matches that are decided, with their times, and what went wrong.
#[derive(Default)]
struct Found {
    times: Vec<i64>,
    matches: Vec<Taken>,
    bytes: usize,
    errors: Vec<(i64, String)>,
}

impl Found {
    fn add(&mut self, time: i64, taken: Taken, plan: &plan::PatternMatch) {
        // A name stands in quotes and with a comma.
        let listed = |(variable, count): &(u32, u32)| {
            (plan.variables[*variable as usize].name.len() + 3).saturating_mul(*count as usize)
        };
        self.bytes += taken.bytes() + taken.variables.iter().map(listed).sum::<usize>();
        self.times.push(time);
        self.matches.push(taken);
    }
}

impl PatternMatch {
    pub(crate) fn new(plan: &plan::PatternMatch) -> Self {
        let empty: Arc<[u8]> = Arc::from([]);
        Self {
            nodes: Nodes::new(&plan.pattern),
            kept: plan.kept.iter().map(|kept| plan.values[kept.value].data_type.clone()).collect(),
            nothing: Taken { values: vec![empty; plan.kept.len()], variables: Vec::new() },
            plan: Arc::new(plan.clone()),
            waiting: Waiting::new(plan.inputs().into_iter().map(|input| input.data_type.clone()).collect()),
            open: BTreeMap::new(),
            ends: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Adds rows: their times, and the values of all inputs.
    pub(crate) fn add(&mut self, times: &[i64], inputs: &[ArrayRef]) -> Result<(), TooMuch> {
        self.waiting.add(times.iter().copied(), inputs);
        if self.waiting.bytes() > KEPT_BYTES_MAX { Err(TooMuch::Bytes) } else { Ok(()) }
    }

    /// The matches that are decided at a watermark, in the order of their times.
    pub(crate) fn close(&mut self, watermark: i64) -> Result<Vec<Closed>, ExecuteError> {
        let mut found = Found::default();
        while let Some(Due { times, columns }) = self.waiting.take_due(watermark, |rows, _| rows < CLOSED_ROWS) {
            self.search(&times, &columns, &mut found)?;
        }
        self.end_before(watermark, &mut found);
        if found.bytes > KEPT_BYTES_MAX {
            return Err(TooMuch::Bytes.into());
        }
        Ok(self.finish(found))
    }

    /// Holds rows, in the order of time, against the attempts of their keys.
    fn search(&mut self, times: &[i64], inputs: &[ArrayRef], found: &mut Found) -> Result<(), ExecuteError> {
        let (keys, inputs) = inputs.split_at(self.plan.partition_by.len());
        let (conditions, inputs) = inputs.split_at(inputs.len() - self.plan.values.len());
        let mut encoder = KeyEncoder::default();
        let keys = encoder.encode(keys, times.len());
        let plan = Arc::clone(&self.plan);
        let mut conditions = conditions.iter().map(|condition| condition.as_boolean());
        let holds: Vec<Option<&BooleanArray>> = plan
            .variables
            .iter()
            .map(|variable| match variable.condition {
                Condition::OfRow(_) => conditions.next(),
                Condition::Always | Condition::OfMatch(_) => None,
            })
            .collect();
        for (row, &time) in times.iter().enumerate() {
            // What ends with an instant does so before the rows of that instant.
            self.end_before(time.saturating_add(1), found);
            let of_key = Row { plan: &plan, holds: &holds, inputs, row, values: OnceCell::new() };
            self.step(keys.row(row), time, &of_key, found)?;
            if self.bytes > KEPT_BYTES_MAX || found.bytes > KEPT_BYTES_MAX {
                return Err(TooMuch::Bytes.into());
            }
        }
        Ok(())
    }

    /// Holds a row against the attempts of its key, of which one begins with it.
    fn step(&mut self, key: &[u8], time: i64, row: &Row, found: &mut Found) -> Result<(), ExecuteError> {
        let (key, mut attempts) = self.taken_out(key);
        let at = attempts.begin(time, &self.nodes, &self.nothing);
        let fits = self.fits(&attempts, time, row, &mut found.errors)?;
        attempts.advance(row, at, &fits, &self.nodes)?;
        attempts.settle(self.plan.skip, |taken| found.add(time, taken, &self.plan));
        self.put_back(key, attempts);
        Ok(())
    }

    /// For each way of a key's attempts, whether a row fits there.
    fn fits(
        &self,
        attempts: &Attempts,
        time: i64,
        row: &Row,
        errors: &mut Vec<(i64, String)>,
    ) -> Result<Vec<bool>, ExecuteError> {
        let mut fits = Vec::with_capacity(attempts.len());
        let mut asked: BTreeMap<usize, (Vec<usize>, Vec<Taken>)> = BTreeMap::new();
        for (place, taken) in attempts.ways() {
            let variable = self.nodes.variable(place);
            if let Condition::OfMatch(_) = self.plan.variables[variable].condition {
                let (ways, matches) = asked.entry(variable).or_default();
                ways.push(fits.len());
                matches.push(row.taken(variable, taken));
            }
            fits.push(row.is_of(variable));
        }
        for (variable, (ways, matches)) in asked {
            let Condition::OfMatch(condition) = &self.plan.variables[variable].condition else { continue };
            // No condition reads which kinds a match's rows are; written out they are long.
            let mut columns = self.columns(&matches, false);
            columns.push(Arc::new(TimestampMillisecondArray::from(vec![time; matches.len()])));
            let matches = RecordBatch::try_new(Arc::clone(&self.plan.schema), columns)?;
            let (is_true, failed) = true_rows(condition, &matches)?;
            // What is wrong with a row is told once, on however many ways it was looked at.
            errors.extend(failed.into_iter().next().map(|failure| (time, failure.reason)));
            ways.into_iter().zip(is_true).for_each(|(way, is_true)| fits[way] = is_true);
        }
        Ok(fits)
    }

    /// Ends the attempts whose time is over before an instant.
    fn end_before(&mut self, before: i64, found: &mut Found) {
        while let Some((end, _)) = self.ends.first()
            && *end < before
            && let Some((end, key)) = self.ends.pop_first()
        {
            let (key, mut attempts) = self.taken_out(&key);
            attempts.end(end, self.plan.within_ms);
            attempts.settle(self.plan.skip, |taken| found.add(end, taken, &self.plan));
            self.put_back(key, attempts);
        }
    }

    /// The attempts of a key, which are not counted until they are put back.
    fn taken_out(&mut self, key: &[u8]) -> (Box<[u8]>, Attempts) {
        let Some((key, attempts)) = self.open.remove_entry(key) else { return (key.into(), Attempts::default()) };
        self.bytes -= 2 * key.len() + attempts.bytes();
        let Some(end) = attempts.first_end(self.plan.within_ms) else { return (key, attempts) };
        let due = (end, key);
        self.ends.remove(&due);
        (due.1, attempts)
    }

    fn put_back(&mut self, key: Box<[u8]>, attempts: Attempts) {
        let Some(end) = attempts.first_end(self.plan.within_ms) else { return };
        self.bytes += 2 * key.len() + attempts.bytes();
        self.ends.insert((end, key.clone()));
        self.open.insert(key, attempts);
    }

    /// Matches as columns of the plan's schema, without their times.
    fn columns(&self, matches: &[Taken], lists: bool) -> Vec<ArrayRef> {
        let kept = self.kept.iter().enumerate().map(|(place, data_type)| {
            let mut builder = Builder::new(data_type);
            matches.iter().for_each(|taken| builder.take(&mut &*taken.values[place]));
            builder.finish()
        });
        let mut columns: Vec<ArrayRef> = kept.collect();
        columns.push(match lists {
            true => Arc::new(matches.iter().map(|taken| Some(self.listed(taken))).collect::<LargeStringArray>()),
            false => new_null_array(&VALUE, matches.len()),
        });
        columns
    }

    /// The kinds of a match's rows as a JSON array of their names.
    fn listed(&self, taken: &Taken) -> String {
        let mut json = String::from("[");
        for (variable, count) in &taken.variables {
            let name = quoted(&self.plan.variables[*variable as usize].name);
            for _ in 0..*count {
                if json.len() > 1 {
                    json.push(',');
                }
                json.push_str(&name);
            }
        }
        json.push(']');
        json
    }

    /// Matches in parts that are handed on together.
    fn finish(&self, found: Found) -> Vec<Closed> {
        let mut errors = found.errors;
        let part = |(times, matches): (&[i64], &[Taken])| Closed {
            starts: times.to_vec(),
            ends: times.to_vec(),
            columns: self.columns(matches, self.plan.lists_variables),
            errors: Vec::new(),
            stops: None,
        };
        let parts = found.times.chunks(CLOSED_ROWS).zip(found.matches.chunks(CLOSED_ROWS));
        let mut closed: Vec<Closed> = parts.map(part).collect();
        if let Some(first) = closed.first_mut() {
            first.errors.append(&mut errors);
        } else if !errors.is_empty() {
            closed.push(Closed {
                starts: Vec::new(),
                ends: Vec::new(),
                columns: self.columns(&[], false),
                errors,
                stops: None,
            });
        }
        closed
    }

    /// Gives the time behind which rows are needed for the matches that are not decided at a watermark.
    pub(crate) fn begin_behind(&self, watermark: i64) -> i64 {
        match self.plan.skip {
            Skip::ToNextRow => watermark.saturating_sub(self.plan.within_ms).saturating_sub(2),
            // Where a match may begin hangs on all matches before.
            Skip::PastLastRow => i64::MIN,
        }
    }

    /// Rows that wait, and attempts.
    pub(crate) fn groups(&self) -> usize {
        self.waiting.rows() + self.open.values().map(Attempts::len).sum::<usize>()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        self.waiting.write(writer);
        writer.count(self.open.len());
        for (key, attempts) in &self.open {
            writer.bytes(key);
            attempts.write(writer);
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.waiting.read(reader)?;
        self.open.clear();
        self.ends.clear();
        self.bytes = 0;
        for _ in 0..reader.count()? {
            let key = reader.bytes()?.into();
            let attempts = Attempts::read(&self.nodes, self.plan.kept.len(), reader)?;
            self.put_back(key, attempts);
        }
        Ok(())
    }
}

impl Row<'_> {
    /// Whether it is of a kind, as far as that hangs on the row alone.
    fn is_of(&self, variable: usize) -> bool {
        match (&self.plan.variables[variable].condition, self.holds[variable]) {
            (Condition::Always, _) => true,
            (Condition::OfRow(_), Some(holds)) => holds.is_valid(self.row) && holds.value(self.row),
            (Condition::OfRow(_) | Condition::OfMatch(_), _) => false,
        }
    }

    fn kept(&self) -> &[Kept] {
        &self.plan.kept
    }

    /// What is kept of a match with this row behind it, as one of a kind.
    fn taken(&self, variable: usize, before: &Taken) -> Taken {
        let mut taken = before.clone();
        let of_kind = |(kept, _): &(&Kept, &mut Arc<[u8]>)| kept.variable == variable;
        for (kept, value) in self.plan.kept.iter().zip(&mut taken.values).filter(of_kind) {
            let own = &self.values()[kept.value];
            let takes = match kept.of {
                KeptOf::First => value.is_empty(),
                KeptOf::Last => true,
                KeptOf::Least => **own != NULL && (value.is_empty() || own < value),
                KeptOf::Greatest => **own != NULL && own > value,
            };
            if takes {
                *value = Arc::clone(own);
            }
        }
        if self.plan.lists_variables {
            match taken.variables.last_mut() {
                Some((last, count)) if *last as usize == variable => *count += 1,
                _ => taken.variables.push((variable as u32, 1)),
            }
        }
        taken
    }

    fn values(&self) -> &[Arc<[u8]>] {
        let encoded = |input: &ArrayRef| {
            let mut bytes = Vec::new();
            encode_exact(input, self.row, &mut bytes);
            bytes.into()
        };
        self.values.get_or_init(|| self.inputs.iter().map(encoded).collect())
    }
}
