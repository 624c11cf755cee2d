//! Expressions in the other language's words. Where both languages are one, as the query has them.

use arrow::datatypes::DataType;
use millstream_catalog::QueryDialect;

use super::super::standard::window_table::window_column;
use super::super::syntax::{BinaryOperator, Call, Expr, ExprKind, Ident, Literal, UnaryOperator};
use super::super::window::{monotonic, step_window};
use super::Writer;
use super::select::Read;
use super::spelling::Spelling;
use super::window::Windowed;
use crate::error::Position;
use crate::expression::function;
use crate::expression::{Binder, Scope, types};
use crate::plan::{TIMESTAMP, VALUE};

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub read: &'p Read,
    /// The windows whose groups it is over; `None`: it is over rows.
    pub windowed: Option<&'p Windowed>,
}

impl Writer<'_> {
    pub(super) fn expression(&mut self, expr: &Expr, place: Place<'_>) -> String {
        if self.is_same_language() {
            return self.as_written(expr);
        }
        if let Some(told) = self.time(expr, place) {
            return told;
        }
        match &expr.kind {
            ExprKind::Name(parts) => self.name(parts, expr, place),
            ExprKind::Literal(value) => self.literal(value, expr.at),
            ExprKind::Unary { operator, operand } => {
                let sign = match operator {
                    UnaryOperator::Not => "NOT ",
                    UnaryOperator::Negate => "-",
                    UnaryOperator::Plus => "+",
                    UnaryOperator::BitNot => return self.refuse(expr.at, "operators on bits"),
                };
                format!("{sign}{}", self.operand(operand, place))
            }
            ExprKind::Binary { operator, left, right } => self.binary(*operator, left, right, expr.at, place),
            ExprKind::IsNull { operand, negated } => {
                format!("{} IS {}NULL", self.operand(operand, place), not(*negated))
            }
            ExprKind::Between { operand, low, high, negated } => {
                self.meet(operand, low, expr.at, place);
                self.meet(operand, high, expr.at, place);
                let (low, high) = (self.operand(low, place), self.operand(high, place));
                format!("{} {}BETWEEN {low} AND {high}", self.operand(operand, place), not(*negated))
            }
            ExprKind::InList { operand, list, negated } => {
                list.iter().for_each(|item| self.meet(operand, item, expr.at, place));
                let items: Vec<String> = list.iter().map(|item| self.expression(item, place)).collect();
                format!("{} {}IN ({})", self.operand(operand, place), not(*negated), items.join(", "))
            }
            ExprKind::Like { operand, pattern, escape, negated } => {
                self.like(operand, pattern, *escape, *negated, expr.at, place)
            }
            ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), expr.at, place)
            }
            ExprKind::Cast { operand, to, .. } => {
                let target = types::of_name(self.ask.dialect, to).ok();
                self.cast(operand, target, to.length, expr.at, place)
            }
            ExprKind::Step { .. } => self.refuse(expr.at, "STEP of another value than ROWTIME"),
            ExprKind::FloorTo { operand, unit, ceiling } => match self.spelling {
                Spelling::Flink => {
                    let function = if *ceiling { "CEIL" } else { "FLOOR" };
                    format!("{function}({} TO {})", self.expression(operand, place), unit.text.to_uppercase())
                }
                Spelling::StreamAnalytics => self.refuse(expr.at, "FLOOR and CEIL of times"),
            },
            ExprKind::Call(call) => self.call(call, expr, place),
        }
    }

    /// An expression as the query has it, but for fractions: they are doubles in the query, and decimals in Flink unless they have
    /// an exponent.
    pub(super) fn as_written(&mut self, expr: &Expr) -> String {
        let mut text = self.ask.sql[expr.span.clone()].to_owned();
        let mut fractions = Vec::new();
        note_fractions(expr, &mut fractions);
        fractions.sort_by_key(|(end, _)| std::cmp::Reverse(*end));
        // What IS DISTINCT FROM compares is there twice.
        fractions.dedup_by_key(|(end, _)| *end);
        for (end, at) in fractions {
            text.insert_str(end - expr.span.start, "E0");
            self.rewritten(at, "a fraction gets an exponent, without which it would be a decimal");
        }
        text
    }

    /// Whether the query's language is the one that is written.
    pub(super) fn is_same_language(&self) -> bool {
        (self.ask.dialect, self.spelling) == (QueryDialect::Standard, Spelling::Flink)
    }

    pub(super) fn binder<'b>(&'b self, place: Place<'b>) -> Binder<'b> {
        Binder { dialect: self.ask.dialect, sql: self.ask.sql, scope: Scope::Row(&place.read.scope) }
    }

    /// The type of a value, where it is known.
    pub(super) fn type_of(&self, expr: &Expr, place: Place<'_>) -> Option<DataType> {
        if let ExprKind::Name(parts) = &expr.kind
            && window_column(&place.read.scope, parts).is_some()
        {
            return Some(TIMESTAMP);
        }
        if let Ok(value) = self.binder(place).bind(expr) {
            return Some(value.data_type);
        }
        match &expr.kind {
            ExprKind::Call(call) => self.aggregate_type(call, place),
            ExprKind::Binary { operator, left, right } => match operator {
                BinaryOperator::Add
                | BinaryOperator::Subtract
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Remainder => match (self.type_of(left, place)?, self.type_of(right, place)?) {
                    (DataType::Int64, DataType::Int64) => Some(DataType::Int64),
                    (left, right) if types::is_numeric(&left) && types::is_numeric(&right) => Some(DataType::Float64),
                    _ => None,
                },
                BinaryOperator::Concatenate => Some(DataType::Utf8),
                BinaryOperator::BitAnd | BinaryOperator::BitOr | BinaryOperator::BitXor => Some(DataType::Int64),
                _ => Some(DataType::Boolean),
            },
            ExprKind::Cast { to, .. } => types::of_name(self.ask.dialect, to).ok(),
            _ => None,
        }
    }

    /// What stands for the row's time or for a window's; `None`: the expression is something else.
    fn time(&mut self, expr: &Expr, place: Place<'_>) -> Option<String> {
        let flink = self.spelling == Spelling::Flink;
        if let (ExprKind::Name(parts), Some(windowed)) = (&expr.kind, place.windowed)
            && let Some(column) = window_column(&place.read.scope, parts)
        {
            return Some(self.window_time_of(column, windowed));
        }
        let binder = self.binder(place);
        if let (Some(windowed), QueryDialect::Kinesis) = (place.windowed, self.ask.dialect)
            && let Ok(Some(_)) = step_window(&binder, &place.read.scope, monotonic(expr))
        {
            return Some(self.window_time_of("window_start", windowed));
        }
        let may_be = matches!(expr.kind, ExprKind::Name(_) | ExprKind::Call(_));
        let is_time = may_be
            && self.ask.dialect != QueryDialect::Standard
            && binder.bind(expr).is_ok_and(|value| value.same(&place.read.scope.rowtime()));
        if !is_time {
            return None;
        }
        Some(match (place.windowed, self.ask.dialect) {
            (Some(windowed), QueryDialect::Kinesis) => self.window_time_of("window_end", windowed),
            (Some(_), _) if flink => "window_time".to_owned(),
            (None, dialect) if flink => match (&place.read.time, dialect) {
                (Some(time), QueryDialect::Kinesis) => {
                    format!("CAST({} AS TIMESTAMP(3))", self.spelling.name(time))
                }
                (Some(time), _) => self.spelling.name(time),
                (None, _) => self.refuse(expr.at, "the time of rows that have no column for it"),
            },
            _ => "System.Timestamp()".to_owned(),
        })
    }

    fn window_time_of(&self, column: &str, windowed: &Windowed) -> String {
        match (self.spelling, column) {
            (Spelling::Flink, column) => column.to_owned(),
            (Spelling::StreamAnalytics, "window_end") => "DATEADD(millisecond, 1, System.Timestamp())".to_owned(),
            (Spelling::StreamAnalytics, "window_start") => {
                format!("DATEADD(millisecond, {}, System.Timestamp())", 1 - windowed.size_ms)
            }
            (Spelling::StreamAnalytics, _) => "System.Timestamp()".to_owned(),
        }
    }

    fn name(&mut self, parts: &[Ident], expr: &Expr, place: Place<'_>) -> String {
        let bound = match place.read.scope.resolve(parts) {
            Ok(bound) => bound,
            Err(error) => return self.refuse(expr.at, error.message),
        };
        if self.spelling == Spelling::Flink && bound.data_type == VALUE {
            return self
                .refuse(expr.at, format!("`{}`, a value without a fixed type", self.binder(place).text(&expr.span)));
        }
        // There a time column stands for the row's time, which has no name.
        let named = parts.last().filter(|_| self.ask.dialect == QueryDialect::Standard);
        self.column(named.map_or(&bound.text, |name| &name.text), place, expr.at)
    }

    fn literal(&mut self, value: &Literal, at: Position) -> String {
        match (value, self.spelling) {
            (Literal::Number(digits), Spelling::Flink) if is_fraction(digits) => format!("{digits}E0"),
            (Literal::Number(digits), _) => digits.clone(),
            (Literal::Text(text), _) => Spelling::text(text),
            (Literal::Boolean(true), Spelling::Flink) => "TRUE".to_owned(),
            (Literal::Boolean(false), Spelling::Flink) => "FALSE".to_owned(),
            (Literal::Boolean(value), Spelling::StreamAnalytics) => format!("CAST({} AS bit)", u8::from(*value)),
            (Literal::Null, _) => "NULL".to_owned(),
            (Literal::Interval(millis), Spelling::Flink) => Spelling::interval(*millis),
            (Literal::Interval(_), Spelling::StreamAnalytics) => self.refuse(at, "an interval"),
            (Literal::Timestamp(text), Spelling::Flink) => format!("TIMESTAMP {}", Spelling::text(text)),
            (Literal::Timestamp(text), Spelling::StreamAnalytics) => {
                format!("CAST({} AS datetime)", Spelling::text(&format!("{}Z", text.trim().replace(' ', "T"))))
            }
        }
    }

    /// An expression as an operand, in parentheses where it is made of several.
    pub(super) fn operand(&mut self, expr: &Expr, place: Place<'_>) -> String {
        let told = self.expression(expr, place);
        in_parentheses(expr, told)
    }

    /// Notes when two values are compared that are not of one type, or of types that are not known.
    fn meet(&mut self, left: &Expr, right: &Expr, at: Position, place: Place<'_>) {
        let null = |expr: &Expr| matches!(expr.kind, ExprKind::Literal(Literal::Null));
        if null(left) || null(right) {
            return;
        }
        let meets = match (self.type_of(left, place), self.type_of(right, place)) {
            (Some(left), Some(right)) => {
                left == right && left != VALUE || types::is_numeric(&left) && types::is_numeric(&right)
            }
            _ => false,
        };
        if !meets {
            self.refuse(at, "values of different types, or without a fixed one, that meet: CAST makes them one");
        }
    }

    fn binary(
        &mut self,
        operator: BinaryOperator,
        left: &Expr,
        right: &Expr,
        at: Position,
        place: Place<'_>,
    ) -> String {
        use BinaryOperator as B;
        let sign = match operator {
            B::Or => "OR",
            B::And => "AND",
            B::Equal => "=",
            B::NotEqual => "<>",
            B::Less => "<",
            B::LessOrEqual => "<=",
            B::Greater => ">",
            B::GreaterOrEqual => ">=",
            B::Add => "+",
            B::Subtract => "-",
            B::Multiply => "*",
            B::Divide => "/",
            B::Remainder => "%",
            B::Concatenate => "||",
            B::BitAnd | B::BitOr | B::BitXor => return self.refuse(at, "operators on bits"),
        };
        if matches!(operator, B::Equal | B::NotEqual | B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual) {
            self.meet(left, right, at, place);
        }
        let joins = matches!(operator, B::Concatenate | B::Add) && self.type_of(left, place) == Some(DataType::Utf8);
        let sign = match (joins, self.spelling) {
            (true, Spelling::Flink) => "||",
            (true, Spelling::StreamAnalytics) => "+",
            (false, _) => sign,
        };
        if let (B::Add | B::Subtract, ExprKind::Literal(Literal::Interval(length)), Spelling::StreamAnalytics) =
            (operator, &right.kind, self.spelling)
        {
            let length = if operator == B::Add { *length } else { -length };
            return format!("DATEADD({}, {})", Spelling::count(length), self.expression(left, place));
        }
        if matches!(operator, B::Divide | B::Remainder) && self.spelling == Spelling::Flink && !is_never_zero(right) {
            return self.refuse(
                at,
                "a division by what may be zero: it fails a row here and the job, or not at all, there; NULLIF(x, 0) tells both",
            );
        }
        let (left, right) = (self.operand(left, place), self.operand(right, place));
        format!("{left} {sign} {right}")
    }

    fn like(
        &mut self,
        operand: &Expr,
        pattern: &Expr,
        escape: Option<char>,
        negated: bool,
        at: Position,
        place: Place<'_>,
    ) -> String {
        let plain = matches!(&pattern.kind, ExprKind::Literal(Literal::Text(text)) if !text.contains(['[', '\\']));
        if !plain || escape.is_some() {
            return self.refuse(at, "LIKE with another pattern than a constant one of `%`, `_` and plain characters");
        }
        let (operand, pattern) = (self.operand(operand, place), self.expression(pattern, place));
        format!("{operand} {}LIKE {pattern}", not(negated))
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        at: Position,
        place: Place<'_>,
    ) -> String {
        if let Some((_, first)) = branches.first() {
            let others = branches[1..].iter().map(|(_, then)| then).chain(otherwise);
            others.for_each(|other| self.meet(first, other, at, place));
        }
        let mut told = "CASE".to_owned();
        if let Some(operand) = operand {
            branches.iter().for_each(|(when, _)| self.meet(operand, when, at, place));
            told.push_str(&format!(" {}", self.operand(operand, place)));
        }
        for (when, then) in branches {
            let when = self.expression(when, place);
            told.push_str(&format!(" WHEN {when} THEN {}", self.expression(then, place)));
        }
        if let Some(otherwise) = otherwise {
            told.push_str(&format!(" ELSE {}", self.expression(otherwise, place)));
        }
        format!("{told} END")
    }

    fn cast(
        &mut self,
        operand: &Expr,
        target: Option<DataType>,
        length: Option<usize>,
        at: Position,
        place: Place<'_>,
    ) -> String {
        let value = self.expression(operand, place);
        let (Some(from), Some(to)) = (self.type_of(operand, place), target) else {
            return self.refuse(at, "a CAST of a value without a fixed type");
        };
        let Some(name) = self.type_name(&to) else { return self.refuse(at, "a CAST to a type that is not there") };
        if length.is_some() && self.ask.dialect == QueryDialect::Kinesis && to == DataType::Utf8 {
            return self.refuse(at, "a CAST that checks the length of text");
        }
        let rounds = self.ask.dialect == QueryDialect::Kinesis;
        let cast = |value: &str| format!("CAST({value} AS {name})");
        match (from, &to) {
            (from, to) if from == *to => in_parentheses(operand, value),
            (DataType::Null, _) | (DataType::Int64, DataType::Float64 | DataType::Utf8) => cast(&value),
            (DataType::Float64, DataType::Int64) if !rounds => cast(&value),
            (DataType::Float64, DataType::Int64) if self.spelling == Spelling::Flink => {
                self.rewritten(at, "a double becomes a whole number by ROUND and CAST");
                cast(&format!("ROUND({value}, 0)"))
            }
            _ => self.refuse(at, "a CAST that fails, or writes its value, in another way"),
        }
    }

    /// What a type is called. Times that a service writes without a zone are read without one.
    pub(super) fn type_name(&self, data_type: &DataType) -> Option<&'static str> {
        match (data_type, self.ask.dialect, self.spelling) {
            (DataType::Timestamp(..), QueryDialect::Kinesis, Spelling::Flink) => Some("TIMESTAMP(3)"),
            _ => self.spelling.data_type(data_type),
        }
    }
}

