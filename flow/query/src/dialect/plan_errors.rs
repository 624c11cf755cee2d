//! `FROM error_stream`: which pumps read what goes wrong, and the step that holds it.
//!
//! All pumps that do not read it, however many streams are between, are planned first: what goes wrong in them is told. What goes
//! wrong in the others is not, it would be told of itself.

use std::collections::BTreeSet;

use super::plan_program::Planner;
use super::syntax::{From, Inner, Query, Statement};
use crate::plan::{ERROR_STREAM, Operator, StepInput, error_schema, is_error_stream};

impl Planner<'_> {
    /// Plans the pumps that the error stream tells of, and the step that holds it, where a pump reads it.
    pub(super) fn errors_first(&mut self, statements: &[Statement]) {
        let reading = self.reading_errors(statements);
        if reading.is_empty() {
            return;
        }
        for (place, statement) in statements.iter().enumerate() {
            if matches!(statement, Statement::CreatePump { .. }) && !reading.contains(&place) {
                self.pump(place, statements);
            }
        }
        let inputs = (0..self.steps.len()).map(StepInput::Step).collect();
        let step = self.step(inputs, Operator::Errors, error_schema());
        self.steps[step].name = Some(ERROR_STREAM.to_owned());
        self.error_step = Some(step);
    }

    /// The places of the pumps that read the error stream, over any number of streams.
    fn reading_errors(&self, statements: &[Statement]) -> BTreeSet<usize> {
        let own = |name: &str| {
            let created = |statement: &Statement| matches!(statement, Statement::CreateStream { name: own, .. } if own.text == name);
            self.input(name).is_some() || statements.iter().any(created)
        };
        let pumps: Vec<(usize, &str, Vec<&str>)> = statements.iter().enumerate().filter_map(pump).collect();
        let (mut streams, mut reading) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let known = reading.len();
            for (place, target, sources) in &pumps {
                let reads = |name: &&str| streams.contains(name) || (is_error_stream(self.dialect, name) && !own(name));
                if !reading.contains(place) && sources.iter().any(reads) {
                    reading.insert(*place);
                    streams.insert(*target);
                }
            }
            if reading.len() == known {
                return reading;
            }
        }
    }
}

/// Where a pump stands, the stream that it writes into, and what it reads.
fn pump((place, statement): (usize, &Statement)) -> Option<(usize, &str, Vec<&str>)> {
    let Statement::CreatePump { target, query, .. } = statement else { return None };
    let mut sources = Vec::new();
    note(query, &mut sources);
    Some((place, &target.text, sources))
}

/// Notes the names of all that a query reads, those inside of `FROM` too.
fn note<'s>(query: &'s Query, sources: &mut Vec<&'s str>) {
    for select in &query.selects {
        let joined = select.from.joins.iter().map(|join| &join.right);
        for from in std::iter::once(&select.from).chain(joined) {
            note_source(from, sources);
        }
    }
}

fn note_source<'s>(from: &'s From, sources: &mut Vec<&'s str>) {
    match from.inner.as_deref() {
        None => sources.push(&from.name.text),
        Some(Inner::Query(query) | Inner::Table { cursor: query, .. }) => note(query, sources),
    }
}
