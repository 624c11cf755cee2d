//! `SELECT`, as far as the languages agree; each language's own clauses are told apart by the dialect.

use millstream_catalog::QueryDialect;
use sqlparser::tokenizer::Token;

use super::parse_expression::{expression, is_reserved};
use super::parse_join::joins;
use super::parse_pattern::recognize;
use super::parse_window::{order, over, stagger, windows};
use super::standard::said;
use super::standard::window_table::window_table;
use super::syntax::{
    Apply, BinaryOperator, Expr, ExprKind, From, Ident, Inner, Literal, Query, Select, SelectItem, Stagger,
};
use super::token::Tokens;
use crate::error::{PlanError, PlanErrorCode};

/// How deep `SELECT`s may stand inside of each other.
const QUERIES_MAX: usize = 16;

/// One or more `SELECT`s with `UNION ALL` (in Stream Analytics `UNION`, which keeps duplicates there) between them.
pub(super) fn query(tokens: &mut Tokens) -> Result<Query, PlanError> {
    if tokens.queries == QUERIES_MAX {
        let message = format!("SELECTs stand more than {QUERIES_MAX} deep inside of each other");
        return Err(PlanError::new(PlanErrorCode::TooLarge, tokens.at(), message).hint("a stream for the inner ones"));
    }
    tokens.queries += 1;
    let mut selects = vec![select(tokens)?];
    while tokens.is_word("UNION") {
        let keeps_duplicates = tokens.is_word_ahead(1, "ALL") || tokens.dialect == QueryDialect::StreamAnalytics;
        if !keeps_duplicates {
            return Err(tokens.not_supported("UNION that removes duplicates").hint("UNION ALL"));
        }
        tokens.take();
        tokens.take_word("ALL");
        selects.push(select(tokens)?);
    }
    let ordered = tokens.dialect == QueryDialect::Kinesis && tokens.take_words(&["ORDER", "BY"]);
    let order_by = if ordered { order(tokens)? } else { Vec::new() };
    if ordered && tokens.is_word("WITHIN") {
        return Err(tokens.not_supported("ORDER BY … WITHIN"));
    }
    tokens.queries -= 1;
    Ok(Query { selects, order_by })
}

fn select(tokens: &mut Tokens) -> Result<Select, PlanError> {
    let at = tokens.at();
    tokens.expect_word("SELECT")?;
    let kinesis = tokens.dialect == QueryDialect::Kinesis;
    if kinesis {
        tokens.take_word("STREAM");
    }
    let mut distinct = tokens.dialect != QueryDialect::StreamAnalytics && tokens.take_word("DISTINCT");
    if tokens.is_word("DISTINCT") || tokens.is_word("TOP") {
        return Err(tokens.not_supported(&format!("SELECT {}", tokens.peek())));
    }
    tokens.take_word("ALL");
    let mut items = vec![item_or_gap(tokens)?];
    while tokens.take_token(&Token::Comma) {
        items.push(item_or_gap(tokens)?);
    }
    let mut into = None;
    if tokens.dialect == QueryDialect::StreamAnalytics && tokens.take_word("INTO") {
        into = Some(tokens.expect_ident("an output's name")?);
        if tokens.is_word("PARTITION") {
            let message = "PARTITION BY does not stand behind INTO, which names an output";
            let hint = "the output's own partition key, and SELECT … FROM source PARTITION BY key INTO 10";
            return Err(PlanError::new(PlanErrorCode::Syntax, tokens.at(), message).hint(hint));
        }
    }
    tokens.expect_word("FROM")?;
    let from = from(tokens)?;
    let predicate = clause(tokens, &["WHERE"])?;
    let mut stagger = windowed(tokens)?;
    let mut group_by = if tokens.take_words(&["GROUP", "BY"]) { expressions(tokens)? } else { Vec::new() };
    if distinct && tokens.dialect == QueryDialect::Standard {
        (group_by, distinct) = (said::distinct(&items, &group_by)?, false);
    }
    if stagger.is_none() {
        stagger = windowed(tokens)?;
    }
    let having = clause(tokens, &["HAVING"])?;
    let windows = if kinesis && tokens.take_word("WINDOW") { windows(tokens)? } else { Vec::new() };
    refuse_clauses(tokens)?;
    Ok(Select { at, distinct, items, into, from, predicate, group_by, stagger, windows, window_id: None, having })
}

