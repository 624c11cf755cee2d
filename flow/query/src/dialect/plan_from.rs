//! What a `SELECT` reads: one source with what `APPLY` makes of it, or several that are joined one after the other.

use std::sync::Arc;

use millstream_catalog::QueryDialect;

use super::plan_analytic::analytic;
use super::plan_join::{self, Right};
use super::plan_program::Planner;
use super::plan_select::keep;
use super::source::source;
use super::syntax::{From, JoinClause, Select, Statement};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::RowScope;
use crate::plan::{Operator, StepInput};

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
        let mut rights = rights.into_iter().collect::<Option<Vec<_>>>()?;
        if self.dialect == QueryDialect::StreamAnalytics && !rights.is_empty() {
            rows = self.each_looked_back(select, rows, &mut rights);
        }
        for (place, (right, scope)) in rights.into_iter().enumerate() {
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

    /// What is joined, behind the steps in which functions look back in each of the sources: these come before the join.
    fn each_looked_back(
        &mut self,
        select: &Select,
        left: (StepInput, RowScope),
        rights: &mut [(Right, RowScope)],
    ) -> (StepInput, RowScope) {
        let scopes = std::iter::once(&left.1).chain(rights.iter().map(|(_, scope)| scope));
        let names: Vec<String> = scopes.map(|scope| scope.name().to_owned()).collect();
        for (right, scope) in rights {
            if let Right::Rows(input) = right {
                (*input, *scope) = self.one_looked_back(select, (*input, scope.clone()), &names);
            }
        }
        self.one_looked_back(select, left, &names)
    }

    fn one_looked_back(
        &mut self,
        select: &Select,
        (input, scope): (StepInput, RowScope),
        joined: &[String],
    ) -> (StepInput, RowScope) {
        match analytic(self.sql, select, &scope, joined, &mut self.errors) {
            None => (input, scope),
            Some((analytic, scope)) => {
                let (operator, schema) = (Operator::Analytic(Box::new(analytic)), Arc::clone(&scope.schema));
                (StepInput::Step(self.step(vec![input], operator, schema)), scope)
            }
        }
    }

    /// What stands on the right of a join.
    fn right(&mut self, from: &From, statements: &[Statement]) -> Option<(Right, RowScope)> {
        let named = self.input(&from.name.text).filter(|input| input.reference);
        let Some(input) = named else {
            let read = self.relation(from, statements);
            let read = read.and_then(|read| self.applied(read, &from.applies));
            return read.map(|(input, scope)| (Right::Rows(input), scope));
        };
        if let Some(apply) = from.applies.first() {
            let message = "not supported: APPLY of reference data";
            let error = PlanError::new(PlanErrorCode::NotSupported, apply.function.at, message);
            self.errors.push(error.hint("a table whose rows are taken apart already"));
        }
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
