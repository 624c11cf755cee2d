//! `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))`: the windows that `FROM` puts rows into, and `GROUP BY
//! window_start, window_end` over them.
//!
//! Source: "Windowing table-valued functions" and "Window Aggregation" of Apache Flink's documentation. Windows are `[start, end)`. A
//! session also takes a row that comes exactly its gap after the last one, because windows that touch are merged.

use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::BinaryExpr;
use sqlparser::tokenizer::Token;

use super::super::parse_expression::expression;
use super::super::syntax::{Expr, ExprKind, From, Ident, Literal, Select, WindowTable};
use super::super::token::Tokens;
use super::super::window::{Window, check_length};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::{RowScope, literal};
use crate::plan::{HOPS_PER_WINDOW_MAX, SESSION_WITHOUT_LIMIT, ScalarExpr, WindowBounds, WindowKind, WindowSpec};

/// The most windows that a row is in by CUMULATE: each is an aggregation of its own.
const CUMULATE_STEPS_MAX: i64 = 144;

/// The columns that a window table adds to a table's.
pub(in crate::dialect) const COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// The functions: their names, and what their lengths are called in their order.
const FUNCTIONS: [(&str, &[&str]); 4] = [
    ("TUMBLE", &["SIZE", "OFFSET"]),
    ("HOP", &["SLIDE", "SIZE", "OFFSET"]),
    ("CUMULATE", &["STEP", "SIZE", "OFFSET"]),
    ("SESSION", &["GAP"]),
];

/// Reads a window table with the name of the table in it; `None`: something else stands in `FROM`.
pub(in crate::dialect) fn window_table(tokens: &mut Tokens) -> Result<Option<(Ident, WindowTable)>, PlanError> {
    let wrapped = tokens.is_word("TABLE") && *tokens.peek_ahead(1) == Token::LParen;
    let first = if wrapped { 2 } else { 0 };
    let known = FUNCTIONS.iter().find(|(name, _)| tokens.is_word_ahead(first, name));
    let Some((function, lengths)) = known.filter(|_| *tokens.peek_ahead(first + 1) == Token::LParen) else {
        if wrapped {
            return Err(tokens.not_supported("a table function other than TUMBLE, HOP, CUMULATE and SESSION"));
        }
        return Ok(None);
    };
    (0..first).for_each(|_| drop(tokens.take()));
    let at = tokens.at();
    tokens.take();
    tokens.expect_token(&Token::LParen)?;
    let (name, partition_by) = table(tokens)?;
    tokens.expect_token(&Token::Comma)?;
    let time = descriptor(tokens)?;
    let mut found = vec![None; lengths.len()];
    let mut next = 0;
    while tokens.take_token(&Token::Comma) {
        let place = lengths.iter().position(|name| argument(tokens, name)).unwrap_or(next);
        next = place + 1;
        let slot = found.get_mut(place).ok_or_else(|| tokens.expected("`)`"))?;
        *slot = Some(interval(tokens)?);
    }
    tokens.expect_token(&Token::RParen)?;
    if wrapped {
        tokens.expect_token(&Token::RParen)?;
    }
    let table = WindowTable { at, time, windows: Vec::new(), offset_ms: 0, partition_by };
    windows(table, function, lengths, &found).map(|table| Some((name, table)))
}

/// `TABLE t [PARTITION BY k, …]`.
fn table(tokens: &mut Tokens) -> Result<(Ident, Vec<Expr>), PlanError> {
    argument(tokens, "DATA");
    if *tokens.peek() == Token::LParen {
        return Err(tokens.not_supported("a query inside a window table").hint("CREATE VIEW v AS …, and TABLE v"));
    }
    tokens.expect_word("TABLE")?;
    let name = tokens.expect_ident("a table's name")?;
    let mut partition_by = Vec::new();
    if tokens.take_words(&["PARTITION", "BY"]) {
        // Without parentheses the next comma already ends the table.
        let several = tokens.take_token(&Token::LParen);
        partition_by.push(expression(tokens)?);
        while several && tokens.take_token(&Token::Comma) {
            partition_by.push(expression(tokens)?);
        }
        if several {
            tokens.expect_token(&Token::RParen)?;
        }
    }
    Ok((name, partition_by))
}