fn windowed(tokens: &mut Tokens) -> Result<Option<Stagger>, PlanError> {
    let taken = tokens.dialect == QueryDialect::Kinesis && tokens.take_words(&["WINDOWED", "BY"]);
    if taken { stagger(tokens).map(Some) } else { Ok(None) }
}

fn clause(tokens: &mut Tokens, words: &[&str]) -> Result<Option<Expr>, PlanError> {
    if tokens.take_words(words) { expression(tokens).map(Some) } else { Ok(None) }
}

/// An item. In the place of one that has what is not supported stands a NULL, so that the rest is looked at, too.
fn item_or_gap(tokens: &mut Tokens) -> Result<SelectItem, PlanError> {
    let (place, at, start) = (tokens.place(), tokens.at(), tokens.start());
    match item(tokens) {
        Err(error) if error.code == PlanErrorCode::NotSupported => {
            let alias = tokens.skip_item(place, error);
            let value = Expr { at, span: start..tokens.end(), depth: 1, kind: ExprKind::Literal(Literal::Null) };
            Ok(SelectItem::Column { value, alias })
        }
        read => read,
    }
}

fn item(tokens: &mut Tokens) -> Result<SelectItem, PlanError> {
    if let Some(wildcard) = wildcard(tokens)? {
        return Ok(wildcard);
    }
    let value = expression(tokens)?;
    let value = match aliased(value, tokens.dialect) {
        Ok(item) => return Ok(item),
        Err(value) => value,
    };
    let named = tokens.take_word("AS") || (matches!(tokens.peek(), Token::Word(_)) && !ends_item(tokens));
    let alias = if named { Some(column_name(tokens)?) } else { None };
    Ok(SelectItem::Column { value, alias })
}

/// A column's name behind `AS`; Stream Analytics takes one in quotes for texts, too.
fn column_name(tokens: &mut Tokens) -> Result<Ident, PlanError> {
    let at = tokens.at();
    match tokens.peek() {
        Token::SingleQuotedString(text) if tokens.dialect == QueryDialect::StreamAnalytics => {
            let text = text.clone();
            tokens.take();
            Ok(Ident { text, at })
        }
        _ => tokens.expect_ident("a name"),
    }
}

/// Whether the next word belongs to what follows the item, so that it is no alias.
fn ends_item(tokens: &Tokens) -> bool {
    let quoted = matches!(tokens.peek(), Token::Word(word) if word.quote_style.is_some());
    !quoted && is_reserved(tokens)
}

/// Stream Analytics' `alias = value`; anything else comes back as it was.
fn aliased(value: Expr, dialect: QueryDialect) -> Result<SelectItem, Expr> {
    match (dialect, value.kind) {
        (QueryDialect::StreamAnalytics, ExprKind::Binary { operator: BinaryOperator::Equal, left, right }) if matches!(&left.kind, ExprKind::Name(parts) if parts.len() == 1) =>
        {
            let ExprKind::Name(parts) = left.kind else { return Err(*right) };
            Ok(SelectItem::Column { value: *right, alias: parts.into_iter().next() })
        }
        (_, kind) => Err(Expr { kind, ..value }),
    }
}

/// `*`, `a.*`, `a.b.*`.
fn wildcard(tokens: &mut Tokens) -> Result<Option<SelectItem>, PlanError> {
    let at = tokens.at();
    let mut count = 0;
    while matches!(tokens.peek_ahead(count), Token::Word(_)) && *tokens.peek_ahead(count + 1) == Token::Period {
        count += 2;
    }
    if *tokens.peek_ahead(count) != Token::Mul {
        return Ok(None);
    }
    let mut prefix = Vec::new();
    for _ in 0..count / 2 {
        prefix.push(tokens.expect_ident("a name")?);
        tokens.take();
    }
    tokens.take();
    Ok(Some(SelectItem::Wildcard { prefix, at }))
}