/// Whether a number is a double in a query, and a decimal in Flink.
fn is_fraction(digits: &str) -> bool {
    digits.parse::<i64>().is_err() && !digits.contains(['e', 'E'])
}

/// Notes where the fractions of an expression end and begin.
fn note_fractions(expr: &Expr, found: &mut Vec<(usize, Position)>) {
    if matches!(&expr.kind, ExprKind::Literal(Literal::Number(digits)) if is_fraction(digits)) {
        found.push((expr.span.end, expr.at));
    }
    expr.kind.parts().into_iter().for_each(|part| note_fractions(part, found));
}

/// What an expression became, in parentheses where it is made of several. What calls and casts become stands for itself.
fn in_parentheses(expr: &Expr, told: String) -> String {
    match expr.kind {
        ExprKind::Name(_)
        | ExprKind::Literal(_)
        | ExprKind::Call(_)
        | ExprKind::Cast { .. }
        | ExprKind::Step { .. }
        | ExprKind::FloorTo { .. } => told,
        _ => format!("({told})"),
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

/// Whether a divisor cannot be zero: another number, or `NULLIF(x, 0)`.
fn is_never_zero(divisor: &Expr) -> bool {
    let zero = |expr: &Expr| match &expr.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse::<f64>().map(|number| number == 0.0).ok(),
        _ => None,
    };
    match &divisor.kind {
        ExprKind::Call(call) if call.full_name().eq_ignore_ascii_case("NULLIF") => {
            call.arguments.get(1).and_then(zero) == Some(true)
        }
        _ => zero(divisor) == Some(false),
    }
}

/// Whether an expression has an aggregate in it.
pub(super) fn aggregates_of(dialect: QueryDialect, expr: &Expr) -> bool {
    let own = matches!(&expr.kind, ExprKind::Call(call) if is_aggregate(dialect, call));
    own || expr.kind.parts().into_iter().any(|part| aggregates_of(dialect, part))
}

fn is_aggregate(dialect: QueryDialect, call: &Call) -> bool {
    function::is_aggregate(dialect, &call.full_name().to_uppercase())
}

/// Where an expression looks back to other rows.
pub(super) fn looks_back(dialect: QueryDialect, expr: &Expr) -> Option<Position> {
    match &expr.kind {
        ExprKind::Call(call) if function::looks_back(dialect, call) => Some(expr.at),
        kind => kind.parts().into_iter().find_map(|part| looks_back(dialect, part)),
    }
}
