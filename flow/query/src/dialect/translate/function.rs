//! Functions and aggregates in the other language's words: those that give the same there. All others are refused by name.

use arrow::datatypes::DataType;
use millstream_catalog::QueryDialect;

use super::super::syntax::{Call, Expr, ExprKind, Literal};
use super::Writer;
use super::expression::Place;
use super::spelling::Spelling;
use crate::error::Position;
use crate::expression::{function, types};
use crate::plan::{AggregateFunction as A, TIMESTAMP};

/// Functions whose arguments are the same: the names in the query's languages, Flink's and Stream Analytics'.
const SAME: [(&[&str], Option<&str>, Option<&str>); 16] = [
    (&["ABS"], Some("ABS"), Some("ABS")),
    (&["CEIL", "CEILING"], Some("CEIL"), Some("CEILING")),
    (&["CHAR_LENGTH", "CHARACTER_LENGTH"], Some("CHAR_LENGTH"), None),
    (&["COALESCE"], Some("COALESCE"), Some("COALESCE")),
    (&["EXP"], Some("EXP"), Some("EXP")),
    (&["FLOOR"], Some("FLOOR"), Some("FLOOR")),
    (&["LN"], Some("LN"), None),
    (&["LOG10"], Some("LOG10"), None),
    (&["LOWER"], Some("LOWER"), Some("LOWER")),
    (&["MOD"], Some("MOD"), None),
    (&["NULLIF"], Some("NULLIF"), Some("NULLIF")),
    (&["REPLACE"], Some("REPLACE"), Some("REPLACE")),
    (&["REVERSE"], Some("REVERSE"), Some("REVERSE")),
    (&["SIGN"], Some("SIGN"), Some("SIGN")),
    (&["SQRT"], Some("SQRT"), Some("SQRT")),
    (&["UPPER"], Some("UPPER"), Some("UPPER")),
];

/// The parts of a time that both languages count alike.
const PARTS: [&str; 6] = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];

/// The beginning of time, as queries write it that count from there.
const EPOCH: [&str; 3] = ["1970-01-01T00:00:00Z", "1970-01-01", "1970-01-01T00:00:00.000Z"];

