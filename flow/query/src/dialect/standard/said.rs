//! Forms of the standard dialect that others say: `IS TRUE`, `IS DISTINCT FROM` and `FILTER (WHERE …)` are a `CASE`, and `SELECT
//! DISTINCT` of a window's rows is a `GROUP BY` of all that is selected.

use super::super::parse_expression::expression;
use super::super::syntax::{BinaryOperator, Call, Expr, ExprKind, Literal, SelectItem, UnaryOperator};
use super::super::token::Tokens;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::function;

/// How deep what `IS DISTINCT FROM` compares may be: it is said twice, and what is inside of it more often still.
const COMPARED_DEPTH_MAX: usize = 16;

/// What stands behind `IS [NOT]`, where it is not `NULL`; `compared` reads what stands behind `DISTINCT FROM`.
pub(in crate::dialect) fn test(
    tokens: &mut Tokens,
    operand: &Expr,
    negated: bool,
    compared: impl Fn(&mut Tokens) -> Result<Expr, PlanError>,
) -> Result<Option<ExprKind>, PlanError> {
    let like = |kind: ExprKind| made(kind, operand);
    let operand = || Box::new(operand.clone());
    if tokens.take_words(&["DISTINCT", "FROM"]) {
        let other = compared(tokens)?;
        if operand().depth.max(other.depth) > COMPARED_DEPTH_MAX {
            let message = format!("IS DISTINCT FROM compares what is more than {COMPARED_DEPTH_MAX} operators deep");
            return Err(
                PlanError::new(PlanErrorCode::TooLarge, other.at, message).hint("a view with the values as columns")
            );
        }
        let null = |of: Box<Expr>| like(ExprKind::IsNull { operand: of, negated: false });
        let (left, right) = (Box::new(null(operand())), Box::new(null(Box::new(other.clone()))));
        let both = like(ExprKind::Binary { operator: BinaryOperator::And, left, right });
        let right = Box::new(other);
        let equal = like(ExprKind::Binary { operator: BinaryOperator::Equal, left: operand(), right });
        return Ok(Some(chosen(vec![equal, both], negated, like)));
    }
    if tokens.take_word("TRUE") {
        return Ok(Some(chosen(vec![*operand()], !negated, like)));
    }
    if tokens.take_word("FALSE") {
        let not = like(ExprKind::Unary { operator: UnaryOperator::Not, operand: operand() });
        return Ok(Some(chosen(vec![not], !negated, like)));
    }
    if tokens.take_word("UNKNOWN") {
        return Ok(Some(ExprKind::IsNull { operand: operand(), negated }));
    }
    Ok(None)
}

/// `value` where one of the conditions is true, else its opposite.
fn chosen(conditions: Vec<Expr>, value: bool, like: impl Fn(ExprKind) -> Expr) -> ExprKind {
    let boolean = |value| like(ExprKind::Literal(Literal::Boolean(value)));
    let branches = conditions.into_iter().map(|condition| (condition, boolean(value))).collect();
    ExprKind::Case { operand: None, branches, otherwise: Some(Box::new(boolean(!value))) }
}

/// Takes `FILTER (WHERE condition)` behind an aggregate: of the rows for which it does not hold NULL is taken, which does not count.
pub(in crate::dialect) fn filter(tokens: &mut Tokens, call: &mut Call, at: Position) -> Result<(), PlanError> {
    if !tokens.is_word("FILTER") {
        return Ok(());
    }
    let name = call.full_name().to_uppercase();
    if !function::is_aggregate(tokens.dialect, &name) {
        let message = format!("FILTER stands behind aggregates, `{name}` is none");
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message));
    }
    tokens.take();
    tokens.expect_token(&sqlparser::tokenizer::Token::LParen)?;
    tokens.expect_word("WHERE")?;
    let condition = expression(tokens)?;
    tokens.expect_token(&sqlparser::tokenizer::Token::RParen)?;
    let one = || made(ExprKind::Literal(Literal::Number("1".to_owned())), &condition);
    let counted = match call.arguments.pop() {
        Some(argument) => argument,
        None if call.star && name == "COUNT" => {
            call.star = false;
            one()
        }
        // What no other aggregate may have is told where aggregates are made.
        None => return Ok(()),
    };
    let (like, branches) = (condition.clone(), vec![(condition, counted)]);
    call.arguments.push(made(ExprKind::Case { operand: None, branches, otherwise: None }, &like));
    Ok(())
}

/// What `SELECT DISTINCT` groups by: all that is selected.
pub(in crate::dialect) fn distinct(items: &[SelectItem], group_by: &[Expr]) -> Result<Vec<Expr>, PlanError> {
    if let Some(key) = group_by.first() {
        let message = "not supported yet: SELECT DISTINCT with GROUP BY";
        return Err(PlanError::new(PlanErrorCode::NotSupported, key.at, message).hint("a view for the groups"));
    }
    let value = |item: &SelectItem| match item {
        SelectItem::Column { value, .. } => Ok(value.clone()),
        SelectItem::Wildcard { at, .. } => {
            let message = "not supported yet: SELECT DISTINCT *";
            Err(PlanError::new(PlanErrorCode::NotSupported, *at, message).hint("name the columns"))
        }
    };
    items.iter().map(value).collect()
}

/// An expression that stands where another does.
fn made(kind: ExprKind, place: &Expr) -> Expr {
    let depth = 1 + kind.parts().into_iter().map(|part| part.depth).max().unwrap_or(0);
    Expr { kind, depth, ..place.clone() }
}
