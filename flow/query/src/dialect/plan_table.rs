//! `CREATE TABLE input (column type, …)`: what the query declares of an input's columns. Makes no table, as in the service.

use super::plan_program::Planner;
use super::syntax::{Ident, Statement, TypeName};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::types;
use crate::plan::{ColumnOrigin, Fit, SourceColumn};

/// What a query declares, by input.
#[derive(Default)]
pub(super) struct Tables(Vec<Table>);

struct Table {
    input: String,
    /// `None`: the declaration has mistakes, which were reported.
    columns: Option<Vec<SourceColumn>>,
}

impl Tables {
    /// The columns that are declared of an input, where any are. The outer `None`: they are with mistakes.
    pub(super) fn of(&self, input: &str) -> Option<Option<&[SourceColumn]>> {
        match self.find(input) {
            Some(table) => Some(Some(table.columns.as_deref()?)),
            None => Some(None),
        }
    }

    /// Notes the columns of an input; `None`: they have mistakes, which were reported.
    pub(super) fn declare(&mut self, input: &str, columns: Option<Vec<SourceColumn>>) {
        self.0.push(Table { input: input.to_owned(), columns });
    }

    fn find(&self, input: &str) -> Option<&Table> {
        self.0.iter().find(|table| table.input.eq_ignore_ascii_case(input))
    }
}

impl Planner<'_> {
    /// What the statements declare.
    pub(super) fn declared_tables(&mut self, statements: &[Statement]) -> Tables {
        let mut tables = Tables::default();
        for statement in statements {
            let Statement::CreateTable { name, columns } = statement else { continue };
            if tables.find(&name.text).is_some() {
                let message = format!("the columns of `{}` are declared twice", name.text);
                self.errors.push(PlanError::new(PlanErrorCode::Duplicate, name.at, message));
            } else if self.input(&name.text).is_none() {
                self.no_input(name, statements);
            }
            let columns = columns.iter().enumerate().map(|(position, column)| self.declared(position, column));
            let columns = columns.collect::<Result<_, _>>();
            let columns = columns.map_err(|error| self.errors.push(error)).ok();
            tables.0.push(Table { input: name.text.clone(), columns });
        }
        tables
    }

    fn declared(&self, position: usize, (name, column_type): &(Ident, TypeName)) -> Result<SourceColumn, PlanError> {
        let fit = match column_type.name.as_str() {
            "RECORD" => Fit::Record,
            "ARRAY" => Fit::Array,
            _ => Fit::Exact,
        };
        let data_type = types::of_name(self.dialect, column_type)?;
        let origin = ColumnOrigin::Field { path: vec![name.text.clone()], position };
        Ok(SourceColumn { name: name.text.clone(), data_type, origin, fit })
    }
}
