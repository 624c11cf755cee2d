//! Joins with reference data at work: each row beside the table's rows that it matches. Nothing is kept of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch as ArrowBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use super::evaluate::{by_row, true_rows, values};
use super::{ExecuteError, Executor, rowtimes};
use crate::join::table::Table;
use crate::plan::{Lookup, Operator, Program};

/// The most results of one batch of rows: they are in memory at once.
const RESULTS_MAX: usize = 2_000_000;

/// As many results become columns together: each may have long values.
pub(crate) const TOGETHER: usize = 4_096;

/// Places of rows that belong together: of the input, and of the table where there is a match.
#[derive(Default)]
struct Pairs {
    rows: Vec<u32>,
    matches: Vec<Option<u32>>,
}

/// Per step its tables, if it looks rows up.
pub(crate) type Tables = Vec<Option<Versions>>;

/// A table by the time from which on each version of it counts, ascending. The first counts for what is earlier, too.
#[derive(Clone, Default)]
pub(crate) struct Versions(Vec<(i64, Arc<Table>)>);

impl Versions {
    /// The version that counts at a time.
    fn place(&self, time: i64) -> usize {
        self.0.partition_point(|(from, _)| *from <= time).saturating_sub(1)
    }
}

/// The tables of a program's steps, from the rows of each version of each of its references. Takes its time.
pub(crate) fn tables(program: &Program, references: &[Vec<(i64, ArrowBatch)>]) -> Result<Tables, ExecuteError> {
    let versions = |operator: &Operator| {
        let Operator::Lookup(lookup) = operator else { return Ok(None) };
        let missing = || ExecuteError::Plan("the rows of its reference data are missing".to_owned());
        let versions = references.get(lookup.reference).ok_or_else(missing)?;
        let version = |(from, rows): &(i64, ArrowBatch)| Ok((*from, Arc::new(table(program, lookup, rows)?)));
        let versions: Vec<_> = versions.iter().map(version).collect::<Result<_, ExecuteError>>()?;
        Ok(Some(Versions(versions)))
    };
    program.steps.iter().map(|step| versions(&step.operator)).collect()
}

fn table(program: &Program, lookup: &Lookup, rows: &ArrowBatch) -> Result<Table, ExecuteError> {
    let side = &lookup.sides[1];
    let wanted = side.values();
    let (_, made, failed) = by_row(rows, |rows| values(&wanted, rows))?;
    if let Some(reason) = failed.into_iter().next().map(|failure| failure.reason) {
        return Err(ExecuteError::Reference { name: program.references[lookup.reference].name.clone(), reason });
    }
    let (keys, columns) = made.columns()[..wanted.len()].split_at(side.keys.len());
    Ok(Table::new(keys, columns.to_vec(), made.num_rows()))
}

impl Executor {
    /// Gives the steps that look rows up their tables, before any rows come.
    #[must_use]
    pub(crate) fn with_tables(self, tables: Tables) -> Self {
        Self { tables, ..self }
    }

    /// Adds versions that begin behind those that the steps have.
    pub(crate) fn add_tables(&mut self, newer: Tables) {
        for (versions, newer) in self.tables.iter_mut().zip(newer) {
            if let (Some(versions), Some(newer)) = (versions, newer) {
                versions.0.extend(newer.0);
            }
        }
    }

    /// The time from which on rows may still come to steps that look rows up.
    pub(crate) fn looked_up_from(&self) -> i64 {
        let steps = self.tables.iter().enumerate().filter(|(_, versions)| versions.is_some());
        steps.map(|(step, _)| self.times[step].saturating_sub(self.delays[step])).min().unwrap_or(i64::MIN)
    }

    /// Forgets versions that do not count any more at a time, nor later.
    pub(crate) fn forget_tables(&mut self, time: i64) {
        for versions in self.tables.iter_mut().flatten() {
            versions.0.drain(..versions.place(time));
        }
    }

    /// Hands on rows with what they match in the version that counts at their times.
    pub(super) fn look_up(
        &mut self,
        step: usize,
        lookup: &Lookup,
        schema: &SchemaRef,
        rows: &ArrowBatch,
    ) -> Result<(), ExecuteError> {
        let Some(versions) = self.tables.get(step).cloned().flatten().filter(|versions| !versions.0.is_empty()) else {
            return Err(ExecuteError::Plan("its reference data are not loaded".to_owned()));
        };
        let times = rowtimes(rows);
        let mut begin = 0;
        // Neighbours of one version are looked up together: the order of rows stays.
        for together in times.chunk_by(|before, next| versions.place(*before) == versions.place(*next)) {
            let (_, table) = &versions.0[versions.place(together[0])];
            self.look_up_in(table, step, lookup, schema, &rows.slice(begin, together.len()))?;
            begin += together.len();
        }
        Ok(())
    }