fn from(tokens: &mut Tokens) -> Result<From, PlanError> {
    let mut from = source(tokens)?;
    let at = tokens.at();
    from.joins = joins(tokens)?;
    let windowed = from.windows.is_some() || from.joins.iter().any(|join| join.right.windows.is_some());
    if windowed && !from.joins.is_empty() {
        let message = "not supported yet: joins of window tables";
        let error = PlanError::new(PlanErrorCode::NotSupported, at, message);
        return Err(error.hint("a join of the tables by their times: a.ts BETWEEN b.ts - INTERVAL '5' MINUTE AND b.ts"));
    }
    if from.over.is_some() && from.joins.is_empty() {
        let message = "a window on a source says which of its rows are joined, and nothing is";
        let error = PlanError::new(PlanErrorCode::Window, at, message);
        return Err(error.hint("OVER behind an aggregate, or JOIN"));
    }
    if from.joins.is_empty() && tokens.dialect != QueryDialect::Kinesis && tokens.take_word("MATCH_RECOGNIZE") {
        from.recognize = Some(Box::new(recognize(tokens)?));
    }
    refuse_sources(tokens)?;
    Ok(from)
}

/// One source, without what it is joined with.
pub(super) fn source(tokens: &mut Tokens) -> Result<From, PlanError> {
    let at = tokens.at();
    let window_table = match tokens.dialect {
        QueryDialect::Standard => window_table(tokens)?,
        QueryDialect::Kinesis | QueryDialect::StreamAnalytics => None,
    };
    let (table, windows) = window_table.unzip();
    let inner = if table.is_some() { None } else { inner(tokens)? };
    let name = match (table, &inner) {
        (Some(table), _) => table,
        (None, Some(_)) => Ident { text: "the SELECT inside FROM".to_owned(), at },
        (None, None) => tokens.expect_ident("the name of a stream or input")?,
    };
    let mut alias = alias(tokens)?;
    let mut columns = Vec::new();
    if inner.is_some() && alias.is_some() && tokens.take_token(&Token::LParen) {
        columns = names(tokens)?;
    }
    let (mut timestamp_by, mut window, mut timelines, mut partition_by) = (None, None, Vec::new(), Vec::new());
    if tokens.dialect == QueryDialect::StreamAnalytics {
        // The reference has both orders.
        partition_by = partition(tokens)?;
        timestamp_by = clause(tokens, &["TIMESTAMP", "BY"])?;
        if timestamp_by.is_some() && tokens.take_word("OVER") {
            timelines = expressions(tokens)?;
        }
        if partition_by.is_empty() {
            partition_by = partition(tokens)?;
        }
    } else if tokens.dialect == QueryDialect::Kinesis && tokens.take_word("OVER") {
        window = Some(over(tokens)?);
    }
    if alias.is_none() {
        alias = self::alias(tokens)?;
    }
    let applies = applies(tokens)?;
    Ok(From {
        name,
        inner,
        alias,
        columns,
        timestamp_by,
        timelines,
        partition_by,
        windows,
        over: window,
        applies,
        joins: Vec::new(),
        recognize: None,
    })
}

/// What stands in the place of a stream's name: `(SELECT …)`, `TABLE(function(CURSOR(SELECT …), …))`.
fn inner(tokens: &mut Tokens) -> Result<Option<Box<Inner>>, PlanError> {
    if *tokens.peek() == Token::LParen {
        if tokens.dialect == QueryDialect::StreamAnalytics {
            let error = tokens.not_supported("a SELECT inside FROM");
            return Err(error.hint("name the inner SELECT in front: WITH step AS (SELECT …)"));
        }
        tokens.take();
        let inner = query(tokens)?;
        tokens.expect_token(&Token::RParen)?;
        return Ok(Some(Box::new(Inner::Query(inner))));
    }
    if !(tokens.is_word("TABLE") && *tokens.peek_ahead(1) == Token::LParen) {
        return Ok(None);
    }
    if tokens.dialect == QueryDialect::StreamAnalytics {
        return Err(tokens.not_supported("table functions in FROM"));
    }
    tokens.take();
    tokens.take();
    let function = tokens.expect_ident("the name of a table function")?;
    tokens.expect_token(&Token::LParen)?;
    tokens.expect_word("CURSOR")?;
    tokens.expect_token(&Token::LParen)?;
    let cursor = query(tokens)?;
    tokens.expect_token(&Token::RParen)?;
    let mut arguments = Vec::new();
    while tokens.take_token(&Token::Comma) {
        arguments.push(expression(tokens)?);
    }
    tokens.expect_token(&Token::RParen)?;
    tokens.expect_token(&Token::RParen)?;
    Ok(Some(Box::new(Inner::Table { function, cursor, arguments })))
}

