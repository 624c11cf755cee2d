//! Calls: arguments in the types a function takes, and the functions whose types or syntax are their own.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::{Literal, case, is_not_null};
use millstream_catalog::QueryDialect;

use super::function::{self, Argument, Function, Outcome};
use super::kernel;
use super::regex::{self, PatternError};
use super::scope::{METADATA, is_unknown, literal};
use super::suggest::nearest;
use super::{Binder, Scope, cast, internal, log, number, standard, text, time, types, user_defined};
use crate::dialect::interval::unit_millis;
use crate::dialect::syntax::{BinaryOperator, Call, Expr, ExprKind, Ident, Literal as SyntaxLiteral, TypeName};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::{ScalarExpr, TIMESTAMP, VALUE};

impl Binder<'_> {
    pub(super) fn call(&self, call: &Call, expr: &Expr) -> Result<ScalarExpr, PlanError> {
        let name = call.full_name().to_uppercase();
        if function::looks_back(self.dialect, call) {
            return Err(misplaced_analytic(self.dialect, &name, expr.at));
        }
        if function::is_aggregate(self.dialect, &name) {
            return Err(misplaced_aggregate(&name, expr.at));
        }
        if let Some(function) = &call.user {
            return self.user_defined(function, &call.arguments, expr.at);
        }
        if call.star || call.distinct {
            let message = format!("only aggregates take `*` or DISTINCT, `{name}` does not");
            return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message));
        }
        if name == "SUBSTRING"
            && let Some(found) = self.first_match(&call.arguments, expr.at)?
        {
            return Ok(found);
        }
        if self.dialect == QueryDialect::Kinesis && log::is_parser(&name) {
            let line = call.arguments.first().map(|line| self.argument(Argument::Text, line)).transpose()?;
            return log::bind(call, line.unwrap_or_else(|| literal(ScalarValue::Utf8(None))), expr);
        }
        if let Some(special) = self.special(&name, &call.arguments, expr.at)? {
            return Ok(special);
        }
        let found = function::find(self.dialect, &name).ok_or_else(|| self.unknown_function(&name, expr.at))?;
        self.plain(found, &call.arguments, expr.at)
    }

    fn special(&self, name: &str, arguments: &[Expr], at: Position) -> Result<Option<ScalarExpr>, PlanError> {
        let special = function::SPECIAL.iter().find(|special| special.0 == name);
        if !special.is_some_and(|special| function::speaks(self.dialect, special.1)) {
            return Ok(None);
        }
        let expect = |count: usize| check_count(name, arguments.len(), count..=count, at);
        Ok(Some(match name {
            "COALESCE" => {
                check_count(name, arguments.len(), 1..=usize::MAX, at)?;
                let values = self.unify(self.all(arguments)?, name, at)?;
                first_not_null(values)?
            }
            "NULLIF" => {
                expect(2)?;
                let values = self.unify(self.all(arguments)?, name, at)?;
                let values: Vec<ScalarExpr> = values.into_iter().map(types::comparable).collect();
                let data_type = values[0].data_type.clone();
                kernel::call("nullif", null_if_equal, &values, data_type)
            }
            "MOD" => {
                expect(2)?;
                let (left, right) = (self.bind(&arguments[0])?, self.bind(&arguments[1])?);
                self.binary(BinaryOperator::Remainder, left, right, at)?
            }
            "MONOTONIC" => {
                expect(1)?;
                self.bind(&arguments[0])?
            }
            "POWER" => {
                expect(2)?;
                self.power(arguments)?
            }
            "SPACE" => {
                expect(1)?;
                let count = self.argument(Argument::Integer, &arguments[0])?;
                let blank = literal(ScalarValue::Utf8(Some(" ".to_owned())));
                kernel::call("replicate", text::replicate, &[blank, count], DataType::Utf8)
            }
            "DAY" | "DAYOFMONTH" | "DAYOFWEEK" | "DAYOFYEAR" | "HOUR" | "MINUTE" | "MONTH" | "QUARTER" | "SECOND"
            | "WEEK" | "YEAR" => {
                expect(1)?;
                let extracted = match name {
                    "DAYOFMONTH" => "DAY",
                    "DAYOFWEEK" => "DOW",
                    "DAYOFYEAR" => "DOY",
                    _ => name,
                };
                let unit = literal(ScalarValue::Utf8(time::standard_unit(extracted).map(str::to_owned)));
                let value = self.argument(Argument::Timestamp, &arguments[0])?;
                kernel::call("date_part", time::part, &[unit, value], DataType::Int64)
            }
            "GETMETADATAPROPERTYVALUE" => self.metadata(arguments, at)?,
            "CONCAT" | "DATE_FORMAT" | "TIMESTAMPDIFF" | "TO_TIMESTAMP" | "TO_TIMESTAMP_LTZ" => {
                self.standard(name, arguments, at)?
            }
            _ => self.scope.rowtime(),
        }))
    }

    /// Functions of the standard dialect.
    fn standard(&self, name: &str, arguments: &[Expr], at: Position) -> Result<ScalarExpr, PlanError> {
        let expect = |count: usize| check_count(name, arguments.len(), count..=count, at);
        match name {
            "CONCAT" => {
                check_count(name, arguments.len(), 1..=usize::MAX, at)?;
                // NULL makes NULL of all, as `||` does.
                let mut texts = arguments.iter().map(|argument| self.argument(Argument::Text, argument));
                let first = texts.next().unwrap_or_else(|| Ok(literal(ScalarValue::Utf8(None))))?;
                texts.try_fold(first, |joined, text| self.binary(BinaryOperator::Concatenate, joined, text?, at))
            }
            "DATE_FORMAT" => {
                expect(2)?;
                let value = self.argument(Argument::Timestamp, &arguments[0])?;
                let pattern = self.argument(Argument::Text, &arguments[1])?;
                Ok(kernel::call("date_format", standard::date_format, &[pattern, value], DataType::Utf8))
            }
            "TIMESTAMPDIFF" => {
                expect(3)?;
                self.whole_units(arguments, at)
            }
            "TO_TIMESTAMP" => {
                expect(1)?;
                // A text that is no time is NULL in Flink.
                Ok(types::convert(self.argument(Argument::Text, &arguments[0])?, &TIMESTAMP, true))
            }
            _ => {
                expect(2)?;
                self.of_epoch(arguments, at)
            }
        }
    }

    /// `TIMESTAMPDIFF(unit, from, to)`: how many whole units have passed.
    fn whole_units(&self, arguments: &[Expr], at: Position) -> Result<ScalarExpr, PlanError> {
        let named = match &arguments[0].kind {
            ExprKind::Name(parts) => parts.first().and_then(|unit| unit_millis(&unit.text)),
            _ => None,
        };
        let unit_ms = named.ok_or_else(|| {
            let message = "not supported yet: TIMESTAMPDIFF in units whose length varies";
            PlanError::new(PlanErrorCode::NotSupported, at, message).hint("SECOND, MINUTE, HOUR or DAY")
        })?;
        let (from, to) =
            (self.argument(Argument::Timestamp, &arguments[1])?, self.argument(Argument::Timestamp, &arguments[2])?);
        let passed = kernel::call("tsdiff", time::difference, &[to, from], DataType::Int64);
        self.binary(BinaryOperator::Divide, passed, literal(ScalarValue::Int64(Some(unit_ms))), at)
    }

    /// `TO_TIMESTAMP_LTZ(number, precision)`: of seconds (0) or milliseconds (3) since 1970.
    fn of_epoch(&self, arguments: &[Expr], at: Position) -> Result<ScalarExpr, PlanError> {
        let count = self.argument(Argument::Integer, &arguments[0])?;
        let digits = match &arguments[1].kind {
            ExprKind::Literal(SyntaxLiteral::Number(digits)) => digits.as_str(),
            _ => "",
        };
        let millis = match digits {
            "3" => count,
            "0" => self.binary(BinaryOperator::Multiply, count, literal(ScalarValue::Int64(Some(1_000))), at)?,
            _ => {
                let message = "TO_TIMESTAMP_LTZ takes a number and its precision: 0 of seconds, 3 of milliseconds";
                return Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint("TO_TIMESTAMP_LTZ(ms, 3)"));
            }
        };
        Ok(kernel::call("to_timestamp", time::from_millis, &[millis], TIMESTAMP))
    }

    pub(super) fn all(&self, arguments: &[Expr]) -> Result<Vec<ScalarExpr>, PlanError> {
        arguments.iter().map(|argument| self.bind(argument)).collect()
    }

    /// `POWER` of a bigint is a bigint in Stream Analytics.
    fn power(&self, arguments: &[Expr]) -> Result<ScalarExpr, PlanError> {
        let base = self.argument(Argument::Number, &arguments[0])?;
        let exponent = self.argument(Argument::Double, &arguments[1])?;
        if base.data_type == DataType::Int64 {
            return Ok(kernel::call("power", number::integer_power, &[base, exponent], DataType::Int64));
        }
        Ok(kernel::call("power", number::power, &[base, exponent], DataType::Float64))
    }

    fn plain(&self, function: &Function, given: &[Expr], at: Position) -> Result<ScalarExpr, PlanError> {
        let most = if function.variadic { usize::MAX } else { function.arguments.len() };
        check_count(function.name, given.len(), function.required..=most, at)?;
        let mut arguments = Vec::with_capacity(given.len());
        for (place, argument) in given.iter().enumerate() {
            let kind = function.arguments[place.min(function.arguments.len() - 1)];
            arguments.push(self.argument(kind, argument)?);
        }
        if function.name.starts_with("TRIM") && arguments.len() == 2 {
            // `TRIM(characters FROM text)`: the function takes the text first.
            arguments.swap(0, 1);
        }
        self.check_pattern(function.name, &arguments, at)?;
        let first = arguments.first().map_or(DataType::Utf8, |argument| argument.data_type.clone());
        let data_type = match function.result {
            Outcome::Text => DataType::Utf8,
            Outcome::Integer => DataType::Int64,
            Outcome::Double => DataType::Float64,
            Outcome::Timestamp => TIMESTAMP,
            Outcome::Value => VALUE,
            Outcome::First => first.clone(),
        };
        if first == DataType::Int64 && matches!(function.name, "CEIL" | "CEILING" | "FLOOR") {
            // A whole number is its own floor and ceiling.
            return Ok(arguments.swap_remove(0));
        }
        Ok(kernel::call(function.name, function.kernel, &arguments, data_type))
    }

    /// Refuses a constant regular expression that cannot be matched. One that is none matches nothing in Stream Analytics.
    fn check_pattern(&self, name: &str, arguments: &[ScalarExpr], at: Position) -> Result<(), PlanError> {
        if !matches!(name, "REGEXMATCH" | "REGEX_REPLACE" | "REGEXP_EXTRACT" | "SUBSTRING") {
            return Ok(());
        }
        let constant = arguments.get(1).and_then(|pattern| pattern.physical.downcast_ref::<Literal>());
        let Some(ScalarValue::Utf8(Some(pattern))) = constant.map(Literal::value) else { return Ok(()) };
        match regex::refused(pattern) {
            Some(error @ PatternError::NotSupported(_)) => {
                Err(PlanError::new(PlanErrorCode::NotSupported, at, error.to_string()))
            }
            Some(error) if self.dialect != QueryDialect::StreamAnalytics => {
                Err(PlanError::new(PlanErrorCode::Syntax, at, error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// `SUBSTRING(text FROM pattern)` of Kinesis' language: the first match of a regular expression.
    fn first_match(&self, arguments: &[Expr], at: Position) -> Result<Option<ScalarExpr>, PlanError> {
        let [text, pattern] = arguments else { return Ok(None) };
        let pattern = self.bind(pattern)?;
        if self.dialect != QueryDialect::Kinesis || pattern.data_type != DataType::Utf8 {
            return Ok(None);
        }
        let arguments = [self.argument(Argument::Text, text)?, pattern];
        self.check_pattern("SUBSTRING", &arguments, at)?;
        Ok(Some(kernel::call("first_match", regex::first_match, &arguments, DataType::Utf8)))
    }

    /// `GetMetadataPropertyValue(input, '[EventHub].[name]')`: what is known of where an event came from.
    fn metadata(&self, arguments: &[Expr], at: Position) -> Result<ScalarExpr, PlanError> {
        let [input, property] = arguments else {
            return Err(PlanError::new(PlanErrorCode::Syntax, at, "expected an input and the name of a property"));
        };
        let (ExprKind::Name(input), ExprKind::Literal(SyntaxLiteral::Text(path))) = (&input.kind, &property.kind)
        else {
            let message = "expected the name of an input, and that of a property in quotes";
            return Err(PlanError::new(PlanErrorCode::Syntax, at, message)
                .hint("GetMetadataPropertyValue(input, '[EventHub].[EventEnqueuedUtcTime]')"));
        };
        let parts: Vec<&str> = path.split('.').map(|part| part.trim_matches(['[', ']', ' '])).collect();
        let bound = match parts.as_slice() {
            [hub, name] if hub.eq_ignore_ascii_case("EventHub") => {
                let name = Ident { text: format!("{METADATA}{name}"), at: property.at };
                self.name(&input.iter().cloned().chain([name]).collect::<Vec<_>>()).ok()
            }
            _ => None,
        };
        bound.ok_or_else(|| {
            let message = format!("not supported yet: the property `{path}` of events");
            PlanError::new(PlanErrorCode::NotSupported, property.at, message).hint(
                "'[EventHub].[name]' of EventEnqueuedUtcTime, EventProcessedUtcTime, PartitionId, PartitionKey or \
                 SequenceNumber",
            )
        })
    }

    fn argument(&self, kind: Argument, argument: &Expr) -> Result<ScalarExpr, PlanError> {
        if kind == Argument::Unit {
            return unit(self.dialect, argument);
        }
        if let (Argument::Timestamp, ExprKind::Name(parts), Scope::Row(rows)) = (kind, &argument.kind, self.scope)
            && let [name] = parts.as_slice()
            && let Some(time) = rows.time_of(name)
        {
            return Ok(ScalarExpr { text: name.text.clone(), ..time });
        }
        let value = self.bind(argument)?;
        match kind {
            Argument::Text => self.typed(value, &DataType::Utf8, argument.at),
            Argument::AsText => {
                let to = TypeName { name: "NVARCHAR".to_owned(), length: None, at: argument.at };
                cast::cast(self.dialect, value, &to, false)
            }
            Argument::Value if value.data_type == VALUE || is_unknown(&value.data_type) => {
                Ok(types::convert(value, &VALUE, false))
            }
            Argument::Value => {
                let found = types::name(self.dialect, &value.data_type);
                let message = format!("expected a record or an array, found `{}`, which is {found}", value.text);
                Err(PlanError::new(PlanErrorCode::Type, argument.at, message))
            }
            Argument::AsValue => Ok(types::convert(value, &VALUE, false)),
            Argument::Any if is_unknown(&value.data_type) => Ok(types::convert(value, &VALUE, false)),
            Argument::Any => Ok(value),
            // Fractions are cut where a whole number is needed (`DATEADD(hour, 2.9, t)`).
            Argument::Integer
                if self.dialect == QueryDialect::StreamAnalytics && types::is_numeric(&value.data_type) =>
            {
                Ok(types::convert(value, &DataType::Int64, false))
            }
            Argument::Integer => self.typed(value, &DataType::Int64, argument.at),
            Argument::Double => self.typed(value, &DataType::Float64, argument.at),
            Argument::Number if value.data_type == DataType::Int64 => Ok(value),
            Argument::Number => self.typed(value, &DataType::Float64, argument.at),
            Argument::Timestamp | Argument::Unit => self.typed(value, &TIMESTAMP, argument.at),
        }
    }

    fn unknown_function(&self, name: &str, at: Position) -> PlanError {
        if function::is_later(self.dialect, name) {
            let message = format!("not supported yet: {name}");
            return PlanError::new(PlanErrorCode::NotSupported, at, message);
        }
        if self.dialect == QueryDialect::Kinesis && function::TABLE_FUNCTIONS.contains(&name) {
            return PlanError::new(PlanErrorCode::Syntax, at, format!("{name} gives rows, not a value"))
                .hint(format!("FROM TABLE({name}(CURSOR(SELECT STREAM * FROM s), …))"));
        }
        if self.dialect == QueryDialect::StreamAnalytics && matches!(name, "GETARRAYELEMENTS" | "GETRECORDPROPERTIES") {
            return PlanError::new(PlanErrorCode::Syntax, at, format!("{name} gives rows, not a value"))
                .hint(format!("FROM input CROSS APPLY {name}(x) AS part"));
        }
        if self.dialect == QueryDialect::StreamAnalytics && name.starts_with("UDF.") {
            return user_defined::unknown(name, at);
        }
        let language = match self.dialect {
            QueryDialect::Kinesis => "Kinesis Data Analytics",
            QueryDialect::StreamAnalytics => "Stream Analytics",
            QueryDialect::Standard => "the standard dialect",
        };
        let error = PlanError::new(PlanErrorCode::UnknownFunction, at, format!("{language} has no function `{name}`"));
        match nearest(name, function::names(self.dialect)) {
            Some(near) => error.hint(near),
            None => error,
        }
    }
}

/// The aggregates an expression calls, outermost first, with their places.
pub(crate) fn aggregates<'a>(dialect: QueryDialect, expr: &'a Expr, found: &mut Vec<(&'a Call, &'a Expr)>) {
    if let ExprKind::Call(call) = &expr.kind
        && function::is_aggregate(dialect, &call.full_name().to_uppercase())
        && !function::looks_back(dialect, call)
    {
        found.push((call, expr));
        return;
    }
    for part in expr.kind.parts() {
        aggregates(dialect, part, found);
    }
}

/// The first value that is not NULL.
fn first_not_null(mut values: Vec<ScalarExpr>) -> Result<ScalarExpr, PlanError> {
    let Some(mut last) = values.pop() else { return Ok(literal(ScalarValue::Null)) };
    if values.is_empty() {
        return Ok(last);
    }
    let whens = values.into_iter().map(|value| {
        let when = is_not_null(Arc::clone(&value.physical))?;
        Ok((when, value.physical))
    });
    let whens = whens.collect::<datafusion_common::Result<Vec<_>>>().map_err(|error| internal(&error))?;
    last.physical = case(None, whens, Some(last.physical)).map_err(|error| internal(&error))?;
    Ok(ScalarExpr { nullable: true, ..last })
}

fn unit(dialect: QueryDialect, argument: &Expr) -> Result<ScalarExpr, PlanError> {
    let error = || {
        let standard = "YEAR, QUARTER, MONTH, WEEK, DOY, DAY, DOW, HOUR, MINUTE or SECOND";
        let others = "year, month, day, hour, minute, second or millisecond";
        PlanError::new(PlanErrorCode::Syntax, argument.at, "expected a unit of time")
            .hint(if dialect == QueryDialect::Standard { standard } else { others })
    };
    let ExprKind::Name(parts) = &argument.kind else { return Err(error()) };
    let [Ident { text, .. }] = parts.as_slice() else { return Err(error()) };
    let name = match dialect {
        QueryDialect::Standard => time::standard_unit(text),
        QueryDialect::Kinesis | QueryDialect::StreamAnalytics => time::unit_name(text),
    };
    let name = name.ok_or_else(error)?;
    Ok(literal(ScalarValue::Utf8(Some(name.to_owned()))))
}

fn check_count(
    name: &str,
    given: usize,
    taken: std::ops::RangeInclusive<usize>,
    at: Position,
) -> Result<(), PlanError> {
    if taken.contains(&given) {
        return Ok(());
    }
    let expected = match (taken.start(), taken.end()) {
        (least, &usize::MAX) => format!("at least {least}"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    Err(PlanError::new(PlanErrorCode::Syntax, at, format!("{name} takes {expected} argument(s), found {given}")))
}

/// `NULLIF(a, b)` of two values of one type.
fn null_if_equal(arguments: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let equal = arrow::compute::kernels::cmp::eq(&arguments[0], &arguments[1])?;
    arrow::compute::nullif(&arguments[0], &equal)
}

fn misplaced_analytic(dialect: QueryDialect, name: &str, at: Position) -> PlanError {
    let (place, hint) = match dialect {
        QueryDialect::Kinesis => ("in WHERE", "a stream of its own, and a pump that reads it"),
        QueryDialect::StreamAnalytics => ("in TIMESTAMP BY", "a step of its own: WITH step AS (SELECT …)"),
        QueryDialect::Standard => ("here", "a view of its own: CREATE VIEW v AS SELECT …"),
    };
    let message = format!("{name} looks back to other rows and can stand neither inside such a function nor {place}");
    PlanError::new(PlanErrorCode::Syntax, at, message).hint(hint)
}

fn misplaced_aggregate(name: &str, at: Position) -> PlanError {
    let message = format!("the aggregate {name} cannot stand here: here are single rows, not groups");
    PlanError::new(PlanErrorCode::NotGrouped, at, message)
        .hint("conditions on aggregates go into HAVING; an aggregate inside an aggregate needs a step of its own")
}