    /// Hands on rows with what they match in a table.
    fn look_up_in(
        &mut self,
        table: &Table,
        step: usize,
        lookup: &Lookup,
        schema: &SchemaRef,
        rows: &ArrowBatch,
    ) -> Result<(), ExecuteError> {
        let side = &lookup.sides[0];
        let wanted = side.values();
        let (_, inputs, failed) = by_row(rows, |rows| values(&wanted, rows))?;
        self.failed(step, rows, &failed)?;
        let keys = &inputs.columns()[..side.keys.len()];
        let mut pairs = Pairs::default();
        table.each_match(keys, inputs.num_rows(), |row, found| {
            if pairs.rows.len() <= RESULTS_MAX {
                found.iter().for_each(|place| pairs.push(row as u32, Some(*place)));
            }
        });
        if pairs.rows.len() > RESULTS_MAX {
            let message = format!(
                "rows that were read together match more than {RESULTS_MAX} rows of reference data; compare more columns in ON"
            );
            return Err(ExecuteError::TooLarge(message));
        }
        if let Some(predicate) = &lookup.predicate {
            let mut kept = Vec::with_capacity(pairs.rows.len());
            for piece in pairs.pieces() {
                let joined = piece.joined(&inputs, side.keys.len(), table, schema)?;
                let (is_true, failed) = true_rows(predicate, &joined)?;
                self.failed(step, &joined, &failed)?;
                kept.extend(is_true);
            }
            pairs = pairs.only(&kept);
        }
        if side.unmatched_ms.is_some() {
            pairs = pairs.with_unmatched(inputs.num_rows());
        }
        for piece in pairs.pieces() {
            let joined = piece.joined(&inputs, side.keys.len(), table, schema)?;
            self.give(step, &joined)?;
        }
        Ok(())
    }
}

impl Pairs {
    fn push(&mut self, row: u32, found: Option<u32>) {
        self.rows.push(row);
        self.matches.push(found);
    }

    /// The same in pieces of [`TOGETHER`].
    fn pieces(&self) -> impl Iterator<Item = Self> {
        let pieces = self.rows.chunks(TOGETHER).zip(self.matches.chunks(TOGETHER));
        pieces.map(|(rows, matches)| Self { rows: rows.to_vec(), matches: matches.to_vec() })
    }

    /// Those for which `kept` is true.
    fn only(&self, kept: &[bool]) -> Self {
        let mut only = Self::default();
        for ((row, found), _) in self.rows.iter().zip(&self.matches).zip(kept).filter(|(_, kept)| **kept) {
            only.push(*row, *found);
        }
        only
    }

    /// The same with each of `count` rows that has no match, at its place.
    fn with_unmatched(&self, count: usize) -> Self {
        let (mut all, mut next) = (Self::default(), 0);
        for row in 0..count as u32 {
            let before = next;
            while self.rows.get(next) == Some(&row) {
                all.push(row, self.matches[next]);
                next += 1;
            }
            if next == before {
                all.push(row, None);
            }
        }
        all
    }

    /// The columns of both with the row's time. Of `inputs` the first are keys and the last is the time.
    fn joined(
        &self,
        inputs: &ArrowBatch,
        keys: usize,
        table: &Table,
        schema: &SchemaRef,
    ) -> Result<ArrowBatch, ExecuteError> {
        let (rows, matches) = (UInt32Array::from(self.rows.clone()), UInt32Array::from(self.matches.clone()));
        let (time, columns) =
            inputs.columns()[keys..].split_last().ok_or_else(|| ExecuteError::Plan("rows have no time".to_owned()))?;
        let own = columns.iter().map(|column| take(column, &rows, None));
        let found = table.columns().iter().map(|column| take(column, &matches, None));
        let columns: Vec<ArrayRef> = own.chain(found).chain([take(time, &rows, None)]).collect::<Result<_, _>>()?;
        Ok(ArrowBatch::try_new(Arc::clone(schema), columns)?)
    }
}
