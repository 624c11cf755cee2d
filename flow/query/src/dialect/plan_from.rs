//! What a `SELECT` reads: one source with what `APPLY` makes of it, or several that are joined one after the other.

use super::plan_join::{self, Right};
use super::plan_program::Planner;
use super::plan_select::keep;
use super::source::source;
use super::syntax::{From, JoinClause, Select, Statement};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::RowScope;
use crate::plan::StepInput;

impl Planner<'_> {
    /// What a `SELECT` reads: a source, or a step that joins several.
    pub(super) fn joined(&mut self, select: &Select, statements: &[Statement]) -> Option<(StepInput, RowScope)> {
        let left = self.relation(&select.from, statements);
        let left = left.and_then(|read| self.applied(read, &select.from.applies));
        let left = left.and_then(|read| self.recognized(read, &select.from));
        let right = |join: &JoinClause| self.right(&join.right, statements);
        let rights: Vec<_> = select.from.joins.iter().map(right).collect();
        if let (Some(_), Some(Some((Right::Table(_), _)))) = (&select.from.over, rights.first()) {
            let message = "a window says which rows are joined with others that come, and these are reference data";
            self.errors.push(PlanError::new(PlanErrorCode::Window, select.from.name.at, message).hint("leave it out"));
        }
        let mut rows = left?;
        for (place, right) in rights.into_iter().enumerate() {
            let (right, scope) = right?;
            let joined = plan_join::join(self.sql, select, place, [&rows.1, &scope], right, &mut self.errors)?;
            let inputs = match right {
                Right::Rows(right) => vec![rows.0, right],
                Right::Table(_) => vec![rows.0],
            };
            let step = self.step(inputs, joined.operator, joined.schema);
            rows = (StepInput::Step(step), joined.scope);
        }
        Some(rows)
    }

    /// What stands on the right of a join.
    fn right(&mut self, from: &From, statements: &[Statement]) -> Option<(Right, RowScope)> {
        if let Some(apply) = from.applies.first() {
            let message = "not supported yet: APPLY of what stands on the right of a join";
            let error = PlanError::new(PlanErrorCode::NotSupported, apply.function.at, message);
            self.errors.push(error.hint("WITH step AS (SELECT … FROM source CROSS APPLY …)"));
        }
        let named = self.input(&from.name.text).filter(|input| input.reference);
        let Some(input) = named else {
            return self.relation(from, statements).map(|(input, scope)| (Right::Rows(input), scope));
        };
        if let Some(at) = from.timestamp_by.as_ref().map(|time| time.at).or(from.over.as_ref().map(|_| from.name.at)) {
            let message = format!("`{}` is reference data, whose rows have no time", from.name.text);
            self.errors.push(PlanError::new(PlanErrorCode::Syntax, at, message));
        }
        if let Some(timeline) = self.timeline() {
            let message = "not supported: reference data beside timelines of their own (OVER behind TIMESTAMP BY)";
            self.errors.push(PlanError::new(
                PlanErrorCode::NotSupported,
                from.name.at,
                format!("{message}: `{timeline}`"),
            ));
        }
        let known = self.references.iter().position(|(plan, _)| plan.name == input.name);
        let index = match known {
            Some(index) => index,
            None => {
                let read = source(self.dialect, input, self.tables.of(&input.name)?);
                self.references.push(keep(read, &mut self.errors)?);
                self.references.len() - 1
            }
        };
        let mut scope = self.references[index].1.clone();
        scope.qualifiers.extend(from.alias.iter().map(|alias| alias.text.clone()));
        Some((Right::Table(index), scope))
    }
}