/// `DESCRIPTOR(ts)`.
fn descriptor(tokens: &mut Tokens) -> Result<Ident, PlanError> {
    argument(tokens, "TIMECOL");
    tokens.expect_word("DESCRIPTOR")?;
    tokens.expect_token(&Token::LParen)?;
    let time = tokens.expect_ident("the column that rows go by")?;
    tokens.expect_token(&Token::RParen)?;
    Ok(time)
}

/// Takes `NAME =>`, where it comes next.
fn argument(tokens: &mut Tokens, name: &str) -> bool {
    // In quotes, too: OFFSET is a word of Flink's language.
    let is_name = matches!(tokens.peek(), Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    let named = is_name && *tokens.peek_ahead(1) == Token::RArrow;
    if named {
        tokens.take();
        tokens.take();
    }
    named
}

fn interval(tokens: &mut Tokens) -> Result<i64, PlanError> {
    let error = tokens.expected("an interval, as INTERVAL '1' MINUTE");
    match expression(tokens)?.kind {
        ExprKind::Literal(Literal::Interval(length)) => Ok(length),
        _ => Err(error),
    }
}

/// The windows of a function with its lengths.
fn windows(
    table: WindowTable,
    function: &str,
    names: &[&str],
    lengths: &[Option<i64>],
) -> Result<WindowTable, PlanError> {
    let wrong = |message: String| PlanError::new(PlanErrorCode::Window, table.at, message);
    let length = |name: &str| {
        let place = names.iter().position(|known| *known == name);
        let found = place.and_then(|place| lengths[place]);
        let found = found.ok_or_else(|| wrong(format!("{function} does not say its {name}")))?;
        check_length(found, &format!("the {} of {function}", name.to_lowercase()), table.at).map(|()| found)
    };
    let offset_ms = names.iter().position(|known| *known == "OFFSET").and_then(|place| lengths[place]).unwrap_or(0);
    if function != "SESSION" && !table.partition_by.is_empty() {
        let hint = "GROUP BY window_start, window_end, key";
        return Err(wrong(format!("{function} has no PARTITION BY: its windows are the same for all rows")).hint(hint));
    }
    let windows = match function {
        "TUMBLE" => vec![WindowKind::Tumbling { size_ms: length("SIZE")? }],
        "SESSION" => {
            let timeout_ms = length("GAP")?;
            vec![WindowKind::Session { timeout_ms, longest_ms: SESSION_WITHOUT_LIMIT, partition: 0 }]
        }
        hops => {
            let step_name = if hops == "HOP" { "SLIDE" } else { "STEP" };
            let (step_ms, size_ms) = (length(step_name)?, length("SIZE")?);
            let count = size_ms / step_ms;
            if size_ms % step_ms != 0 {
                let message = format!(
                    "the size of {hops}, {size_ms} ms, is no multiple of its {}, {step_ms} ms",
                    step_name.to_lowercase()
                );
                return Err(wrong(message));
            }
            match hops {
                "HOP" if count <= HOPS_PER_WINDOW_MAX => {
                    vec![WindowKind::Hopping { size_ms, hop_ms: step_ms }]
                }
                "CUMULATE" if count <= CUMULATE_STEPS_MAX => {
                    let part = |step| WindowKind::Hopping { size_ms: step * step_ms, hop_ms: size_ms };
                    (1..=count).map(part).collect()
                }
                _ => {
                    let most = if hops == "HOP" { HOPS_PER_WINDOW_MAX } else { CUMULATE_STEPS_MAX };
                    return Err(wrong(format!("a row would be in {count} windows of {hops}, at most {most} are kept"))
                        .hint(format!("a longer {}", step_name.to_lowercase())));
                }
            }
        }
    };
    Ok(WindowTable { windows, offset_ms, ..table })
}

/// The `SELECT`s that one over several windows stands for, one for each of them; `None`: it is over one, or over none.
pub(in crate::dialect) fn one_for_each(select: &Select) -> Option<Vec<Select>> {
    let table = select.from.windows.as_ref().filter(|table| table.windows.len() > 1)?;
    let one = |kind: &WindowKind| {
        let windows = Some(WindowTable { windows: vec![*kind], ..table.clone() });
        Select { from: From { windows, ..select.from.clone() }, ..select.clone() }
    };
    Some(table.windows.iter().map(one).collect())
}

/// `window_time` of a window with this end: the last millisecond in it.
pub(crate) fn window_time(end: ScalarExpr) -> ScalarExpr {
    let millisecond = literal(ScalarValue::DurationMillisecond(Some(1)));
    let physical = Arc::new(BinaryExpr::new(end.physical, Operator::Minus, millisecond.physical));
    ScalarExpr { physical, ..end }
}

/// Which of the columns that a window table adds a name is, where `FROM` has one.
pub(crate) fn window_column(rows: &RowScope, parts: &[Ident]) -> Option<&'static str> {
    rows.windowed?;
    let [name] = rows.without_qualifier(parts) else { return None };
    COLUMNS.into_iter().find(|column| *column == name.text)
}

