//! Expressions: one precedence-climbing parser for all languages. Own, because the languages' forms
//! (`STEP(x BY y)`, `FLOOR(x TO unit)`, `DURATION(…)`) have no place in a general SQL syntax tree.

use millstream_catalog::QueryDialect;
use sqlparser::tokenizer::Token;

use super::interval;
use super::parse_window::over;
use super::standard::said;
use super::syntax::{BinaryOperator, Call, Expr, ExprKind, Ident, Literal, UnaryOperator};
use super::token::{EXPRESSION_DEPTH_MAX, Tokens};
use super::window_call::takes_partition;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::function;

/// How tightly the prefix `NOT` binds: looser than comparisons.
const NOT: u8 = 3;
/// Comparisons, `IS`, `LIKE`, `IN`, `BETWEEN`.
const COMPARISON: u8 = 4;
/// A sign before an operand: tighter than every operator.
const SIGN: u8 = 9;

/// Words that end an expression and so are no names in one.
const RESERVED: [&str; 16] = [
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "INTO", "UNION", "WITH", "WHEN", "THEN", "ELSE", "END", "AND", "OR",
    "AS", "ON",
];

/// Reads an expression.
pub(super) fn expression(tokens: &mut Tokens) -> Result<Expr, PlanError> {
    climb(tokens, 0)
}

/// Whether the next token is a word that cannot be a name here.
pub(super) fn is_reserved(tokens: &Tokens) -> bool {
    RESERVED.iter().any(|word| tokens.is_word(word))
}

fn climb(tokens: &mut Tokens, floor: u8) -> Result<Expr, PlanError> {
    if tokens.depth >= EXPRESSION_DEPTH_MAX {
        return Err(too_deep(tokens.at()));
    }
    tokens.depth += 1;
    let (start, at) = (tokens.start(), tokens.at());
    let mut left = prefix(tokens)?;
    while let Some(operator) = infix(tokens, floor) {
        let operand = Box::new(left);
        let kind = match operator {
            Infix::Binary(operator, precedence) => {
                tokens.take();
                ExprKind::Binary { operator, left: operand, right: Box::new(climb(tokens, precedence)?) }
            }
            Infix::Is => is(tokens, operand)?,
            Infix::Test => test(tokens, operand)?,
        };
        left = finish(kind, at, start, tokens)?;
    }
    tokens.depth -= 1;
    Ok(left)
}

/// What may stand behind an operand.
enum Infix {
    /// An operator and its precedence.
    Binary(BinaryOperator, u8),
    /// `IS [NOT] NULL`, and the standard dialect's other tests with `IS`.
    Is,
    /// `[NOT] LIKE`, `IN`, `BETWEEN`, `SIMILAR TO`.
    Test,
}

/// The operator that comes next, if it binds tighter than `floor`.
fn infix(tokens: &Tokens, floor: u8) -> Option<Infix> {
    if let Some((operator, precedence)) = binary_operator(tokens) {
        return (precedence > floor).then_some(Infix::Binary(operator, precedence));
    }
    if COMPARISON <= floor {
        return None;
    }
    if tokens.is_word("IS") {
        return Some(Infix::Is);
    }
    let word = usize::from(tokens.is_word("NOT"));
    let tests = ["LIKE", "IN", "BETWEEN", "SIMILAR"];
    tests.iter().any(|keyword| tokens.is_word_ahead(word, keyword)).then_some(Infix::Test)
}

fn is(tokens: &mut Tokens, operand: Box<Expr>) -> Result<ExprKind, PlanError> {
    tokens.expect_word("IS")?;
    let negated = tokens.take_word("NOT");
    if tokens.dialect == QueryDialect::Standard
        && let Some(kind) = said::test(tokens, &operand, negated, |tokens| climb(tokens, COMPARISON))?
    {
        return Ok(kind);
    }
    tokens.expect_word("NULL")?;
    Ok(ExprKind::IsNull { operand, negated })
}

/// `LIKE …`, `IN (…)`, `BETWEEN … AND …`.
fn test(tokens: &mut Tokens, operand: Box<Expr>) -> Result<ExprKind, PlanError> {
    let negated = tokens.take_word("NOT");
    if tokens.take_word("LIKE") {
        let pattern = Box::new(climb(tokens, COMPARISON)?);
        let escape = if tokens.take_word("ESCAPE") { Some(escape_character(tokens)?) } else { None };
        return Ok(ExprKind::Like { operand, pattern, escape, negated });
    }
    if tokens.take_word("BETWEEN") {
        let low = Box::new(climb(tokens, COMPARISON)?);
        tokens.expect_word("AND")?;
        let high = Box::new(climb(tokens, COMPARISON)?);
        return Ok(ExprKind::Between { operand, low, high, negated });
    }
    if tokens.take_word("IN") {
        tokens.expect_token(&Token::LParen)?;
        if tokens.is_word("SELECT") {
            return Err(tokens.not_supported("a SELECT inside IN"));
        }
        let list = list(tokens)?;
        return Ok(ExprKind::InList { operand, list, negated });
    }
    Err(tokens.not_supported("SIMILAR TO"))
}

