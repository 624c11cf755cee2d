//! The standard dialect: SQL with window table functions, as Apache Flink has it. Here are its statements; every other file is a
//! form of its own: `table.rs` (`CREATE TABLE`), `window_table.rs` (`TABLE(TUMBLE(…))`), and how a program of it is planned
//! (`plan.rs`, with `time_column.rs` and `join_bounds.rs`); `said.rs` has the forms that others say.
//!
//! Source: Apache Flink's documentation, "SQL": queries, window table-valued functions, `CREATE`, `INSERT`, pattern recognition.

pub(super) mod join_bounds;
mod plan;
pub(super) mod recognize;
pub(super) mod said;
mod table;
mod time_column;
pub(crate) mod window_table;

pub(super) use plan::declared;
use sqlparser::tokenizer::Token;

use super::parse_select::{names, query};
use super::syntax::Statement;
use super::token::Tokens;
use crate::error::PlanError;

/// Reads the next statement, with the `;` behind it, into `statements`; a `WITH` in front of a query counts as one for each step.
pub(super) fn statement(tokens: &mut Tokens, statements: &mut Vec<Statement>) -> Result<(), PlanError> {
    if tokens.take_words(&["EXECUTE", "STATEMENT", "SET", "BEGIN"]) {
        while !tokens.take_word("END") {
            insert(tokens, statements)?;
            tokens.expect_token(&Token::SemiColon)?;
        }
    } else if tokens.is_word("CREATE") {
        create(tokens, statements)?;
    } else if tokens.is_word("INSERT") {
        insert(tokens, statements)?;
    } else if tokens.is_word("SELECT") || tokens.is_word("WITH") {
        let error = tokens.expected("`CREATE` or `INSERT INTO`");
        return Err(error.hint("a query's rows go somewhere: INSERT INTO output SELECT …"));
    } else {
        return Err(tokens.expected("`CREATE TABLE`, `CREATE VIEW` or `INSERT INTO`"));
    }
    if !tokens.at_end() && !tokens.take_token(&Token::SemiColon) {
        return Err(tokens.expected("`;`"));
    }
    Ok(())
}

fn create(tokens: &mut Tokens, statements: &mut Vec<Statement>) -> Result<(), PlanError> {
    tokens.expect_word("CREATE")?;
    tokens.take_word("TEMPORARY");
    if tokens.take_word("TABLE") {
        tokens.take_words(&["IF", "NOT", "EXISTS"]);
        statements.push(Statement::DeclareTable(Box::new(table::table(tokens)?)));
        return Ok(());
    }
    if !tokens.take_word("VIEW") {
        return Err(tokens.not_supported(&format!("CREATE {}", tokens.peek())).hint("CREATE TABLE or CREATE VIEW"));
    }
    tokens.take_words(&["IF", "NOT", "EXISTS"]);
    let name = tokens.expect_ident("the view's name")?;
    if *tokens.peek() == Token::LParen {
        return Err(tokens.not_supported("names of columns behind a view's").hint("AS behind the values themselves"));
    }
    tokens.expect_word("AS")?;
    with(tokens, statements)?;
    statements.push(Statement::With { name, query: query(tokens)? });
    Ok(())
}

/// `INSERT INTO name [(columns)] [WITH …] SELECT …`.
fn insert(tokens: &mut Tokens, statements: &mut Vec<Statement>) -> Result<(), PlanError> {
    tokens.expect_word("INSERT")?;
    if tokens.is_word("OVERWRITE") {
        return Err(tokens.not_supported("INSERT OVERWRITE").hint("INSERT INTO"));
    }
    tokens.expect_word("INTO")?;
    let target = tokens.expect_ident("the name of an output")?;
    let columns = if tokens.take_token(&Token::LParen) { Some(names(tokens)?) } else { None };
    with(tokens, statements)?;
    statements.push(Statement::Insert { target, columns, query: query(tokens)? });
    Ok(())
}

/// `WITH a AS (…), b AS (…)`, where it stands.
fn with(tokens: &mut Tokens, statements: &mut Vec<Statement>) -> Result<(), PlanError> {
    if !tokens.take_word("WITH") {
        return Ok(());
    }
    loop {
        let name = tokens.expect_ident("the step's name")?;
        tokens.expect_word("AS")?;
        tokens.expect_token(&Token::LParen)?;
        let step = query(tokens)?;
        tokens.expect_token(&Token::RParen)?;
        statements.push(Statement::With { name, query: step });
        if !tokens.take_token(&Token::Comma) {
            return Ok(());
        }
    }
}
