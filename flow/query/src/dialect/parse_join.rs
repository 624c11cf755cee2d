//! What stands between a source and what it is joined with: `LEFT OUTER JOIN b ON …`, as often as it is there.

use millstream_catalog::QueryDialect;

use super::parse_expression::expression;
use super::parse_select::source;
use super::syntax::JoinClause;
use super::token::Tokens;
use crate::error::PlanError;

/// The most joins in one `SELECT`: each is an operator of its own.
const JOINS_MAX: usize = 16;

/// Reads all joins that follow a source.
pub(super) fn joins(tokens: &mut Tokens) -> Result<Vec<JoinClause>, PlanError> {
    let mut joins = Vec::new();
    loop {
        let at = tokens.at();
        let Some((outer, conditional)) = kind(tokens)? else { return Ok(joins) };
        if joins.len() == JOINS_MAX {
            return Err(tokens.not_supported(&format!("more than {JOINS_MAX} joins in one SELECT")));
        }
        let right = source(tokens)?;
        let on = match conditional {
            true => {
                tokens.expect_word("ON")?;
                Some(expression(tokens)?)
            }
            false => None,
        };
        joins.push(JoinClause { at, outer, right, on });
    }
}

/// The words of a join: which sides' rows it keeps without a match, and whether it has a condition. `None`: no join follows.
fn kind(tokens: &mut Tokens) -> Result<Option<([bool; 2], bool)>, PlanError> {
    if tokens.take_word("JOIN") || tokens.take_words(&["INNER", "JOIN"]) {
        return Ok(Some(([false, false], true)));
    }
    for (word, outer) in [("LEFT", [true, false]), ("RIGHT", [false, true]), ("FULL", [true, true])] {
        let joins = tokens.is_word_ahead(1, "JOIN") || tokens.is_word_ahead(1, "OUTER");
        if !(tokens.is_word(word) && joins) {
            continue;
        }
        if outer[1] && tokens.dialect == QueryDialect::StreamAnalytics {
            let error = tokens.expected("JOIN, INNER JOIN or LEFT OUTER JOIN");
            return Err(error.hint("a LEFT JOIN with the two sides exchanged"));
        }
        tokens.take();
        tokens.take_word("OUTER");
        tokens.expect_word("JOIN")?;
        return Ok(Some((outer, true)));
    }
    if tokens.dialect == QueryDialect::Kinesis && tokens.take_words(&["CROSS", "JOIN"]) {
        return Ok(Some(([false, false], false)));
    }
    Ok(None)
}
