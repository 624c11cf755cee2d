//! `CREATE TABLE name (columns, WATERMARK FOR …) WITH (…)`: what a query says of an input or an output.

use sqlparser::tokenizer::Token;

use super::super::parse_expression::expression;
use super::super::syntax::{BinaryOperator, Expr, ExprKind, Ident, Literal, TableSyntax, Watermark};
use super::super::token::Tokens;
use crate::error::{PlanError, PlanErrorCode};

/// Reads what stands behind `CREATE TABLE`. Options behind `WITH` say where Flink finds the table; here that is said by the query's
/// inputs and outputs of the same names, so they are read and not used.
pub(super) fn table(tokens: &mut Tokens) -> Result<TableSyntax, PlanError> {
    let name = tokens.expect_ident("the table's name")?;
    tokens.expect_token(&Token::LParen)?;
    let (order, columns, computed) = (Vec::new(), Vec::new(), Vec::new());
    let mut table = TableSyntax { name, order, columns, arrival: None, computed, watermark: None };
    loop {
        element(tokens, &mut table)?;
        if !tokens.take_token(&Token::Comma) {
            break;
        }
    }
    tokens.expect_token(&Token::RParen)?;
    if tokens.take_word("COMMENT") {
        tokens.take();
    }
    for word in ["PARTITIONED", "DISTRIBUTED", "LIKE", "AS"] {
        if tokens.is_word(word) {
            return Err(tokens.not_supported(&format!("CREATE TABLE … {word}")));
        }
    }
    if tokens.take_word("WITH") {
        options(tokens)?;
    }
    Ok(table)
}

/// A column, or what is said of the table.
fn element(tokens: &mut Tokens, table: &mut TableSyntax) -> Result<(), PlanError> {
    if tokens.is_word("WATERMARK") && tokens.is_word_ahead(1, "FOR") {
        let mark = watermark(tokens)?;
        if table.watermark.is_some() {
            return Err(PlanError::new(PlanErrorCode::Duplicate, mark.column.at, "a table has one WATERMARK"));
        }
        table.watermark = Some(mark);
        return Ok(());
    }
    if tokens.is_word("PRIMARY") || tokens.is_word("CONSTRAINT") {
        let error = tokens.not_supported("PRIMARY KEY: rows that replace each other");
        return Err(error.hint("leave it out: every row stands for itself"));
    }
    let column = tokens.expect_ident("a column's name")?;
    if table.order.contains(&column.text) {
        let message = format!("the column `{}` is declared twice", column.text);
        return Err(PlanError::new(PlanErrorCode::Duplicate, column.at, message));
    }
    table.order.push(column.text.clone());
    if tokens.take_word("AS") {
        let value = expression(tokens)?;
        table.computed.push((column, value));
    } else {
        let column_type = tokens.expect_type()?;
        match tokens.take_word("METADATA") {
            true => metadata(tokens, table, column)?,
            false => table.columns.push((column, column_type)),
        }
        tokens.take_words(&["NOT", "NULL"]);
    }
    if tokens.take_word("COMMENT") {
        tokens.take();
    }
    Ok(())
}

/// `METADATA [FROM 'timestamp'] [VIRTUAL]`: when a record was stored.
fn metadata(tokens: &mut Tokens, table: &mut TableSyntax, column: Ident) -> Result<(), PlanError> {
    let key = match tokens.take_word("FROM") {
        true => match tokens.peek().clone() {
            Token::SingleQuotedString(key) => {
                tokens.take();
                key
            }
            _ => return Err(tokens.expected("the name of metadata in quotes")),
        },
        false => column.text.clone(),
    };
    tokens.take_word("VIRTUAL");
    if key != "timestamp" {
        let message = format!("not supported yet: the metadata `{key}`");
        let error = PlanError::new(PlanErrorCode::NotSupported, column.at, message);
        return Err(error.hint("METADATA FROM 'timestamp', when a record was stored"));
    }
    if table.arrival.is_some() {
        let message = "a table has one column of the metadata `timestamp`";
        return Err(PlanError::new(PlanErrorCode::Duplicate, column.at, message));
    }
    table.arrival = Some(column);
    Ok(())
}

/// `WATERMARK FOR ts AS ts - INTERVAL '5' SECOND`.
fn watermark(tokens: &mut Tokens) -> Result<Watermark, PlanError> {
    tokens.expect_word("WATERMARK")?;
    tokens.expect_word("FOR")?;
    let column = tokens.expect_ident("the column that rows go by")?;
    tokens.expect_word("AS")?;
    let value = expression(tokens)?;
    let delay_ms = delay(&column, &value).ok_or_else(|| {
        let message =
            format!("not supported yet: a watermark other than `{0}`, or `{0}` less an interval", column.text);
        PlanError::new(PlanErrorCode::NotSupported, value.at, message)
            .hint(format!("WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND", column.text))
    })?;
    Ok(Watermark { column, delay_ms })
}

fn delay(column: &Ident, value: &Expr) -> Option<i64> {
    let is_column =
        |expr: &Expr| matches!(&expr.kind, ExprKind::Name(parts) if parts.len() == 1 && parts[0].text == column.text);
    match &value.kind {
        ExprKind::Name(_) if is_column(value) => Some(0),
        ExprKind::Binary { operator: BinaryOperator::Subtract, left, right } if is_column(left) => match right.kind {
            ExprKind::Literal(Literal::Interval(length)) if length >= 0 => Some(length),
            _ => None,
        },
        _ => None,
    }
}

/// `('connector' = 'kafka', …)`.
fn options(tokens: &mut Tokens) -> Result<(), PlanError> {
    tokens.expect_token(&Token::LParen)?;
    loop {
        for expected in ["an option's name in quotes", "its value in quotes"] {
            if !matches!(tokens.peek(), Token::SingleQuotedString(_)) {
                return Err(tokens.expected(expected));
            }
            tokens.take();
            if expected.starts_with("an") {
                tokens.expect_token(&Token::Eq)?;
            }
        }
        if !tokens.take_token(&Token::Comma) {
            return tokens.expect_token(&Token::RParen);
        }
    }
}