fn escape_character(tokens: &mut Tokens) -> Result<char, PlanError> {
    let error = tokens.expected("one character in quotes");
    match tokens.take() {
        Token::SingleQuotedString(text) => {
            let mut characters = text.chars();
            characters.next().filter(|_| characters.next().is_none()).ok_or(error)
        }
        _ => Err(error),
    }
}

fn binary_operator(tokens: &Tokens) -> Option<(BinaryOperator, u8)> {
    let bitwise = tokens.dialect == QueryDialect::StreamAnalytics;
    Some(match tokens.peek() {
        Token::Word(_) if tokens.is_word("OR") => (BinaryOperator::Or, 1),
        Token::Word(_) if tokens.is_word("AND") => (BinaryOperator::And, 2),
        Token::Eq => (BinaryOperator::Equal, COMPARISON),
        Token::Neq => (BinaryOperator::NotEqual, COMPARISON),
        Token::Lt => (BinaryOperator::Less, COMPARISON),
        Token::LtEq => (BinaryOperator::LessOrEqual, COMPARISON),
        Token::Gt => (BinaryOperator::Greater, COMPARISON),
        Token::GtEq => (BinaryOperator::GreaterOrEqual, COMPARISON),
        Token::Ampersand if bitwise => (BinaryOperator::BitAnd, 6),
        Token::Pipe if bitwise => (BinaryOperator::BitOr, 6),
        Token::Caret if bitwise => (BinaryOperator::BitXor, 6),
        Token::Plus => (BinaryOperator::Add, 7),
        Token::Minus => (BinaryOperator::Subtract, 7),
        Token::StringConcat if !bitwise => (BinaryOperator::Concatenate, 7),
        Token::Mul => (BinaryOperator::Multiply, 8),
        Token::Div => (BinaryOperator::Divide, 8),
        Token::Mod => (BinaryOperator::Remainder, 8),
        _ => return None,
    })
}

fn prefix(tokens: &mut Tokens) -> Result<Expr, PlanError> {
    let (start, at) = (tokens.start(), tokens.at());
    let kind = if tokens.take_word("NOT") {
        ExprKind::Unary { operator: UnaryOperator::Not, operand: Box::new(climb(tokens, NOT)?) }
    } else if let Some(operator) = sign(tokens) {
        tokens.take();
        ExprKind::Unary { operator, operand: Box::new(climb(tokens, SIGN)?) }
    } else if tokens.take_token(&Token::LParen) {
        if tokens.is_word("SELECT") {
            return Err(tokens.not_supported("a SELECT inside an expression"));
        }
        let mut inner = expression(tokens)?;
        tokens.expect_token(&Token::RParen)?;
        if let ExprKind::Name(parts) = &mut inner.kind {
            // `(t.r).COLUMN1` is a field of a record.
            while tokens.take_token(&Token::Period) {
                parts.push(tokens.expect_ident("a field's name")?);
            }
        }
        return Ok(Expr { span: start..tokens.end(), at, ..inner });
    } else {
        operand(tokens)?
    };
    finish(kind, at, start, tokens)
}

fn sign(tokens: &Tokens) -> Option<UnaryOperator> {
    match tokens.peek() {
        Token::Minus => Some(UnaryOperator::Negate),
        Token::Plus => Some(UnaryOperator::Plus),
        Token::Tilde if tokens.dialect == QueryDialect::StreamAnalytics => Some(UnaryOperator::BitNot),
        _ => None,
    }
}

/// A literal, a name, a call, or a form that begins with a word of its own.
fn operand(tokens: &mut Tokens) -> Result<ExprKind, PlanError> {
    match tokens.peek() {
        Token::Number(digits, _) => {
            let digits = digits.clone();
            tokens.take();
            Ok(ExprKind::Literal(Literal::Number(digits)))
        }
        Token::SingleQuotedString(text) | Token::NationalStringLiteral(text) => {
            let text = text.clone();
            tokens.take();
            Ok(ExprKind::Literal(Literal::Text(text)))
        }
        Token::Word(word) if word.quote_style.is_some() => name_or_call(tokens),
        Token::Word(_) => word(tokens),
        _ => Err(tokens.expected("an expression")),
    }
}

