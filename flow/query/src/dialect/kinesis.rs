//! The statements of Kinesis Data Analytics for SQL: streams, and pumps that write into them.

use sqlparser::tokenizer::Token;

use super::parse_select::query;
use super::syntax::Statement;
use super::token::Tokens;
use crate::error::PlanError;

/// Reads the next statement, with the `;` that ends it.
pub(super) fn statement(tokens: &mut Tokens) -> Result<Statement, PlanError> {
    if !tokens.take_word("CREATE") {
        return Err(match tokens.is_word("SELECT") {
            true => tokens.expected("`CREATE`").hint(
                "a query's rows go somewhere: CREATE OR REPLACE STREAM \"OUT\" (…); \
                 CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"OUT\" SELECT STREAM …",
            ),
            false => tokens.expected("`CREATE STREAM` or `CREATE PUMP`"),
        });
    }
    tokens.take_words(&["OR", "REPLACE"]);
    let statement = if tokens.take_word("STREAM") {
        create_stream(tokens)?
    } else if tokens.take_word("PUMP") {
        create_pump(tokens)?
    } else if tokens.is_word("FUNCTION") || tokens.is_word("VIEW") || tokens.is_word("SCHEMA") {
        return Err(tokens.not_supported(&format!("CREATE {}", tokens.peek())));
    } else {
        return Err(tokens.expected("`STREAM` or `PUMP`"));
    };
    if !tokens.at_end() {
        // The console of the service took applications without the `;` before a CREATE.
        if !tokens.take_token(&Token::SemiColon) && !tokens.is_word("CREATE") {
            return Err(tokens.expected("`;`"));
        }
    }
    Ok(statement)
}

fn create_stream(tokens: &mut Tokens) -> Result<Statement, PlanError> {
    let name = tokens.expect_ident("the stream's name")?;
    if !tokens.take_token(&Token::LParen) {
        return Ok(Statement::CreateStream { name, columns: None });
    }
    let mut columns = Vec::new();
    loop {
        let column = tokens.expect_ident("a column's name")?;
        let column_type = tokens.expect_type()?;
        if tokens.take_words(&["NOT", "NULL"]) {
            // Nothing to do: a NULL is carried as one.
        }
        columns.push((column, column_type));
        if !tokens.take_token(&Token::Comma) {
            break;
        }
    }
    tokens.expect_token(&Token::RParen)?;
    if tokens.take_word("DESCRIPTION") {
        tokens.take();
    }
    Ok(Statement::CreateStream { name, columns: Some(columns) })
}

fn create_pump(tokens: &mut Tokens) -> Result<Statement, PlanError> {
    let name = tokens.expect_ident("the pump's name")?;
    if !tokens.take_word("STARTED") && tokens.is_word("STOPPED") {
        return Err(tokens.not_supported("a pump that is STOPPED").hint("remove the pump, or the word STOPPED"));
    }
    tokens.expect_word("AS")?;
    tokens.expect_word("INSERT")?;
    tokens.expect_word("INTO")?;
    let target = tokens.expect_ident("the stream to write into")?;
    let mut columns = None;
    if tokens.take_token(&Token::LParen) {
        let mut names = vec![tokens.expect_ident("a column's name")?];
        while tokens.take_token(&Token::Comma) {
            names.push(tokens.expect_ident("a column's name")?);
        }
        tokens.expect_token(&Token::RParen)?;
        columns = Some(names);
    }
    Ok(Statement::CreatePump { name, target, columns, query: query(tokens)? })
}
