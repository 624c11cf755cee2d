//! The statements of Azure Stream Analytics: `WITH` steps, and `SELECT … INTO …` one after the other, `;` or not.

use sqlparser::tokenizer::Token;

use super::parse_select::query;
use super::syntax::Statement;
use super::token::Tokens;
use crate::error::PlanError;

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
        return Err(tokens.not_supported("CREATE").hint("declare the input's columns where the input is defined"));
    } else {
        return Err(tokens.expected("`SELECT` or `WITH`"));
    }
    while tokens.take_token(&Token::SemiColon) {}
    Ok(())
}

fn step(tokens: &mut Tokens) -> Result<Statement, PlanError> {
    let name = tokens.expect_ident("the step's name")?;
    tokens.expect_word("AS")?;
    tokens.expect_token(&Token::LParen)?;
    let query = query(tokens)?;
    tokens.expect_token(&Token::RParen)?;
    if let Some(into) = query.selects.iter().find_map(|select| select.into.as_ref()) {
        let message = format!("`INTO {}` stands inside WITH", into.text);
        return Err(PlanError::new(crate::error::PlanErrorCode::Syntax, into.at, message)
            .hint("name the output in a SELECT behind the steps: SELECT * INTO out FROM step"));
    }
    Ok(Statement::With { name, query })
}