fn word(tokens: &mut Tokens) -> Result<ExprKind, PlanError> {
    let opens = *tokens.peek_ahead(1) == Token::LParen;
    let quoted_next = matches!(tokens.peek_ahead(1), Token::SingleQuotedString(_));
    for (keyword, literal) in
        [("NULL", Literal::Null), ("TRUE", Literal::Boolean(true)), ("FALSE", Literal::Boolean(false))]
    {
        if tokens.take_word(keyword) {
            return Ok(ExprKind::Literal(literal));
        }
    }
    if quoted_next && tokens.take_word("INTERVAL") {
        return interval::literal(tokens).map(|millis| ExprKind::Literal(Literal::Interval(millis)));
    }
    if quoted_next && (tokens.take_word("TIMESTAMP") || tokens.take_word("DATE")) {
        let Token::SingleQuotedString(text) = tokens.take() else { return Err(tokens.expected("a time in quotes")) };
        return Ok(ExprKind::Literal(Literal::Timestamp(text)));
    }
    if tokens.take_word("CASE") {
        return case(tokens);
    }
    if is_reserved(tokens) {
        return Err(tokens.expected("an expression"));
    }
    if opens && (tokens.is_word("CAST") || tokens.is_word("TRY_CAST")) {
        return cast(tokens);
    }
    name_or_call(tokens)
}

fn case(tokens: &mut Tokens) -> Result<ExprKind, PlanError> {
    let operand = if tokens.is_word("WHEN") { None } else { Some(Box::new(expression(tokens)?)) };
    let mut branches = Vec::new();
    while tokens.take_word("WHEN") {
        let when = expression(tokens)?;
        tokens.expect_word("THEN")?;
        branches.push((when, expression(tokens)?));
    }
    if branches.is_empty() {
        return Err(tokens.expected("`WHEN`"));
    }
    let otherwise = if tokens.take_word("ELSE") { Some(Box::new(expression(tokens)?)) } else { None };
    tokens.expect_word("END")?;
    Ok(ExprKind::Case { operand, branches, otherwise })
}

fn cast(tokens: &mut Tokens) -> Result<ExprKind, PlanError> {
    let lenient = tokens.is_word("TRY_CAST");
    tokens.take();
    tokens.expect_token(&Token::LParen)?;
    let operand = Box::new(expression(tokens)?);
    tokens.expect_word("AS")?;
    let to = tokens.expect_type()?;
    tokens.expect_token(&Token::RParen)?;
    Ok(ExprKind::Cast { operand, to, lenient })
}

fn name_or_call(tokens: &mut Tokens) -> Result<ExprKind, PlanError> {
    let at = tokens.at();
    let mut name = vec![tokens.expect_ident("a name")?];
    while *tokens.peek() == Token::Period && matches!(tokens.peek_ahead(1), Token::Word(_)) {
        tokens.take();
        name.push(tokens.expect_ident("a name")?);
    }
    if !tokens.take_token(&Token::LParen) {
        return Ok(ExprKind::Name(name));
    }
    let mut kind = arguments(tokens, name)?;
    if let ExprKind::Call(call) = &mut kind {
        treatment(tokens, call)?;
        if tokens.dialect == QueryDialect::Standard {
            said::filter(tokens, call, at)?;
        }
    }
    match kind {
        ExprKind::Call(mut call) if takes_over(tokens.dialect, &call) && tokens.take_word("OVER") => {
            call.over = Some(Box::new(over(tokens)?));
            Ok(ExprKind::Call(call))
        }
        ExprKind::Call(mut call) if is_window(&call) && *tokens.peek() == Token::Period => {
            tokens.take();
            call.name.push(tokens.expect_ident("`Id`")?);
            Ok(ExprKind::Name(call.name))
        }
        ExprKind::Call(call) if tokens.is_word("OVER") => {
            Err(tokens.not_supported(&format!("{} with OVER", call.full_name())))
        }
        kind => Ok(kind),
    }
}

/// What stands between a call and its `OVER` in Kinesis' language: `FROM FIRST` or `FROM LAST`, `RESPECT NULLS` or `IGNORE NULLS`.
fn treatment(tokens: &mut Tokens, call: &mut Call) -> Result<(), PlanError> {
    let name = call.full_name();
    if tokens.dialect != QueryDialect::Kinesis || !function::is_analytic(tokens.dialect, &name) {
        return Ok(());
    }
    if name == "NTH_VALUE" && !tokens.take_words(&["FROM", "FIRST"]) {
        call.from_last = tokens.take_words(&["FROM", "LAST"]);
    }
    call.ignores_nulls = tokens.take_word("IGNORE");
    if call.ignores_nulls || tokens.take_word("RESPECT") {
        tokens.expect_word("NULLS")?;
    }
    Ok(())
}

