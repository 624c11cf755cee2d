//! By which time an input goes: `TIMESTAMP BY`, and the timelines of its keys (`OVER`).

use arrow::datatypes::DataType;

use super::plan_analytic::keys;
use super::plan_program::{Planner, Read};
use super::syntax::From;
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::{Binder, Scope, cast, types};
use crate::plan::{ColumnOrigin, ScalarExpr, TIMESTAMP, TimeSource};

impl Planner<'_> {
    /// What an input has timelines of its own by, if one has.
    pub(super) fn timeline(&self) -> Option<&str> {
        self.sources.iter().flat_map(|read| &read.plan.timelines).map(|key| key.text.as_str()).next()
    }

    /// Notes by which time a source goes; every `FROM` of it has to say the same.
    pub(super) fn time(&mut self, index: usize, from: &From) {
        let bound = self.bind_time(index, from).and_then(|time| Ok((time, self.bind_timelines(index, from)?)));
        let (time, timelines) = match bound {
            Ok(bound) => bound,
            Err(error) => return self.errors.push(error),
        };
        let read = &mut self.sources[index];
        let same_timelines = read.plan.timelines.len() == timelines.len()
            && read.plan.timelines.iter().zip(&timelines).all(|(left, right)| left.same(right));
        let same = same_timelines
            && match (&read.plan.time, &time) {
                (TimeSource::Arrival, TimeSource::Arrival) => true,
                (TimeSource::Event(left), TimeSource::Event(right)) => left.same(right),
                _ => false,
            };
        if read.timed && !same {
            let message = format!("`{}` is read by two different times", from.name.text);
            let at = from.timestamp_by.as_ref().map_or(from.name.at, |time| time.at);
            self.errors.push(
                PlanError::new(PlanErrorCode::TimeConflict, at, message)
                    .hint("the same TIMESTAMP BY behind each FROM of this input, or none"),
            );
            return;
        }
        (read.timed, read.plan.time, read.plan.timelines) = (true, time, timelines);
        self.check_timelines(from);
    }

    /// All inputs have timelines of their own, or none has.
    fn check_timelines(&mut self, from: &From) {
        let timed = self.sources.iter().filter(|read| read.timed);
        let (with, without): (Vec<&Read>, Vec<&Read>) = timed.partition(|read| !read.plan.timelines.is_empty());
        if let (Some(with), Some(without)) = (with.first(), without.first()) {
            let (with, without) = (&with.plan.name, &without.plan.name);
            let message = format!("`{with}` has timelines of its own (OVER), and `{without}` has not");
            let error = PlanError::new(PlanErrorCode::TimeConflict, from.name.at, message);
            self.errors.push(error.hint("TIMESTAMP BY … OVER … behind all inputs, or behind none"));
        }
    }

    fn bind_timelines(&self, index: usize, from: &From) -> Result<Vec<ScalarExpr>, PlanError> {
        let mut scope = self.sources[index].scope.clone();
        scope.qualifiers.extend(from.alias.iter().map(|alias| alias.text.clone()));
        let binder = Binder { dialect: self.dialect, sql: self.sql, scope: Scope::Row(&scope) };
        keys(&binder, &scope, &from.timelines)
    }

    fn bind_time(&self, index: usize, from: &From) -> Result<TimeSource, PlanError> {
        let Some(expr) = &from.timestamp_by else { return Ok(TimeSource::Arrival) };
        let read = &self.sources[index];
        let mut scope = read.scope.clone();
        scope.qualifiers.extend(from.alias.iter().map(|alias| alias.text.clone()));
        let binder = Binder { dialect: self.dialect, sql: self.sql, scope: Scope::Row(&scope) };
        let value = binder.bind(expr)?;
        if value.same(&scope.rowtime()) {
            let message = "TIMESTAMP BY defines System.Timestamp() and so cannot be it";
            return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message).hint("a field of the event"));
        }
        let arrival = read.plan.columns.iter().find(|column| column.origin == ColumnOrigin::Arrival);
        if arrival.is_some_and(|arrival| arrival.name.eq_ignore_ascii_case(&value.text)) {
            return Ok(TimeSource::Arrival);
        }
        match &value.data_type {
            time if *time == TIMESTAMP => Ok(TimeSource::Event(value)),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Null => {
                Ok(TimeSource::Event(cast::text_to_timestamp(value)))
            }
            other => {
                let message =
                    format!("TIMESTAMP BY needs a datetime, `{}` is {}", value.text, types::name(self.dialect, other));
                Err(PlanError::new(PlanErrorCode::Type, expr.at, message)
                    .hint(format!("DATEADD(millisecond, {}, '1970-01-01T00:00:00Z')", value.text)))
            }
        }
    }
}