impl Writer<'_> {
    pub(super) fn call(&mut self, call: &Call, expr: &Expr, place: Place<'_>) -> String {
        let name = call.full_name().to_uppercase();
        if let Some(aggregate) = function::aggregate(self.ask.dialect, &name) {
            return self.aggregate(aggregate, call, expr.at, place);
        }
        if let Some(told) = self.special(&name, call, expr.at, place) {
            return told;
        }
        let same = SAME.iter().find(|(names, ..)| names.contains(&name.as_str()));
        let told = same.and_then(|(_, flink, azure)| if self.spelling == Spelling::Flink { *flink } else { *azure });
        let Some(told) = told.filter(|_| call.user.is_none()) else {
            return self.refuse(expr.at, format!("{name}: no function there that is known to give the same"));
        };
        let arguments: Vec<String> = call.arguments.iter().map(|argument| self.expression(argument, place)).collect();
        if name == "REPLACE" && !call.arguments.get(1).is_some_and(is_some_text) {
            return self.refuse(expr.at, "REPLACE of what may be an empty text, which Flink finds everywhere");
        }
        format!("{told}({})", arguments.join(", "))
    }

    /// Functions that are told in another form; `None`: it is none of these.
    fn special(&mut self, name: &str, call: &Call, at: Position, place: Place<'_>) -> Option<String> {
        let flink = self.spelling == Spelling::Flink;
        let arguments = call.arguments.as_slice();
        Some(match (name, arguments) {
            ("EXTRACT" | "DATEPART", [unit, time]) => {
                let unit = unit_of(unit)?;
                self.part(&unit, time, at, place)
            }
            ("YEAR" | "MONTH" | "DAY", [time]) => self.part(name, time, at, place),
            ("SUBSTRING", [text, rest @ ..]) => self.substring(text, rest, at, place),
            ("CONCAT", texts) if flink && self.ask.dialect == QueryDialect::StreamAnalytics => {
                if texts.iter().any(|text| self.type_of(text, place) != Some(DataType::Utf8)) {
                    return Some(self.refuse(at, "CONCAT of what is no text"));
                }
                self.rewritten(at, "CONCAT takes NULL for an empty text by COALESCE");
                let parts: Vec<String> =
                    texts.iter().map(|text| format!("COALESCE({}, '')", self.expression(text, place))).collect();
                format!("CONCAT({})", parts.join(", "))
            }
            ("DATEADD", [unit, count, time]) if flink => self.moved(unit, count, time, at, place),
            _ => return None,
        })
    }

    fn part(&mut self, unit: &str, time: &Expr, at: Position, place: Place<'_>) -> String {
        if !PARTS.contains(&unit) {
            return self.refuse(at, format!("the part {unit} of a time"));
        }
        if self.type_of(time, place) != Some(TIMESTAMP) {
            return self.refuse(at, "a part of what is no time");
        }
        let time = self.expression(time, place);
        match self.spelling {
            Spelling::Flink => format!("EXTRACT({unit} FROM {time})"),
            Spelling::StreamAnalytics => format!("DATEPART({}, {time})", unit.to_lowercase()),
        }
    }

    fn substring(&mut self, text: &Expr, rest: &[Expr], at: Position, place: Place<'_>) -> String {
        let whole = |expr: &Expr| match &expr.kind {
            ExprKind::Literal(Literal::Number(digits)) => digits.parse::<i64>().ok(),
            _ => None,
        };
        let numbers: Option<Vec<i64>> = rest.iter().map(whole).collect();
        let text = self.expression(text, place);
        match (numbers.as_deref(), self.spelling) {
            (Some([from, length]), Spelling::StreamAnalytics) if *from >= 1 => {
                format!("SUBSTRING({text}, {from}, {length})")
            }
            (Some([from, length]), Spelling::Flink) if *from >= 1 => {
                format!("SUBSTRING({text} FROM {from} FOR {length})")
            }
            (Some([from]), Spelling::Flink) if *from >= 1 => format!("SUBSTRING({text} FROM {from})"),
            _ => self.refuse(at, "SUBSTRING from another place than a number from 1"),
        }
    }

    /// `DATEADD(unit, count, time)` for Flink: of a constant count, or from the beginning of time.
    fn moved(&mut self, unit: &Expr, count: &Expr, time: &Expr, at: Position, place: Place<'_>) -> String {
        let unit = unit_of(unit).unwrap_or_default();
        let epoch = matches!(&time.kind, ExprKind::Literal(Literal::Text(text)) if EPOCH.contains(&text.as_str()));
        let digits = match unit.as_str() {
            "MILLISECOND" | "MS" => Some(3),
            "SECOND" | "SS" | "S" => Some(0),
            _ => None,
        };
        if let (true, Some(digits), Some(DataType::Int64)) = (epoch, digits, self.type_of(count, place)) {
            return format!("TO_TIMESTAMP_LTZ({}, {digits})", self.expression(count, place));
        }
        match (super::super::window_call::length_of(&unit, count), self.type_of(time, place)) {
            (Some(length), Some(data_type)) if data_type == TIMESTAMP => {
                format!("({} + {})", self.operand(time, place), Spelling::interval(length))
            }
            _ => self.refuse(at, "DATEADD of a count that is no constant, or to what is no time"),
        }
    }

    fn aggregate(&mut self, aggregate: A, call: &Call, at: Position, place: Place<'_>) -> String {
        let rows = Place { windowed: None, ..place };
        let Some(argument) = call.arguments.first() else { return "COUNT(*)".to_owned() };
        let data_type = self.type_of(argument, rows);
        let numeric = data_type.as_ref().is_some_and(types::is_numeric);
        let value = self.expression(argument, rows);
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let flink = self.spelling == Spelling::Flink;
        let whole = data_type == Some(DataType::Int64);
        let truncates = self.ask.dialect != QueryDialect::StreamAnalytics;
        let spread = match aggregate {
            A::StdDevSample => ("STDDEV_SAMP", "STDEV"),
            A::StdDevPopulation => ("STDDEV_POP", "STDEVP"),
            A::VarianceSample => ("VAR_SAMP", "VAR"),
            A::VariancePopulation => ("VAR_POP", "VARP"),
            A::Count => return format!("COUNT({distinct}{value})"),
            A::Sum if numeric => return format!("SUM({distinct}{value})"),
            A::Avg if numeric => return self.average(&value, distinct, whole, truncates, at),
            A::Min | A::Max => {
                let ordered = numeric || data_type == Some(TIMESTAMP);
                let name = if aggregate == A::Min { "MIN" } else { "MAX" };
                return match ordered || (flink && truncates && data_type == Some(DataType::Utf8)) {
                    true => format!("{name}({value})"),
                    false => self.refuse(at, format!("{name} of what is neither a number nor a time")),
                };
            }
            _ => return self.refuse(at, format!("{} of such values", call.full_name())),
        };
        match (numeric, flink, whole) {
            (false, ..) => self.refuse(at, format!("{} of what is no number", call.full_name())),
            (true, true, true) => {
                self.rewritten(at, "of whole numbers after a CAST to DOUBLE, which Flink would else give whole");
                format!("{}(CAST({value} AS DOUBLE))", spread.0)
            }
            (true, true, false) => format!("{}({value})", spread.0),
            (true, false, _) => format!("{}({value})", spread.1),
        }
    }

    fn average(&mut self, value: &str, distinct: &str, whole: bool, truncates: bool, at: Position) -> String {
        match (self.spelling, whole, truncates) {
            (Spelling::Flink, true, false) => {
                self.rewritten(at, "AVG of whole numbers after a CAST to DOUBLE, which Flink would else give whole");
                format!("AVG({distinct}CAST({value} AS DOUBLE))")
            }
            (Spelling::StreamAnalytics, true, true) => {
                self.rewritten(at, "AVG of whole numbers, a whole number, is SUM divided by COUNT");
                format!("(SUM({distinct}{value}) / NULLIF(COUNT({distinct}{value}), 0))")
            }
            _ => format!("AVG({distinct}{value})"),
        }
    }

    /// The type of an aggregate's result.
    pub(super) fn aggregate_type(&self, call: &Call, place: Place<'_>) -> Option<DataType> {
        let aggregate = function::aggregate(self.ask.dialect, &call.full_name().to_uppercase())?;
        let argument = call.arguments.first().and_then(|argument| self.type_of(argument, place));
        let truncates = self.ask.dialect != QueryDialect::StreamAnalytics;
        match aggregate {
            A::Count => Some(DataType::Int64),
            A::Sum | A::Min | A::Max => argument,
            A::Avg if truncates && argument == Some(DataType::Int64) => Some(DataType::Int64),
            A::Collect | A::TopOne => None,
            _ => Some(DataType::Float64),
        }
    }
}

/// Whether an expression is a constant text that is not empty.
fn is_some_text(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Literal(Literal::Text(text)) if !text.is_empty())
}

/// The name of a unit of time, in upper case.
fn unit_of(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(parts) => parts.first().map(|unit| unit.text.to_uppercase()),
        _ => None,
    }
}