/// Whether `OVER` may stand behind a call: behind aggregates, and Stream Analytics' sessions and functions that look back.
fn takes_over(dialect: QueryDialect, call: &Call) -> bool {
    let name = call.full_name().to_uppercase();
    if dialect == QueryDialect::Standard {
        return false;
    }
    let session = dialect == QueryDialect::StreamAnalytics && takes_partition(&name);
    session || function::is_aggregate(dialect, &name) || function::is_analytic(dialect, &name)
}

/// Whether a call is `System.Window()`, a record whose only field is read as a name is.
fn is_window(call: &Call) -> bool {
    call.arguments.is_empty() && call.full_name().eq_ignore_ascii_case("System.Window")
}

/// What stands in a call's parentheses, in all the shapes the languages know.
fn arguments(tokens: &mut Tokens, name: Vec<Ident>) -> Result<ExprKind, PlanError> {
    let named: Vec<&str> = name.iter().map(|part| part.text.as_str()).collect();
    let mut call = Call {
        user: tokens.functions.find(&named.join(".")).cloned(),
        name,
        distinct: false,
        star: false,
        arguments: Vec::new(),
        from_last: false,
        ignores_nulls: false,
        over: None,
    };
    if tokens.take_token(&Token::Mul) {
        tokens.expect_token(&Token::RParen)?;
        call.star = true;
        return Ok(ExprKind::Call(call));
    }
    if tokens.take_token(&Token::RParen) {
        return Ok(ExprKind::Call(call));
    }
    call.distinct = tokens.take_word("DISTINCT");
    let side = ["LEADING", "TRAILING", "BOTH"].into_iter().find(|side| tokens.take_word(side));
    let first = if side.is_some() && tokens.is_word("FROM") { None } else { Some(expression_argument(tokens)?) };
    if let Some(operand) = &first {
        let last = call.name.len() - 1;
        if tokens.take_word("BY") {
            let by = Box::new(expression(tokens)?);
            tokens.expect_token(&Token::RParen)?;
            return Ok(ExprKind::Step { operand: Box::new(operand.clone()), by });
        }
        if tokens.take_word("TO") {
            let unit = tokens.expect_ident("a unit of time")?;
            tokens.expect_token(&Token::RParen)?;
            let ceiling = call.name[last].text.to_uppercase().starts_with("CEIL");
            return Ok(ExprKind::FloorTo { operand: Box::new(operand.clone()), unit, ceiling });
        }
    }
    call.arguments.extend(first);
    if let Some(side) = side {
        call.name.push(Ident { text: side.to_owned(), at: tokens.at() });
    }
    // `SUBSTRING(a FROM b FOR c)`, `POSITION(a IN b)`, `EXTRACT(unit FROM a)`, `TRIM(BOTH a FROM b)`: commas in words.
    while !tokens.take_token(&Token::RParen) {
        let separated = tokens.take_token(&Token::Comma)
            || ["FROM", "FOR", "IN", "PLACING"].iter().any(|word| tokens.take_word(word));
        if !separated {
            return Err(tokens.expected("`,` or `)`"));
        }
        call.arguments.push(expression(tokens)?);
    }
    Ok(ExprKind::Call(call))
}

/// The first argument, which `IN` ends in `POSITION(a IN b)`.
fn expression_argument(tokens: &mut Tokens) -> Result<Expr, PlanError> {
    climb(tokens, if tokens.is_word_ahead(1, "IN") { COMPARISON } else { 0 })
}

/// Expressions with commas between them up to the closing parenthesis.
fn list(tokens: &mut Tokens) -> Result<Vec<Expr>, PlanError> {
    let mut list = vec![expression(tokens)?];
    while tokens.take_token(&Token::Comma) {
        list.push(expression(tokens)?);
    }
    tokens.expect_token(&Token::RParen)?;
    Ok(list)
}

fn finish(kind: ExprKind, at: Position, start: usize, tokens: &Tokens) -> Result<Expr, PlanError> {
    let depth = 1 + kind.parts().into_iter().map(|part| part.depth).max().unwrap_or(0);
    if depth > EXPRESSION_DEPTH_MAX {
        return Err(too_deep(at));
    }
    Ok(Expr { kind, at, span: start..tokens.end(), depth })
}

fn too_deep(at: Position) -> PlanError {
    let message = format!("the expression is more than {EXPRESSION_DEPTH_MAX} operators deep");
    PlanError::new(PlanErrorCode::TooLarge, at, message)
        .hint("compute a part of it in a step before this one, or write `x IN (a, b, …)` instead of a chain of OR")
}
