//! `MATCH_RECOGNIZE`: a step that looks for patterns in the rows of a source. Its conditions and measures name what is kept of a
//! match (`MAX(A.x)`), which is a column each of what they are bound over.
//!
//! Source: "MATCH_RECOGNIZE (Stream Analytics)", and for `{2,}` "Common query patterns in Azure Stream Analytics".

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use millstream_catalog::QueryDialect;

use super::plan_analytic::{keys, typed};
use super::plan_partition::with_partition;
use super::plan_program::Planner;
use super::plan_select::{aggregated, keep};
use super::source::step_scope;
use super::standard::recognize::check_order;
use super::syntax::{Call, Expr, ExprKind, From, Ident, Literal, Recognize, RowPattern};
use super::window::check_length;
use super::window_call::duration;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::function::{self, Argument};
use crate::expression::scope::{RowScope, is_unknown};
use crate::expression::suggest::nearest;
use crate::expression::{Binder, Scope, types};
use crate::plan::{
    AggregateFunction, Condition, Kept, KeptOf, Operator, PATTERN_ROWS_MAX, Pattern, PatternMatch, ScalarExpr,
    StepInput, VALUE, Variable, with_rowtime,
};

/// The variable that every row is of.
const ANY: &str = ".";

impl Planner<'_> {
    /// What is read, with the patterns that are looked for in it; `None`: with mistakes, which are reported.
    pub(super) fn recognized(&mut self, read: (StepInput, RowScope), from: &From) -> Option<(StepInput, RowScope)> {
        let Some(recognize) = &from.recognize else { return Some(read) };
        let (input, rows) = read;
        let planned = keep(pattern_match(self.sql, &rows, recognize), &mut self.errors)?;
        let columns = planned.columns.iter().map(|(name, value)| Field::new(name, value.data_type.clone(), true));
        let schema = with_rowtime(columns);
        let name = recognize.alias.as_ref().unwrap_or(&from.name);
        let scope = step_scope(self.dialect, &name.text, &schema);
        let step = self.step(vec![input], Operator::PatternMatch(Box::new(planned)), schema);
        Some((StepInput::Step(step), scope))
    }
}

fn pattern_match(sql: &str, rows: &RowScope, recognize: &Recognize) -> Result<PatternMatch, PlanError> {
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let within_ms = within(recognize, rows.dialect)?;
    if rows.dialect == QueryDialect::Standard {
        check_order(recognize, rows)?;
    }
    let partition_by = with_partition(sql, rows, keys(&binder, rows, &recognize.partition_by)?)?;
    let mut matched = Match::new(sql, rows, recognize)?;
    let pattern = matched.pattern(&recognize.pattern)?;
    check_pattern(&pattern, recognize)?;
    for (own, (variable, condition)) in recognize.define.iter().enumerate() {
        if !matched.used.contains(&own) {
            let message = format!("`{}` is defined, and the pattern does not name it", variable.text);
            return Err(PlanError::new(PlanErrorCode::Syntax, variable.at, message));
        }
        if matched.is_of_match(condition, own) {
            matched.note(condition, Some(own))?;
        }
    }
    for (measure, _) in &recognize.measures {
        matched.note(measure, None)?;
    }
    let schema = matched.schema();
    let variables = matched.variables(recognize, &schema)?;
    let columns = matched.measures(recognize, &schema)?;
    let (values, kept, lists_variables) = (matched.values, matched.kept, !matched.listings.is_empty());
    let skip = recognize.skip;
    Ok(PatternMatch {
        partition_by,
        within_ms,
        skip,
        pattern,
        variables,
        values,
        kept,
        lists_variables,
        schema,
        columns,
    })
}

/// How much later than its first row a match's last one may be: one that is as late as the duration is outside, as in windows.
fn within(recognize: &Recognize, dialect: QueryDialect) -> Result<i64, PlanError> {
    let example = match dialect {
        QueryDialect::Standard => "PATTERN (…) WITHIN INTERVAL '1' MINUTE",
        QueryDialect::Kinesis | QueryDialect::StreamAnalytics => "LIMIT DURATION(minute, 1)",
    };
    let Some(limit) = &recognize.limit else {
        let message = "MATCH_RECOGNIZE does not say how long a match may take";
        return Err(PlanError::new(PlanErrorCode::Window, recognize.at, message).hint(example));
    };
    let expected = || PlanError::new(PlanErrorCode::Window, limit.at, "expected a length of time").hint(example);
    let interval = match limit.kind {
        ExprKind::Literal(Literal::Interval(length)) if dialect == QueryDialect::Standard => Some(length),
        _ => None,
    };
    let duration_ms = interval.or_else(|| duration(limit)).ok_or_else(expected)?;
    check_length(duration_ms, "the duration", limit.at)?;
    Ok(duration_ms - 1)
}

