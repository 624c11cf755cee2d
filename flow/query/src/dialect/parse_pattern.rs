//! `MATCH_RECOGNIZE (…) AS name`: its clauses, and the pattern of rows. Stream Analytics' language bounds a match by `LIMIT DURATION` and
//! goes on at the next row; the standard dialect bounds it by `WITHIN`, names the order, and says where it goes on.

use millstream_catalog::QueryDialect;
use sqlparser::tokenizer::Token;

use super::parse_expression::{expression, is_reserved};
use super::parse_window::order;
use super::standard::recognize::completed;
use super::syntax::{Expr, Ident, Recognize, RowPattern};
use super::token::{EXPRESSION_DEPTH_MAX, Tokens};
use crate::error::{PlanError, PlanErrorCode};
use crate::plan::{PATTERN_ROWS_MAX, Skip};

/// Reads what stands behind `MATCH_RECOGNIZE`.
pub(super) fn recognize(tokens: &mut Tokens) -> Result<Recognize, PlanError> {
    let at = tokens.at();
    tokens.expect_token(&Token::LParen)?;
    let standard = tokens.dialect == QueryDialect::Standard;
    let (mut partition_by, mut limit, mut measures, mut order_by) = (Vec::new(), None, Vec::new(), Vec::new());
    let mut skip = None;
    // The reference has these in two orders.
    while !tokens.is_word("PATTERN") {
        if partition_by.is_empty() && tokens.take_words(&["PARTITION", "BY"]) {
            partition_by = list(tokens, expression)?;
        } else if standard && order_by.is_empty() && tokens.take_words(&["ORDER", "BY"]) {
            order_by = order(tokens)?;
        } else if !standard && limit.is_none() && tokens.take_word("LIMIT") {
            limit = Some(expression(tokens)?);
        } else if measures.is_empty() && tokens.take_word("MEASURES") {
            measures = list(tokens, measure)?;
        } else if tokens.take_words(&["AFTER", "MATCH"]) {
            skip = Some(skip_of(tokens)?);
        } else if !tokens.take_words(&["ONE", "ROW", "PER", "MATCH"]) {
            if tokens.is_word("ALL") {
                return Err(tokens.not_supported("ALL ROWS PER MATCH").hint("ONE ROW PER MATCH"));
            }
            return Err(
                tokens.expected("LIMIT DURATION, PARTITION BY, MEASURES, AFTER MATCH SKIP or PATTERN, each once")
            );
        }
    }
    let skip = match skip {
        Some(skip) => skip,
        // The standard goes on behind the match then; not every engine does.
        None if standard => {
            return Err(tokens.expected("AFTER MATCH SKIP PAST LAST ROW or AFTER MATCH SKIP TO NEXT ROW"));
        }
        None => Skip::ToNextRow,
    };
    tokens.expect_word("PATTERN")?;
    tokens.expect_token(&Token::LParen)?;
    let pattern = either(tokens)?;
    tokens.expect_token(&Token::RParen)?;
    if standard && tokens.take_word("WITHIN") {
        limit = Some(expression(tokens)?);
    }
    tokens.expect_word("DEFINE")?;
    let define = list(tokens, definition)?;
    tokens.expect_token(&Token::RParen)?;
    let named = tokens.take_word("AS") || (matches!(tokens.peek(), Token::Word(_)) && !is_reserved(tokens));
    let alias = if named { Some(tokens.expect_ident("the name of the matches")?) } else { None };
    let recognize = Recognize { at, partition_by, order_by, limit, measures, skip, pattern, define, alias };
    if standard { completed(recognize) } else { Ok(recognize) }
}

fn list<T>(tokens: &mut Tokens, item: fn(&mut Tokens) -> Result<T, PlanError>) -> Result<Vec<T>, PlanError> {
    let mut items = vec![item(tokens)?];
    while tokens.take_token(&Token::Comma) {
        items.push(item(tokens)?);
    }
    Ok(items)
}

fn measure(tokens: &mut Tokens) -> Result<(Expr, Ident), PlanError> {
    let value = expression(tokens)?;
    tokens.expect_word("AS")?;
    Ok((value, tokens.expect_ident("a name")?))
}

fn definition(tokens: &mut Tokens) -> Result<(Ident, Expr), PlanError> {
    let variable = tokens.expect_ident("the name of a pattern variable")?;
    tokens.expect_word("AS")?;
    Ok((variable, expression(tokens)?))
}

