//! The statements of Azure Stream Analytics: `CREATE TABLE`, `WITH` steps, and `SELECT … INTO …` one after the other, `;` or not.

use sqlparser::tokenizer::Token;

use super::parse_select::query;
use super::syntax::{Ident, Statement, TypeName};
use super::token::Tokens;
use crate::error::{PlanError, PlanErrorCode};

/// Reads the next statement into `statements`; `WITH a AS (…), b AS (…)` counts as one for each step.
pub(super) fn statement(tokens: &mut Tokens, statements: &mut Vec<Statement>) -> Result<(), PlanError> {
    if tokens.take_word("WITH") {
        loop {
            statements.push(step(tokens)?);
            if !tokens.take_token(&Token::Comma) {
                break;
            }
        }
    } else if tokens.is_word("SELECT") {
        statements.push(Statement::Select(query(tokens)?));
    } else if tokens.is_word("CREATE") {
        statements.push(create_table(tokens)?);
    } else {
        return Err(tokens.expected("`SELECT`, `WITH` or `CREATE TABLE`"));
    }
    while tokens.take_token(&Token::SemiColon) {}
    Ok(())
}

fn create_table(tokens: &mut Tokens) -> Result<Statement, PlanError> {
    if !tokens.is_word_ahead(1, "TABLE") {
        return Err(tokens
            .not_supported(&format!("CREATE {}", tokens.peek_ahead(1)))
            .hint("CREATE TABLE input (column type, …)"));
    }
    tokens.take();
    tokens.take();
    let name = tokens.expect_ident("an input's name")?;
    tokens.expect_token(&Token::LParen)?;
    let mut columns: Vec<(Ident, TypeName)> = Vec::new();
    loop {
        let column = tokens.expect_ident("a column's name")?;
        if columns.iter().any(|(known, _)| known.text.eq_ignore_ascii_case(&column.text)) {
            let message = format!("the column `{}` is declared twice", column.text);
            return Err(PlanError::new(PlanErrorCode::Duplicate, column.at, message));
        }
        columns.push((column, tokens.expect_type()?));
        if !tokens.take_token(&Token::Comma) {
            break;
        }
    }
    tokens.expect_token(&Token::RParen)?;
    Ok(Statement::CreateTable { name, columns })
}

fn step(tokens: &mut Tokens) -> Result<Statement, PlanError> {
    let name = tokens.expect_ident("the step's name")?;
    tokens.expect_word("AS")?;
    tokens.expect_token(&Token::LParen)?;
    let query = query(tokens)?;
    tokens.expect_token(&Token::RParen)?;
    if let Some(into) = query.selects.iter().find_map(|select| select.into.as_ref()) {
        let message = format!("`INTO {}` stands inside WITH", into.text);
        return Err(PlanError::new(PlanErrorCode::Syntax, into.at, message)
            .hint("name the output in a SELECT behind the steps: SELECT * INTO out FROM step"));
    }
    Ok(Statement::With { name, query })
}