fn check_pattern(pattern: &Pattern, recognize: &Recognize) -> Result<(), PlanError> {
    if pattern.matches_nothing() {
        let message = "not supported yet: a pattern that matches without any event";
        let error = PlanError::new(PlanErrorCode::NotSupported, recognize.at, message);
        return Err(error.hint("a part that has to be there: A+ rather than A*"));
    }
    let rows = pattern.rows();
    if rows > PATTERN_ROWS_MAX {
        let message =
            format!("written out, the pattern has {rows} places for an event, at most {PATTERN_ROWS_MAX} are taken");
        return Err(PlanError::new(PlanErrorCode::TooLarge, recognize.at, message).hint("`+` rather than `{1,100}`"));
    }
    Ok(())
}

/// A match in the making: what is kept of it, and which places in the text name that.
struct Match<'a> {
    sql: &'a str,
    rows: &'a RowScope,
    /// The variables in the order of their definitions; behind them `.`, where the pattern has it.
    names: Vec<&'a Ident>,
    any: bool,
    /// Those that the pattern names.
    used: Vec<usize>,
    values: Vec<ScalarExpr>,
    kept: Vec<Kept>,
    /// Which text names which kept value.
    spans: Vec<(Range<usize>, Option<usize>)>,
    /// The calls that list a match's variables.
    listings: Vec<Range<usize>>,
}

