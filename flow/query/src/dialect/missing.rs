//! Names that stand where an input or a stream does, and are none: what is said of them.

use millstream_catalog::QueryDialect;

use super::plan_program::Planner;
use super::syntax::{Ident, Statement};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::suggest::nearest;

impl Planner<'_> {
    /// Notes a name that stands where an input does and is none.
    pub(super) fn no_input(&mut self, name: &Ident, statements: &[Statement]) {
        let error = self.unknown_stream(name, statements);
        self.errors.push(error);
        if !self.missing.contains(&name.text) {
            self.missing.push(name.text.clone());
        }
    }

    /// The names that stand where inputs do and are none.
    pub(super) fn missing(self) -> Vec<String> {
        self.missing
    }

    pub(super) fn unknown_stream(&self, name: &Ident, statements: &[Statement]) -> PlanError {
        let message = format!("there is no stream or input `{}`", name.text);
        let error = PlanError::new(PlanErrorCode::UnknownStream, name.at, message);
        let declared = statements.iter().filter_map(|statement| match statement {
            Statement::CreateStream { name, .. } | Statement::With { name, .. } => Some(name.text.as_str()),
            _ => None,
        });
        let known: Vec<&str> = self.inputs.iter().map(|input| input.name.as_str()).chain(declared).collect();
        match (nearest(&name.text, known.iter().copied()), self.dialect) {
            (Some(near), QueryDialect::Kinesis) => error.hint(format!("\"{near}\"")),
            (Some(near), QueryDialect::StreamAnalytics) => error.hint(near),
            (None, _) if known.is_empty() => error,
            (None, _) => error.hint(format!("one of {}", known.join(", "))),
        }
    }
}
