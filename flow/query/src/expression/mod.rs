//! From syntax to expressions that run: names are resolved, types checked and converted by the language's own rules,
//! and the result is built from DataFusion's physical expressions.
//!
//! Never reads text and never plans a step. Read next: `scope.rs` (what names mean), `types.rs` (which types meet),
//! `function.rs` (the list of functions), `bind_call.rs` (how a call is put together).

pub(crate) mod bind_call;
pub(crate) mod cast;
pub(crate) mod function;
mod geo;
pub(crate) mod grown;
pub(crate) mod kernel;
mod like;
pub(crate) mod log;
mod number;
mod operator;
mod regex;
pub(crate) mod scope;
mod standard;
pub(crate) mod suggest;
mod text;
pub(crate) mod time;
mod time_pattern;
pub(crate) mod types;
pub(crate) mod user_defined;

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{case, in_list, is_not_null, is_null};
use millstream_catalog::QueryDialect;

use self::kernel::call;
use self::scope::{GroupScope, RowScope, is_unknown, literal};
use crate::dialect::interval::unit_millis;
use crate::dialect::standard::window_table::window_column;
use crate::dialect::syntax::{BinaryOperator, Expr, ExprKind, Ident, Literal};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::{ScalarExpr, TIMESTAMP, VALUE};
use crate::value::one_of::one_of;

/// Makes expressions out of syntax.
pub(crate) struct Binder<'a> {
    pub dialect: QueryDialect,
    /// The query's text, for what expressions are called in messages.
    pub sql: &'a str,
    pub scope: Scope<'a>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// Among the columns of a row.
    Row(&'a RowScope),
    /// Among the keys and aggregates of a group.
    Group(&'a GroupScope),
}

impl Scope<'_> {
    fn schema(&self) -> &SchemaRef {
        match self {
            Self::Row(rows) => &rows.schema,
            Self::Group(groups) => &groups.schema,
        }
    }

    fn rowtime(&self) -> ScalarExpr {
        match self {
            Self::Row(rows) => rows.rowtime(),
            Self::Group(groups) => groups.rowtime(),
        }
    }
}