impl<'a> Match<'a> {
    fn new(sql: &'a str, rows: &'a RowScope, recognize: &'a Recognize) -> Result<Self, PlanError> {
        let mut names: Vec<&Ident> = Vec::with_capacity(recognize.define.len());
        for (name, _) in &recognize.define {
            if names.iter().any(|known| rows.same(&known.text, &name.text)) {
                let message = format!("`{}` is defined twice", name.text);
                return Err(PlanError::new(PlanErrorCode::Duplicate, name.at, message));
            }
            names.push(name);
        }
        let (used, values, kept) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { sql, rows, names, any: false, used, values, kept, spans: Vec::new(), listings: Vec::new() })
    }

    /// The pattern with its variables found.
    fn pattern(&mut self, pattern: &RowPattern) -> Result<Pattern, PlanError> {
        Ok(match pattern {
            RowPattern::Row(name) if name.text == ANY => {
                self.any = true;
                Pattern::Row(self.names.len())
            }
            RowPattern::Row(name) => {
                let variable = self.variable(name)?;
                self.used.push(variable);
                Pattern::Row(variable)
            }
            RowPattern::Sequence(parts) => Pattern::Sequence(self.patterns(parts)?),
            RowPattern::Either(parts) => Pattern::Either(self.patterns(parts)?),
            RowPattern::Repeat(part, least, most) => {
                let pattern = Box::new(self.pattern(part)?);
                Pattern::Repeat { pattern, least: *least, most: *most, greedy: true }
            }
        })
    }

    fn patterns(&mut self, parts: &[RowPattern]) -> Result<Vec<Pattern>, PlanError> {
        parts.iter().map(|part| self.pattern(part)).collect()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| self.rows.same(&known.text, name))
    }

    fn variable(&self, name: &Ident) -> Result<usize, PlanError> {
        self.find(&name.text).ok_or_else(|| {
            let message = format!("the pattern variable `{}` is not defined", name.text);
            let error = PlanError::new(PlanErrorCode::UnknownColumn, name.at, message);
            match nearest(&name.text, self.names.iter().map(|known| known.text.as_str())) {
                Some(near) => error.hint(near),
                None => error.hint(format!("DEFINE {} AS condition, or `.`, which is any event", name.text)),
            }
        })
    }

    /// Whether the condition of the variable `own` reads more than the event itself.
    fn is_of_match(&self, expr: &Expr, own: usize) -> bool {
        let more = match &expr.kind {
            ExprKind::Call(call) => {
                let name = call.full_name().to_uppercase();
                kept_of(&name).is_some() || is_classifier(&name) || function::is_aggregate(self.rows.dialect, &name)
            }
            ExprKind::Name(parts) => parts.len() > 1 && self.find(&parts[0].text).is_some_and(|other| other != own),
            _ => false,
        };
        more || expr.kind.parts().into_iter().any(|part| self.is_of_match(part, own))
    }

    /// Notes what a condition (of the variable `own`) or a measure names of a match.
    fn note(&mut self, expr: &Expr, own: Option<usize>) -> Result<(), PlanError> {
        match &expr.kind {
            ExprKind::Call(call) => self.note_call(call, expr, own),
            ExprKind::Name(parts) => self.note_name(parts, expr, own),
            kind => kind.parts().into_iter().try_for_each(|part| self.note(part, own)),
        }
    }

    fn note_call(&mut self, call: &Call, expr: &Expr, own: Option<usize>) -> Result<(), PlanError> {
        let name = call.full_name().to_uppercase();
        if let Some(of) = kept_of(&name) {
            let [variable, field @ ..] = field_of(call, &name, expr.at)? else { return Ok(()) };
            let variable = self.variable(variable)?;
            self.check_defined(variable, own, expr.at)?;
            return self.keep(variable, of, field, expr, own);
        }
        if is_classifier(&name) {
            if own.is_some() || !call.arguments.is_empty() {
                let message = "CLASSIFIER() stands in MEASURES, without an argument";
                return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message));
            }
            self.listings.push(expr.span.clone());
            return Ok(());
        }
        if function::is_aggregate(self.rows.dialect, &name) || function::looks_back(self.rows.dialect, call) {
            let message = format!("of a match there are MIN, MAX, FIRST and LAST, and not {name}");
            return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message));
        }
        let takes = function::find(self.rows.dialect, &name).map_or(&[][..], |function| function.arguments);
        let values = call.arguments.iter().enumerate().filter(|(place, _)| takes.get(*place) != Some(&Argument::Unit));
        values.into_iter().try_for_each(|(_, argument)| self.note(argument, own))
    }

    /// Refuses a variable that is defined behind the one whose condition reads it.
    fn check_defined(&self, variable: usize, own: Option<usize>, at: Position) -> Result<(), PlanError> {
        if own.is_none_or(|own| variable <= own) {
            return Ok(());
        }
        let message = format!("`{}` is defined behind what reads it", self.names[variable].text);
        Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint("the definitions in another order"))
    }

    /// A field that stands alone: in a condition it is the event's own; in the standard dialect one with a variable in front of it is the
    /// last such event's.
    fn note_name(&mut self, parts: &[Ident], expr: &Expr, own: Option<usize>) -> Result<(), PlanError> {
        if parts[0].text.eq_ignore_ascii_case("System") {
            return Ok(());
        }
        let (variable, field) = match parts {
            [first, field @ ..] if !field.is_empty() && self.find(&first.text).is_some() => {
                (self.find(&first.text), field)
            }
            field => (own, field),
        };
        let named = field.len() < parts.len();
        match (own, variable) {
            (own, Some(variable)) if named && self.rows.dialect == QueryDialect::Standard => {
                self.check_defined(variable, own, expr.at)?;
                self.keep(variable, KeptOf::Last, field, expr, own)
            }
            (Some(own), Some(variable)) if own == variable => self.keep(own, KeptOf::Last, field, expr, Some(own)),
            _ => {
                let name = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
                let message = format!("`{name}` may be of several events of the match");
                let variable =
                    variable.or(self.used.first().copied()).map_or("A", |variable| &self.names[variable].text);
                let field = field.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
                let error = PlanError::new(PlanErrorCode::Syntax, expr.at, message);
                Err(error.hint(format!("LAST({variable}.{field})")))
            }
        }
    }

    /// Keeps a field of a variable's events, and notes that the text of `expr` is it.
    fn keep(
        &mut self,
        variable: usize,
        of: KeptOf,
        field: &[Ident],
        expr: &Expr,
        own: Option<usize>,
    ) -> Result<(), PlanError> {
        let scope = RowScope { qualifiers: vec![self.names[variable].text.clone()], ..self.rows.clone() };
        let binder = Binder { dialect: scope.dialect, sql: self.sql, scope: Scope::Row(&scope) };
        let mut value = scope.resolve(field)?;
        match of {
            KeptOf::First | KeptOf::Last => value = typed(&scope, value),
            KeptOf::Least => value = aggregated(&binder, AggregateFunction::Min, value, expr.at)?.0,
            KeptOf::Greatest => value = aggregated(&binder, AggregateFunction::Max, value, expr.at)?.0,
        }
        let known = self.values.iter().position(|known| known.data_type == value.data_type && known.same(&value));
        let value = known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        // The last event of a variable is, in the variable's own condition, the event itself.
        let decides = own.is_some_and(|own| own != variable || of != KeptOf::Last);
        let same = |kept: &Kept| kept.variable == variable && kept.of == of && kept.value == value;
        let place = self.kept.iter().position(same).unwrap_or_else(|| {
            self.kept.push(Kept { variable, of, value, decides });
            self.kept.len() - 1
        });
        self.kept[place].decides |= decides;
        self.spans.push((expr.span.clone(), Some(place)));
        Ok(())
    }

    /// What conditions and measures are bound over, once all that they name is noted.
    fn schema(&mut self) -> SchemaRef {
        let listed = self.kept.len();
        self.spans.extend(self.listings.iter().map(|listing| (listing.clone(), Some(listed))));
        let kept = self.kept.iter().map(|kept| {
            let value = &self.values[kept.value];
            Field::new(&value.text, value.data_type.clone(), true)
        });
        with_rowtime(kept.chain([Field::new("$variables", VALUE, true)]))
    }

    fn scope(&self, schema: &SchemaRef) -> RowScope {
        RowScope {
            qualifiers: Vec::new(),
            schema: Arc::clone(schema),
            visible: 0,
            looked_back: self.spans.clone(),
            ..self.rows.clone()
        }
    }

    fn variables(&self, recognize: &Recognize, schema: &SchemaRef) -> Result<Vec<Variable>, PlanError> {
        let matched = self.scope(schema);
        let mut variables = Vec::with_capacity(self.names.len() + 1);
        for (own, (name, condition)) in recognize.define.iter().enumerate() {
            let of_match = self.is_of_match(condition, own);
            let mut of_row = self.rows.clone();
            of_row.qualifiers.push(name.text.clone());
            let scope = if of_match { &matched } else { &of_row };
            let binder = Binder { dialect: scope.dialect, sql: self.sql, scope: Scope::Row(scope) };
            let condition = binder.predicate(condition)?;
            let condition = if of_match { Condition::OfMatch(condition) } else { Condition::OfRow(condition) };
            variables.push(Variable { name: name.text.clone(), condition });
        }
        if self.any {
            variables.push(Variable { name: ANY.to_owned(), condition: Condition::Always });
        }
        Ok(variables)
    }

    fn measures(&self, recognize: &Recognize, schema: &SchemaRef) -> Result<Vec<(String, ScalarExpr)>, PlanError> {
        let scope = self.scope(schema);
        let binder = Binder { dialect: scope.dialect, sql: self.sql, scope: Scope::Row(&scope) };
        let mut columns: Vec<(String, ScalarExpr)> = Vec::with_capacity(recognize.measures.len());
        for (measure, name) in &recognize.measures {
            if columns.iter().any(|(known, _)| self.rows.same(known, &name.text)) {
                let message = format!("the measure `{}` is there twice", name.text);
                return Err(PlanError::new(PlanErrorCode::Duplicate, name.at, message).hint("another name"));
            }
            let mut value = binder.bind(measure)?;
            if is_unknown(&value.data_type) {
                value = types::convert(value, &DataType::Utf8, false);
            }
            columns.push((name.text.clone(), value));
        }
        if columns.is_empty() {
            let message = "MATCH_RECOGNIZE without MEASURES gives nothing of a match";
            let error = PlanError::new(PlanErrorCode::Syntax, recognize.at, message);
            return Err(error.hint("MEASURES LAST(A.x) AS x"));
        }
        Ok(columns)
    }
}

/// Which of a variable's events an aggregate is of, by its name in upper case.
fn kept_of(name: &str) -> Option<KeptOf> {
    match name {
        "FIRST" => Some(KeptOf::First),
        "LAST" => Some(KeptOf::Last),
        "MIN" => Some(KeptOf::Least),
        "MAX" => Some(KeptOf::Greatest),
        _ => None,
    }
}

fn is_classifier(name: &str) -> bool {
    name == "CLASSIFIER"
}

/// The variable and the field that an aggregate takes: a single one.
fn field_of<'c>(call: &'c Call, name: &str, at: Position) -> Result<&'c [Ident], PlanError> {
    match call.arguments.as_slice() {
        [Expr { kind: ExprKind::Name(parts), .. }] if parts.len() > 1 && call.over.is_none() && !call.distinct => {
            Ok(parts)
        }
        _ => {
            let message = format!("{name} takes one field of a pattern variable here");
            Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint(format!("{name}(A.x)")))
        }
    }
}
