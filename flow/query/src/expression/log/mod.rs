//! Kinesis' log parsers: a line of text becomes a record, whose fields the `SELECT` around it reads by name.
//!
//! `REGEX_LOG_PARSE`, `FAST_REGEX_LOG_PARSER`, `W3C_LOG_PARSE`, `SYS_LOG_PARSE`, `VARIABLE_COLUMN_LOG_PARSE` and
//! `FIXED_COLUMN_LOG_PARSE`, as their pages in the SQL reference describe them. A record travels as JSON of texts; a field gets its
//! type where it is read. All but the line is constant, so that fields are known when a query is planned. Read next: `columns.rs`
//! (declared columns), `web.rs` (formats of web servers), `fast.rs` (patterns that are searched piece by piece).

mod columns;
mod fast;
mod web;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, LargeStringArray};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use regex::Regex;

use self::columns::{Fixed, Variable};
use self::fast::Pieces;
use super::kernel;
use super::regex::{PatternError, java};
use super::time_pattern::TimePattern;
use crate::dialect::syntax::{Call, Expr, ExprKind, Literal};
use crate::error::{PlanError, PlanErrorCode};
use crate::plan::{ScalarExpr, TIMESTAMP, VALUE};
use crate::value::json::quoted;

/// Names of fields and their types.
pub(crate) type Fields = Vec<(String, DataType)>;

/// The parsers, each with how many constants it takes behind the line.
const PARSERS: [(&str, std::ops::RangeInclusive<usize>); 7] = [
    ("REGEX_LOG_PARSE", 1..=1),
    ("FAST_REGEX_LOG_PARSE", 1..=1),
    ("FAST_REGEX_LOG_PARSER", 1..=1),
    ("W3C_LOG_PARSE", 1..=1),
    ("SYS_LOG_PARSE", 0..=0),
    ("VARIABLE_COLUMN_LOG_PARSE", 2..=4),
    ("FIXED_COLUMN_LOG_PARSE", 1..=1),
];

/// The fields of a record are found by its name: the number of its column.
const FIELD: &str = "COLUMN";

/// A parser with its constants.
enum Parser {
    /// The groups of a pattern that the whole line matches.
    Pattern(Regex),
    Pieces(Pieces),
    System {
        line: Regex,
        time: TimePattern,
    },
    Variable(Variable),
    Fixed(Fixed),
}

/// A line's fields: `None` where a field is not there.
type Found = Vec<Option<String>>;

/// Whether a name is one of a log parser.
pub(crate) fn is_parser(name: &str) -> bool {
    PARSERS.iter().any(|(known, _)| *known == name)
}

/// The names of the parsers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PARSERS.iter().map(|(name, _)| *name)
}

/// A call over the bound line: its record.
pub(crate) fn bind(call: &Call, line: ScalarExpr, expr: &Expr) -> Result<ScalarExpr, PlanError> {
    let name = call.full_name();
    let constants = constants(call, expr)?;
    let parser = parser(&name, &constants).map_err(|reason| told(&reason, expr))?;
    let fields = parser.fields();
    let called = format!("{name}({})", constants.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "));
    let kernel = move |given: &[ArrayRef]| parsed(&name, &parser, &fields, given);
    Ok(kernel::call(called, kernel, &[line], VALUE))
}

/// The fields of a call's record.
pub(crate) fn fields(call: &Call, expr: &Expr) -> Result<Fields, PlanError> {
    let constants = constants(call, expr)?;
    parser(&call.full_name(), &constants).map(|parser| parser.fields()).map_err(|reason| told(&reason, expr))
}

fn told(reason: &str, expr: &Expr) -> PlanError {
    let code = match reason.starts_with("not supported yet") {
        true => PlanErrorCode::NotSupported,
        false => PlanErrorCode::Syntax,
    };
    PlanError::new(code, expr.at, reason)
}

/// What stands behind the line, as texts.
fn constants(call: &Call, expr: &Expr) -> Result<Vec<String>, PlanError> {
    let name = call.full_name();
    let counts = PARSERS.iter().find(|(known, _)| *known == name).map_or(0..=0, |(_, counts)| counts.clone());
    let given = call.arguments.get(1..).unwrap_or_default();
    if call.arguments.is_empty() || !counts.contains(&given.len()) {
        let (least, most) = (counts.start() + 1, counts.end() + 1);
        let message = format!("{name} takes {least} to {most} argument(s), found {}", call.arguments.len());
        return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message));
    }
    let text = |argument: &Expr| match &argument.kind {
        ExprKind::Literal(Literal::Text(text) | Literal::Number(text)) => Ok(text.clone()),
        _ => {
            let message = format!("{name} takes constants behind its line, so that the record's fields are known");
            Err(PlanError::new(PlanErrorCode::Syntax, argument.at, message))
        }
    };
    given.iter().map(text).collect()
}