impl<'a> Binder<'a> {
    /// An expression over the scope's schema.
    pub(crate) fn bind(&self, expr: &Expr) -> Result<ScalarExpr, PlanError> {
        if let Scope::Group(groups) = self.scope
            && let Some(found) = self.bind_in_group(groups, expr)
        {
            return found;
        }
        if let Scope::Row(rows) = self.scope
            && let Some(found) = rows.looked_back(&expr.span)
        {
            return Ok(ScalarExpr { text: self.text(&expr.span), ..found });
        }
        let bound = match &expr.kind {
            ExprKind::Name(parts) => self.name(parts),
            ExprKind::Literal(value) => constant(value, expr.at),
            ExprKind::Unary { operator, operand } => self.unary(*operator, operand),
            ExprKind::Binary { operator, left, right } => {
                let (bound_left, bound_right) = (self.bind(left)?, self.bind(right)?);
                self.binary(*operator, bound_left, bound_right, expr.at)
            }
            ExprKind::IsNull { operand, negated } => self.is_null(operand, *negated),
            ExprKind::Between { operand, low, high, negated } => self.between(operand, low, high, *negated),
            ExprKind::InList { operand, list, negated } => self.in_list(operand, list, *negated),
            ExprKind::Like { operand, pattern, escape, negated } => self.like(operand, pattern, *escape, *negated),
            ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), expr.at)
            }
            ExprKind::Cast { operand, to, lenient } => cast::cast(self.dialect, self.bind(operand)?, to, *lenient),
            ExprKind::Step { operand, by } => self.step(operand, by),
            ExprKind::FloorTo { operand, unit, ceiling } => self.floor_to(operand, unit, *ceiling),
            ExprKind::Call(function) => self.call(function, expr),
        }?;
        Ok(ScalarExpr { text: self.text(&expr.span), ..bound })
    }

    /// An expression that decides: `WHERE`, `HAVING`, `WHEN`.
    pub(crate) fn predicate(&self, expr: &Expr) -> Result<ScalarExpr, PlanError> {
        let value = self.bind(expr)?;
        self.typed(value, &DataType::Boolean, expr.at)
    }

    /// The text of an expression, on one line.
    pub(crate) fn text(&self, span: &Range<usize>) -> String {
        let text = self.sql.get(span.clone()).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What of a group an expression is; `None`: its parts have to be looked at.
    fn bind_in_group(&self, groups: &GroupScope, expr: &Expr) -> Option<Result<ScalarExpr, PlanError>> {
        // What a form stands for has its place (`IS TRUE` that of what is tested), and is no call.
        if matches!(expr.kind, ExprKind::Call(_))
            && let Some(aggregate) = groups.aggregate(&expr.span)
        {
            return Some(Ok(ScalarExpr { text: self.text(&expr.span), ..aggregate }));
        }
        if let ExprKind::Name(parts) = &expr.kind
            && self.is_system(parts, &["Window", "Id"])
        {
            return Some(Ok(groups.window_id()));
        }
        if let ExprKind::Name(parts) = &expr.kind
            && let Some(column) = window_column(&groups.rows, parts)
        {
            return Some(Ok(ScalarExpr { text: self.text(&expr.span), ..groups.window_column(column) }));
        }
        let looked_back = groups.rows.looked_back(&expr.span).is_some();
        let named = looked_back || matches!(expr.kind, ExprKind::Name(_));
        if matches!(expr.kind, ExprKind::Literal(_)) || !(named || groups.depths.contains(&expr.depth)) {
            return None;
        }
        let rows = Binder { dialect: self.dialect, sql: self.sql, scope: Scope::Row(&groups.rows) };
        let of_row = rows.bind(expr);
        if let Some(key) = of_row.as_ref().ok().and_then(|value| groups.key(value)) {
            return Some(Ok(ScalarExpr { text: self.text(&expr.span), ..key }));
        }
        let ExprKind::Name(parts) = &expr.kind else {
            return looked_back.then(|| Err(not_grouped(self.dialect, &self.text(&expr.span), expr.at)));
        };
        if let [name] = parts.as_slice()
            && let Some((_, value)) = groups.aliases.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(&name.text))
        {
            let without_aliases = GroupScope { aliases: Vec::new(), ..groups.clone() };
            let binder = Binder { scope: Scope::Group(&without_aliases), ..*self };
            return Some(binder.bind(value));
        }
        match of_row {
            Ok(value) if value.same(&groups.rows.rowtime()) => Some(Ok(groups.rowtime())),
            Ok(value) if is_unknown(&value.data_type) => Some(Ok(value)),
            Ok(_) => Some(Err(not_grouped(self.dialect, &self.text(&expr.span), expr.at))),
            Err(error) => Some(Err(error)),
        }
    }

    pub(super) fn name(&self, parts: &[Ident]) -> Result<ScalarExpr, PlanError> {
        if self.is_system(parts, &["Timestamp"]) {
            return Ok(self.scope.rowtime());
        }
        if self.is_system(parts, &["Window", "Id"]) {
            // Rows are in no window yet.
            return Ok(literal(ScalarValue::Utf8(None)));
        }
        match self.scope {
            Scope::Row(rows) => rows.resolve(parts),
            Scope::Group(groups) => groups.rows.resolve(parts),
        }
    }

    /// Whether a name is one of Stream Analytics' own: `System.` and these.
    fn is_system(&self, parts: &[Ident], names: &[&str]) -> bool {
        let [system, rest @ ..] = parts else { return false };
        self.dialect == QueryDialect::StreamAnalytics
            && system.text.eq_ignore_ascii_case("System")
            && rest.len() == names.len()
            && rest.iter().zip(names).all(|(part, name)| part.text.eq_ignore_ascii_case(name))
    }

    fn is_null(&self, operand: &Expr, negated: bool) -> Result<ScalarExpr, PlanError> {
        let operand = self.bind(operand)?.physical;
        let physical = if negated { is_not_null(operand) } else { is_null(operand) };
        physical.map(boolean).map_err(|error| internal(&error))
    }

    fn between(&self, operand: &Expr, low: &Expr, high: &Expr, negated: bool) -> Result<ScalarExpr, PlanError> {
        let (value, at) = (self.bind(operand)?, operand.at);
        let above = self.binary(BinaryOperator::GreaterOrEqual, value.clone(), self.bind(low)?, at)?;
        let below = self.binary(BinaryOperator::LessOrEqual, value, self.bind(high)?, at)?;
        let between = self.binary(BinaryOperator::And, above, below, at)?;
        if negated { self.not(between) } else { Ok(between) }
    }

    fn in_list(&self, operand: &Expr, list: &[Expr], negated: bool) -> Result<ScalarExpr, PlanError> {
        let mut value = self.bind(operand)?;
        let items = self.all(list)?;
        if value.data_type == VALUE
            && let Some(listed) = one_of(&value, &items)
        {
            return if negated { self.not(listed) } else { Ok(listed) };
        }
        if std::iter::once(&value).chain(&items).any(|value| value.data_type == VALUE) {
            let equal = |item| self.binary(BinaryOperator::Equal, value.clone(), item, operand.at);
            let any = self.any(items.into_iter().map(equal).collect::<Result<_, _>>()?, operand.at)?;
            return if negated { self.not(any) } else { Ok(any) };
        }
        for (item, bound) in list.iter().zip(&items) {
            let common = types::common(self.dialect, &value, bound)
                .ok_or_else(|| self.do_not_meet(&value, bound, "IN", item.at))?;
            value = types::convert(value, &common, false);
        }
        let convert = |item| types::convert(item, &value.data_type, false).physical;
        let items: Vec<Arc<dyn PhysicalExpr>> = items.into_iter().map(convert).collect();
        in_list(value.physical, items, &negated, self.scope.schema()).map(boolean).map_err(|error| internal(&error))
    }

    /// Conditions joined by OR, as a tree that is no deeper than it has to be however many they are.
    fn any(&self, mut conditions: Vec<ScalarExpr>, at: Position) -> Result<ScalarExpr, PlanError> {
        if conditions.len() <= 1 {
            return Ok(conditions.pop().unwrap_or_else(|| literal(ScalarValue::Boolean(Some(false)))));
        }
        let behind = conditions.split_off(conditions.len() / 2);
        self.binary(BinaryOperator::Or, self.any(conditions, at)?, self.any(behind, at)?, at)
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        at: Position,
    ) -> Result<ScalarExpr, PlanError> {
        let mut whens = Vec::new();
        for (when, _) in branches {
            whens.push(match operand {
                None => self.predicate(when)?,
                Some(operand) => self.binary(BinaryOperator::Equal, self.bind(operand)?, self.bind(when)?, when.at)?,
            });
        }
        let results = branches.iter().map(|(_, then)| then).chain(otherwise);
        let results = results.map(|result| self.bind(result)).collect::<Result<Vec<_>, _>>()?;
        let mut results = self.unify(results, "CASE", at)?;
        let data_type = results[0].data_type.clone();
        let last = if otherwise.is_some() { results.pop().map(|value| value.physical) } else { None };
        let pairs = whens.into_iter().zip(results).map(|(when, then)| (when.physical, then.physical)).collect();
        let physical = case(None, pairs, last).map_err(|error| internal(&error))?;
        Ok(ScalarExpr { physical, data_type, nullable: true, text: String::new() })
    }

    /// Values that are results of one expression, in the one type they have in common.
    fn unify(&self, values: Vec<ScalarExpr>, what: &str, at: Position) -> Result<Vec<ScalarExpr>, PlanError> {
        let mut common = literal(ScalarValue::Null);
        let mixed = self.dialect == QueryDialect::StreamAnalytics;
        for value in &values {
            // There it is values that have types, so results of one expression may differ in theirs.
            let any = mixed && !matches!(value.data_type, DataType::Duration(_));
            let data_type = types::common(self.dialect, &common, value)
                .or(any.then_some(VALUE))
                .ok_or_else(|| self.do_not_meet(&common, value, what, at))?;
            common = ScalarExpr { data_type, text: value.text.clone(), ..common };
        }
        Ok(values.into_iter().map(|value| types::convert(value, &common.data_type, false)).collect())
    }

    fn step(&self, operand: &Expr, by: &Expr) -> Result<ScalarExpr, PlanError> {
        let value = self.bind(operand)?;
        let length = self.bind(by)?;
        if value.data_type == TIMESTAMP || is_unknown(&value.data_type) {
            let ExprKind::Literal(Literal::Interval(millis @ 1..)) = &by.kind else {
                let message =
                    format!("STEP of a TIMESTAMP goes BY an INTERVAL longer than nothing, not `{}`", length.text);
                return Err(PlanError::new(PlanErrorCode::Type, by.at, message).hint("INTERVAL '60' SECOND"));
            };
            return Ok(self.floor(value, *millis, false));
        }
        let arguments =
            [self.typed(value, &DataType::Int64, operand.at)?, self.typed(length, &DataType::Int64, by.at)?];
        Ok(call("step_number", time::step_number, &arguments, DataType::Int64))
    }

    fn floor_to(&self, operand: &Expr, unit: &Ident, ceiling: bool) -> Result<ScalarExpr, PlanError> {
        let value = self.typed(self.bind(operand)?, &TIMESTAMP, operand.at)?;
        let Some(millis) = unit_millis(&unit.text) else {
            let message = format!("not supported yet: FLOOR and CEIL to {}", unit.text);
            return Err(
                PlanError::new(PlanErrorCode::NotSupported, unit.at, message).hint("DAY, HOUR, MINUTE or SECOND")
            );
        };
        Ok(self.floor(value, millis, ceiling))
    }

    fn floor(&self, value: ScalarExpr, millis: i64, ceiling: bool) -> ScalarExpr {
        let value = types::convert(value, &TIMESTAMP, false);
        let length = literal(ScalarValue::Int64(Some(millis)));
        if ceiling {
            return call("step_up", time::step_up, &[value, length], TIMESTAMP);
        }
        call("step", time::step, &[value, length], TIMESTAMP)
    }

    /// The value, which has to be of a type or become it by itself.
    pub(crate) fn typed(&self, value: ScalarExpr, to: &DataType, at: Position) -> Result<ScalarExpr, PlanError> {
        let from = &value.data_type;
        let text_literal = from == &DataType::Utf8 && types::is_literal(&value);
        let becomes = from == to
            || is_unknown(from)
            || *from == VALUE
            || (from == &DataType::Int64 && to == &DataType::Float64)
            || (self.dialect == QueryDialect::StreamAnalytics && text_literal && to == &TIMESTAMP);
        if becomes {
            return Ok(types::convert(value, to, false));
        }
        let (expected, found) = (types::name(self.dialect, to), types::name(self.dialect, from));
        let message = format!("expected a {expected}, found `{}`, which is {found}", value.text);
        Err(PlanError::new(PlanErrorCode::Type, at, message).hint(format!("CAST({} AS {expected})", value.text)))
    }

    fn do_not_meet(&self, left: &ScalarExpr, right: &ScalarExpr, what: &str, at: Position) -> PlanError {
        let (a, b) = (types::name(self.dialect, &left.data_type), types::name(self.dialect, &right.data_type));
        let message = format!("{what} of {a} and {b}: `{}` and `{}` are of different types", left.text, right.text);
        let is_number = |value: &ScalarExpr| matches!(value.data_type, DataType::Int64 | DataType::Float64);
        let is_column = |value: &ScalarExpr| value.data_type == DataType::Utf8 && !types::is_literal(value);
        let hint = match (left, right) {
            // Often a column of numbers of which one sample had a text.
            (text, number) | (number, text) if is_column(text) && is_number(number) => {
                let (cast, number) = (self.safe_cast(), types::name(self.dialect, &number.data_type));
                format!("declare `{}` as {number}, or {cast}({} AS {number})", text.text, text.text)
            }
            _ => format!("CAST({} AS {a})", right.text),
        };
        PlanError::new(PlanErrorCode::Type, at, message).hint(hint)
    }

    /// The conversion of texts of which some may be no numbers.
    fn safe_cast(&self) -> &'static str {
        match self.dialect {
            QueryDialect::Kinesis => "CAST",
            QueryDialect::StreamAnalytics | QueryDialect::Standard => "TRY_CAST",
        }
    }
}

