//! What cuts time outside `GROUP BY`: `OVER (…)` behind a call, and Kinesis' `WINDOWED BY STAGGER (…)`.

use sqlparser::tokenizer::Token;

use super::parse_expression::expression;
use super::syntax::{Expr, ExprKind, Frame, Literal, Stagger};
use super::token::Tokens;
use crate::error::PlanError;

/// What stands behind `OVER` of a Stream Analytics' window: `(PARTITION BY a, b)`.
pub(super) fn partition(tokens: &mut Tokens) -> Result<Frame, PlanError> {
    tokens.expect_token(&Token::LParen)?;
    let partition_by = partition_by(tokens)?;
    if partition_by.is_empty() {
        return Err(tokens.expected("`PARTITION BY`"));
    }
    tokens.expect_token(&Token::RParen)?;
    Ok(Frame { partition_by })
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

/// `INTERVAL '1' MINUTE`, in milliseconds.
fn interval(tokens: &mut Tokens) -> Result<i64, PlanError> {
    let error = tokens.expected("an interval, as INTERVAL '1' MINUTE");
    match expression(tokens)?.kind {
        ExprKind::Literal(Literal::Interval(length)) => Ok(length),
        _ => Err(error),
    }
}