/// `a, b)`.
pub(super) fn names(tokens: &mut Tokens) -> Result<Vec<Ident>, PlanError> {
    let mut names = vec![tokens.expect_ident("a column's name")?];
    while tokens.take_token(&Token::Comma) {
        names.push(tokens.expect_ident("a column's name")?);
    }
    tokens.expect_token(&Token::RParen)?;
    Ok(names)
}

/// `PARTITION BY a, b INTO 10`; how many parts there are to be is a hint, which is not needed.
fn partition(tokens: &mut Tokens) -> Result<Vec<Expr>, PlanError> {
    if !tokens.take_words(&["PARTITION", "BY"]) {
        return Ok(Vec::new());
    }
    let keys = expressions(tokens)?;
    let at = tokens.at();
    if tokens.take_word("INTO") {
        let parts = match tokens.take() {
            Token::Number(digits, _) => digits.parse::<u32>().ok(),
            _ => None,
        };
        if parts.is_none_or(|parts| parts < 2) {
            let message = "INTO behind PARTITION BY takes a whole number of parts, 2 or more";
            return Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint("PARTITION BY key INTO 10"));
        }
    }
    Ok(keys)
}

fn expressions(tokens: &mut Tokens) -> Result<Vec<Expr>, PlanError> {
    let mut all = vec![expression(tokens)?];
    while tokens.take_token(&Token::Comma) {
        all.push(expression(tokens)?);
    }
    Ok(all)
}

/// `CROSS APPLY function(x) AS name OUTER APPLY …`.
fn applies(tokens: &mut Tokens) -> Result<Vec<Apply>, PlanError> {
    let mut applies = Vec::new();
    while tokens.dialect == QueryDialect::StreamAnalytics {
        let outer = match (tokens.take_words(&["CROSS", "APPLY"]), tokens.take_words(&["OUTER", "APPLY"])) {
            (false, false) => break,
            (_, outer) => outer,
        };
        let function = tokens.expect_ident("GetArrayElements or GetRecordProperties")?;
        tokens.expect_token(&Token::LParen)?;
        let argument = expression(tokens)?;
        tokens.expect_token(&Token::RParen)?;
        tokens.take_word("AS");
        let alias = tokens.expect_ident("the name of what is applied")?;
        applies.push(Apply { outer, function, argument, alias });
    }
    Ok(applies)
}

/// Words that follow a source and so are no alias of it.
const AFTER_SOURCE: [&str; 18] = [
    "TIMESTAMP",
    "PARTITION",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "OUTER",
    "WINDOW",
    "WINDOWED",
    "ORDER",
    "OVER",
    "MATCH_RECOGNIZE",
    "CREATE",
    "LIMIT",
    "EXCEPT",
    "INTERSECT",
];

fn alias(tokens: &mut Tokens) -> Result<Option<Ident>, PlanError> {
    let word = matches!(tokens.peek(), Token::Word(_));
    let follows = AFTER_SOURCE.iter().any(|word| tokens.is_word(word));
    if tokens.take_word("AS") || (word && !ends_item(tokens) && !follows) {
        return tokens.expect_ident("a name").map(Some);
    }
    Ok(None)
}

fn refuse_sources(tokens: &Tokens) -> Result<(), PlanError> {
    for (word, what) in [
        ("PARTITION", "PARTITION BY behind FROM"),
        ("CROSS", "CROSS JOIN"),
        ("OVER", "a window on a source"),
        ("MATCH_RECOGNIZE", "MATCH_RECOGNIZE of what is joined"),
    ] {
        if tokens.is_word(word) {
            return Err(tokens.not_supported(what));
        }
    }
    if *tokens.peek() == Token::Comma {
        return Err(tokens.not_supported("several sources in one FROM"));
    }
    Ok(())
}

fn refuse_clauses(tokens: &Tokens) -> Result<(), PlanError> {
    for (word, what) in
        [("WINDOWED", "WINDOWED BY"), ("WINDOW", "the WINDOW clause"), ("EXCEPT", "EXCEPT"), ("INTERSECT", "INTERSECT")]
    {
        if tokens.is_word(word) {
            return Err(tokens.not_supported(what));
        }
    }
    if tokens.is_word("ORDER") && tokens.dialect != QueryDialect::Kinesis {
        return Err(tokens.not_supported("ORDER BY"));
    }
    if tokens.is_word("LIMIT") {
        let message = "a continuous query has no end, so LIMIT has no meaning in it";
        return Err(PlanError::new(PlanErrorCode::Syntax, tokens.at(), message));
    }
    Ok(())
}