fn constant(value: &Literal, at: Position) -> Result<ScalarExpr, PlanError> {
    Ok(match value {
        Literal::Number(digits) => operator::number(digits, at)?,
        Literal::Text(text) => literal(ScalarValue::Utf8(Some(text.clone()))),
        Literal::Boolean(value) => literal(ScalarValue::Boolean(Some(*value))),
        Literal::Null => literal(ScalarValue::Null),
        Literal::Interval(millis) => literal(ScalarValue::DurationMillisecond(Some(*millis))),
        Literal::Timestamp(text) => {
            let converted = cast::text_to_timestamp(literal(ScalarValue::Utf8(Some(text.clone()))));
            if converted.data_type != TIMESTAMP || !types::is_literal(&converted) {
                let message = format!("`{text}` is no point in time");
                return Err(PlanError::new(PlanErrorCode::Type, at, message).hint("TIMESTAMP '2004-09-30 13:48:23'"));
            }
            converted
        }
    })
}

fn boolean(physical: Arc<dyn PhysicalExpr>) -> ScalarExpr {
    ScalarExpr { physical, data_type: DataType::Boolean, nullable: true, text: String::new() }
}

fn not_grouped(dialect: QueryDialect, name: &str, at: Position) -> PlanError {
    let message = format!("`{name}` is neither in GROUP BY nor inside an aggregate");
    let error = PlanError::new(PlanErrorCode::NotGrouped, at, message);
    match dialect {
        QueryDialect::Kinesis => error.hint(format!("GROUP BY …, {name}, or MAX({name})")),
        QueryDialect::StreamAnalytics => error.hint(format!("GROUP BY {name}, …, or MAX({name})")),
        QueryDialect::Standard => error.hint(format!("GROUP BY window_start, window_end, {name}, or MAX({name})")),
    }
}

/// DataFusion refused an expression whose types were checked before.
pub(crate) fn internal(error: &datafusion_common::DataFusionError) -> PlanError {
    let at = Position { line: 1, column: 1 };
    PlanError::new(PlanErrorCode::Type, at, error.strip_backtrace())
}