/// A parser, or why there is none.
fn parser(name: &str, constants: &[String]) -> Result<Parser, String> {
    let first = constants.first().map_or("", String::as_str);
    match name {
        "REGEX_LOG_PARSE" => java(first).map(Parser::Pattern).map_err(|error| error.to_string()),
        "W3C_LOG_PARSE" => web::pattern(first).map(Parser::Pattern),
        "SYS_LOG_PARSE" => {
            let line = whole(r"(?:<[0-9]+>)?([A-Z][a-z]{2} +[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}) ?(.*)")?;
            Ok(Parser::System { line, time: TimePattern::new("MMM d HH:mm:ss")? })
        }
        "VARIABLE_COLUMN_LOG_PARSE" => Variable::new(constants).map(Parser::Variable),
        "FIXED_COLUMN_LOG_PARSE" => Fixed::new(first).map(Parser::Fixed),
        _ => Pieces::new(first).map(Parser::Pieces),
    }
}

/// A pattern of ours that the whole line has to match.
fn whole(pattern: &str) -> Result<Regex, String> {
    super::regex::compile(&format!(r"(?s)\A(?:{pattern})\z")).map_err(|error: PatternError| error.to_string())
}

impl Parser {
    fn fields(&self) -> Fields {
        let texts = |count: usize| (1..=count).map(|place| (format!("{FIELD}{place}"), DataType::Utf8)).collect();
        match self {
            Self::Pattern(pattern) => texts(pattern.captures_len() - 1),
            Self::Pieces(pieces) => texts(pieces.groups()),
            Self::System { .. } => {
                vec![(format!("{FIELD}1"), TIMESTAMP), (format!("{FIELD}2"), DataType::Utf8)]
            }
            Self::Variable(variable) => variable.fields(),
            Self::Fixed(fixed) => fixed.fields(),
        }
    }

    /// The fields of a line; `None`: it is not of the form. An error is one of the line.
    fn parse(&self, line: &str) -> Result<Option<Found>, String> {
        match self {
            Self::Pattern(pattern) => Ok(pattern.captures(line).map(|captures| {
                let groups = captures.iter().skip(1);
                groups.map(|group| group.map(|found| found.as_str().to_owned())).collect()
            })),
            Self::Pieces(pieces) => Ok(pieces.parse(line)),
            Self::System { line: pattern, time } => {
                let Some(captures) = pattern.captures(line) else { return Ok(None) };
                let when = captures.get(1).map_or("", |found| found.as_str());
                // Days before the tenth are written behind two blanks.
                let when = time.parse(&when.split_whitespace().collect::<Vec<_>>().join(" "))?;
                let message = captures.get(2).map(|found| found.as_str().to_owned());
                Ok(Some(vec![super::time::iso_text(when), message]))
            }
            Self::Variable(variable) => variable.parse(line).map(Some),
            Self::Fixed(fixed) => fixed.parse(line).map(Some),
        }
    }
}

/// The records of lines; NULL of NULL and of what is not of the form.
fn parsed(name: &str, parser: &Parser, fields: &Fields, given: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let failed = |reason: String| ArrowError::ComputeError(format!("{name}: {reason}"));
    let record = |line: Option<&str>| -> Result<Option<String>, ArrowError> {
        let Some(line) = line else { return Ok(None) };
        Ok(parser.parse(line).map_err(failed)?.map(|found| record(fields, &found)))
    };
    let lines = given[0].as_string::<i32>();
    Ok(Arc::new(lines.iter().map(record).collect::<Result<LargeStringArray, _>>()?))
}

/// `{"COLUMN1":"…",…}` of the fields that are there.
fn record(fields: &Fields, found: &Found) -> String {
    let mut record = String::from("{");
    let there = fields.iter().zip(found).filter_map(|((name, _), value)| Some((name, value.as_ref()?)));
    for (place, (name, value)) in there.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(record, "{comma}{}:{}", quoted(name), quoted(value));
    }
    record.push('}');
    record
}