/// Whether an expression behind `GROUP BY` is one of these columns.
pub(in crate::dialect) fn is_window_column(rows: &RowScope, expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Name(parts) if window_column(rows, parts).is_some())
}

/// The mistake of a window table whose rows are not grouped by their windows.
pub(in crate::dialect) fn not_grouped(table: &WindowTable) -> PlanError {
    let message = "not supported yet: a window table that is not grouped by both window_start and window_end";
    PlanError::new(PlanErrorCode::NotSupported, table.at, message).hint("GROUP BY window_start, window_end, …")
}

/// The window of a `SELECT` over a window table, which has to be grouped by its start and end.
pub(in crate::dialect) fn window(
    table: &WindowTable,
    bounds: WindowBounds,
    rows: &RowScope,
    select: &Select,
) -> Result<Window, PlanError> {
    let grouped = |column: &str| {
        let named =
            |expr: &&Expr| matches!(&expr.kind, ExprKind::Name(parts) if window_column(rows, parts) == Some(column));
        select.group_by.iter().any(|expr| named(&expr))
    };
    if !(grouped("window_start") && grouped("window_end")) {
        return Err(not_grouped(table));
    }
    for key in &table.partition_by {
        let name = name_of(key, rows);
        if name.is_none() || !select.group_by.iter().any(|other| name_of(other, rows) == name) {
            let message = "not supported yet: SESSION with PARTITION BY what is not grouped by";
            return Err(PlanError::new(PlanErrorCode::NotSupported, key.at, message)
                .hint("GROUP BY window_start, window_end, and the same columns"));
        }
    }
    let Some(kind) = table.windows.first().copied() else {
        return Err(PlanError::new(PlanErrorCode::Window, table.at, "a window table without a window"));
    };
    let session = matches!(kind, WindowKind::Session { .. });
    if session && bounds == WindowBounds::OpenClosed {
        let message = "not supported yet: SESSION over window_time";
        return Err(PlanError::new(PlanErrorCode::NotSupported, table.time.at, message).hint("TUMBLE or HOP"));
    }
    let bounds = if session { WindowBounds::OpenClosed } else { bounds };
    let spec = WindowSpec { kind, offset_ms: table.offset_ms, bounds };
    Ok(Window { spec, start: None, partition_by: table.partition_by.clone() })
}

/// The column that an expression names.
fn name_of<'e>(expr: &'e Expr, rows: &RowScope) -> Option<&'e str> {
    let ExprKind::Name(parts) = &expr.kind else { return None };
    let [name] = rows.without_qualifier(parts) else { return None };
    Some(&name.text)
}
