//! What cuts time outside `GROUP BY`: `OVER …` behind a call, Kinesis' `WINDOW name AS (…)` and `WINDOWED BY STAGGER (…)`.

use millstream_catalog::QueryDialect;
use sqlparser::tokenizer::Token;

use super::parse_expression::expression;
use super::syntax::{Expr, ExprKind, Frame, Ident, Literal, Over, Stagger};
use super::token::Tokens;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::Extent;

/// What stands behind `OVER`: in Kinesis' language a name or how far a window goes back, in Stream Analytics'
/// `(PARTITION BY a LIMIT DURATION(minute, 5) WHEN b > 1)` or a part of it.
pub(super) fn over(tokens: &mut Tokens) -> Result<Over, PlanError> {
    if tokens.dialect == QueryDialect::Kinesis && *tokens.peek() != Token::LParen {
        return tokens.expect_ident("a window's name").map(Over::Named);
    }
    frame(tokens).map(Over::Window)
}

/// What stands behind `WINDOW`: `a AS (…), b AS (…)`.
pub(super) fn windows(tokens: &mut Tokens) -> Result<Vec<(Ident, Frame)>, PlanError> {
    let mut windows = Vec::new();
    loop {
        let name = tokens.expect_ident("a window's name")?;
        tokens.expect_word("AS")?;
        windows.push((name, frame(tokens)?));
        if !tokens.take_token(&Token::Comma) {
            return Ok(windows);
        }
    }
}

/// What stands behind `WINDOWED BY`: `STAGGER (PARTITION BY a, b RANGE INTERVAL '1' MINUTE)`.
pub(super) fn stagger(tokens: &mut Tokens) -> Result<Stagger, PlanError> {
    tokens.expect_word("STAGGER")?;
    tokens.expect_token(&Token::LParen)?;
    let partition_by = partition_by(tokens)?;
    let at = tokens.at();
    tokens.expect_word("RANGE")?;
    let length_ms = interval(tokens)?;
    tokens.expect_token(&Token::RParen)?;
    Ok(Stagger { at, partition_by, length_ms })
}

fn frame(tokens: &mut Tokens) -> Result<Frame, PlanError> {
    tokens.expect_token(&Token::LParen)?;
    let partition_by = partition_by(tokens)?;
    let at = tokens.at();
    let (mut extent, mut limit, mut when, mut order_by) = (None, None, None, Vec::new());
    match tokens.dialect {
        QueryDialect::Kinesis => extent = Some(self::extent(tokens)?),
        QueryDialect::StreamAnalytics | QueryDialect::Standard => {
            if tokens.take_words(&["ORDER", "BY"]) {
                order_by = order(tokens)?;
            }
            if tokens.take_word("LIMIT") {
                limit = Some(Box::new(expression(tokens)?));
            }
            if tokens.take_word("WHEN") {
                when = Some(Box::new(expression(tokens)?));
            }
        }
    }
    tokens.expect_token(&Token::RParen)?;
    Ok(Frame { at, partition_by, order_by, extent, limit, when })
}

fn partition_by(tokens: &mut Tokens) -> Result<Vec<Expr>, PlanError> {
    let mut keys = Vec::new();
    if tokens.take_words(&["PARTITION", "BY"]) {
        keys.push(expression(tokens)?);
        while tokens.take_token(&Token::Comma) {
            keys.push(expression(tokens)?);
        }
    }
    Ok(keys)
}

/// `a ASC, b DESC`.
pub(super) fn order(tokens: &mut Tokens) -> Result<Vec<(Expr, bool)>, PlanError> {
    let mut order = Vec::new();
    loop {
        let column = expression(tokens)?;
        let descending = tokens.take_word("DESC");
        if !descending {
            tokens.take_word("ASC");
        }
        order.push((column, descending));
        if !tokens.take_token(&Token::Comma) {
            return Ok(order);
        }
    }
}

/// `RANGE INTERVAL '1' MINUTE PRECEDING`, `ROWS 2 PRECEDING`, or either as `BETWEEN … PRECEDING AND CURRENT ROW`.
fn extent(tokens: &mut Tokens) -> Result<Extent, PlanError> {
    if tokens.is_word("ORDER") {
        let message = "a window of rows that come has no ORDER BY: they are in the order of ROWTIME";
        return Err(PlanError::new(PlanErrorCode::Syntax, tokens.at(), message));
    }
    let rows = tokens.take_word("ROWS");
    if !rows && !tokens.take_word("RANGE") {
        return Err(tokens
            .expected("`RANGE` or `ROWS`")
            .hint("RANGE INTERVAL '1' MINUTE PRECEDING, or ROWS 10 PRECEDING"));
    }
    let between = tokens.take_word("BETWEEN");
    let at = tokens.at();
    if tokens.is_word("UNBOUNDED") || tokens.is_word("CURRENT") {
        return Err(without_end(at));
    }
    let extent = if rows { Extent::Rows(count(tokens)?) } else { Extent::Time(interval(tokens)?) };
    if tokens.is_word("FOLLOWING") {
        return Err(without_end(tokens.at()));
    }
    tokens.expect_word("PRECEDING")?;
    if between {
        for word in ["AND", "CURRENT", "ROW"] {
            tokens.expect_word(word)?;
        }
    }
    Ok(extent)
}

fn without_end(at: Position) -> PlanError {
    let message = "a window goes a known way back from the current row, neither without bound nor forward";
    PlanError::new(PlanErrorCode::Window, at, message).hint("RANGE INTERVAL '1' MINUTE PRECEDING, or ROWS 10 PRECEDING")
}

fn count(tokens: &mut Tokens) -> Result<usize, PlanError> {
    let error = tokens.expected("a number of rows");
    match tokens.take() {
        Token::Number(digits, _) => digits.parse().map_err(|_| error),
        _ => Err(error),
    }
}

/// `INTERVAL '1' MINUTE`, in milliseconds.
fn interval(tokens: &mut Tokens) -> Result<i64, PlanError> {
    let error = tokens.expected("an interval, as INTERVAL '1' MINUTE");
    match expression(tokens)?.kind {
        ExprKind::Literal(Literal::Interval(length)) => Ok(length),
        _ => Err(error),
    }
}