/// What stands behind `AFTER MATCH`. Stream Analytics' language has one way to go on.
fn skip_of(tokens: &mut Tokens) -> Result<Skip, PlanError> {
    if tokens.take_words(&["SKIP", "TO", "NEXT", "ROW"]) {
        return Ok(Skip::ToNextRow);
    }
    if tokens.dialect == QueryDialect::Standard && tokens.take_words(&["SKIP", "PAST", "LAST", "ROW"]) {
        return Ok(Skip::PastLastRow);
    }
    let rule = if tokens.is_word_ahead(1, "PAST") { "AFTER MATCH SKIP PAST LAST ROW" } else { "another AFTER MATCH" };
    Err(tokens.not_supported(rule).hint("AFTER MATCH SKIP TO NEXT ROW"))
}

/// `a b | c d`.
fn either(tokens: &mut Tokens) -> Result<RowPattern, PlanError> {
    if tokens.depth >= EXPRESSION_DEPTH_MAX {
        let message = format!("a pattern nests deeper than {EXPRESSION_DEPTH_MAX}");
        return Err(PlanError::new(PlanErrorCode::TooLarge, tokens.at(), message));
    }
    tokens.depth += 1;
    let mut ways = vec![sequence(tokens)?];
    while tokens.take_token(&Token::Pipe) {
        ways.push(sequence(tokens)?);
    }
    tokens.depth -= 1;
    Ok(one_or(ways, RowPattern::Either))
}

/// `a b+ (c | d)`.
fn sequence(tokens: &mut Tokens) -> Result<RowPattern, PlanError> {
    let mut parts = vec![repeated(tokens)?];
    while matches!(tokens.peek(), Token::Word(_) | Token::Period | Token::LParen) {
        parts.push(repeated(tokens)?);
    }
    Ok(one_or(parts, RowPattern::Sequence))
}

fn one_or(mut parts: Vec<RowPattern>, several: fn(Vec<RowPattern>) -> RowPattern) -> RowPattern {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => several(parts.into_iter().chain(last).collect()),
    }
}

/// A part with what says how often it comes.
fn repeated(tokens: &mut Tokens) -> Result<RowPattern, PlanError> {
    let at = tokens.at();
    let part = if tokens.take_token(&Token::LParen) {
        let part = either(tokens)?;
        tokens.expect_token(&Token::RParen)?;
        part
    } else if tokens.take_token(&Token::Period) {
        RowPattern::Row(Ident { text: ".".to_owned(), at })
    } else {
        RowPattern::Row(tokens.expect_ident("a pattern variable, `.` or `(`")?)
    };
    let Some((least, most)) = times(tokens)? else { return Ok(part) };
    if is_question_mark(tokens.peek()) {
        return Err(tokens.not_supported("a reluctant quantifier").hint("one without `?` behind it"));
    }
    Ok(RowPattern::Repeat(Box::new(part), least, most))
}

/// `*`, `+`, `?`, `{2}`, `{2,}`, `{,3}`, `{2,3}`: at least and at most how often; `None`: none of these comes next.
fn times(tokens: &mut Tokens) -> Result<Option<(usize, Option<usize>)>, PlanError> {
    let times = match tokens.peek() {
        Token::Mul => (0, None),
        Token::Plus => (1, None),
        mark if is_question_mark(mark) => (0, Some(1)),
        Token::LBrace => return bounds(tokens).map(Some),
        _ => return Ok(None),
    };
    tokens.take();
    Ok(Some(times))
}

fn is_question_mark(token: &Token) -> bool {
    *token == Token::Question || matches!(token, Token::Placeholder(mark) if mark == "?")
}

fn bounds(tokens: &mut Tokens) -> Result<(usize, Option<usize>), PlanError> {
    let at = tokens.at();
    tokens.take();
    let least = number(tokens)?;
    let most = if tokens.take_token(&Token::Comma) { number(tokens)? } else { least };
    tokens.expect_token(&Token::RBrace)?;
    let wrong = least.is_none() && most.is_none() || most.is_some_and(|most| most == 0 || most < least.unwrap_or(0));
    if wrong {
        let message = "a part of a pattern comes at least as often as the first number says, at most as the second, which is 1 or more";
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint("{2}, {2,}, {,3} or {2,3}"));
    }
    Ok((least.unwrap_or(0), most))
}

fn number(tokens: &mut Tokens) -> Result<Option<usize>, PlanError> {
    let Token::Number(digits, _) = tokens.peek() else { return Ok(None) };
    let number = digits.parse().ok().filter(|number| *number <= PATTERN_ROWS_MAX);
    let number = number.ok_or_else(|| tokens.expected(&format!("a whole number up to {PATTERN_ROWS_MAX}")))?;
    tokens.take();
    Ok(Some(number))
}
