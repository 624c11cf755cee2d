//! `MATCH_RECOGNIZE` where the standard dialect leaves out what Stream Analytics' language says: variables without a condition are any
//! row, and the columns behind `PARTITION BY` are columns of a match.
//!
//! Source: "Pattern Recognition" of Apache Flink's documentation.

use super::super::syntax::{Call, Expr, ExprKind, Ident, Literal, Recognize, RowPattern};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::RowScope;

/// The clauses with what they leave out.
pub(in crate::dialect) fn completed(mut recognize: Recognize) -> Result<Recognize, PlanError> {
    let mut named = Vec::new();
    variables(&recognize.pattern, &mut named);
    let defined: Vec<String> = recognize.define.iter().map(|(name, _)| name.text.clone()).collect();
    let mut free: Vec<(Ident, Expr)> = Vec::new();
    for name in named {
        let known = defined.contains(&name.text) || free.iter().any(|(known, _)| known.text == name.text);
        if !known && name.text != "." {
            let kind = ExprKind::Literal(Literal::Boolean(true));
            free.push((name.clone(), Expr { kind, at: name.at, span: 0..0, depth: 1 }));
        }
    }
    free.append(&mut recognize.define);
    recognize.define = free;
    let mut measures = keys(&recognize)?;
    measures.append(&mut recognize.measures);
    Ok(Recognize { measures, ..recognize })
}

/// The columns behind `PARTITION BY`, which are the same in all rows of a match: in its first one, too.
fn keys(recognize: &Recognize) -> Result<Vec<(Expr, Ident)>, PlanError> {
    let mut measures = Vec::with_capacity(recognize.partition_by.len());
    for key in &recognize.partition_by {
        let refused =
            |message: &str, hint: &str| Err(PlanError::new(PlanErrorCode::NotSupported, key.at, message).hint(hint));
        let ExprKind::Name(parts) = &key.kind else {
            return refused("not supported yet: PARTITION BY what is no column", "a view with the value as a column");
        };
        let (Some(column), Some(first)) = (parts.last(), first_of(&recognize.pattern)) else {
            let message = "not supported yet: PARTITION BY of a pattern that does not begin with one variable";
            return refused(message, "PATTERN (A …)");
        };
        let name = vec![first.clone(), column.clone()];
        let argument = Expr { kind: ExprKind::Name(name), ..key.clone() };
        let call = Call {
            name: vec![Ident { text: "FIRST".to_owned(), at: key.at }],
            distinct: false,
            star: false,
            arguments: vec![argument],
            from_last: false,
            ignores_nulls: false,
            user: None,
            over: None,
        };
        let value = Expr { kind: ExprKind::Call(call), depth: key.depth + 1, ..key.clone() };
        measures.push((value, column.clone()));
    }
    Ok(measures)
}

/// The variable that every match begins with, where there is one.
fn first_of(pattern: &RowPattern) -> Option<&Ident> {
    match pattern {
        RowPattern::Row(name) => (name.text != ".").then_some(name),
        RowPattern::Sequence(parts) => first_of(parts.first()?),
        RowPattern::Repeat(part, least, _) => first_of(part).filter(|_| *least > 0),
        RowPattern::Either(_) => None,
    }
}

fn variables<'p>(pattern: &'p RowPattern, names: &mut Vec<&'p Ident>) {
    match pattern {
        RowPattern::Row(name) => names.push(name),
        RowPattern::Sequence(parts) | RowPattern::Either(parts) => {
            parts.iter().for_each(|part| variables(part, names));
        }
        RowPattern::Repeat(part, ..) => variables(part, names),
    }
}

/// Refuses another order than that of the rows' times.
pub(in crate::dialect) fn check_order(recognize: &Recognize, rows: &RowScope) -> Result<(), PlanError> {
    let by_time = match recognize.order_by.as_slice() {
        [(Expr { kind: ExprKind::Name(parts), .. }, false)] => {
            rows.resolve(parts).is_ok_and(|value| value.same(&rows.rowtime()))
        }
        _ => false,
    };
    if by_time {
        return Ok(());
    }
    let at = recognize.order_by.first().map_or(recognize.at, |(key, _)| key.at);
    let message = "rows of a pattern are in the order of the column that they go by, ascending";
    Err(PlanError::new(PlanErrorCode::Window, at, message).hint("ORDER BY ts, the column behind WATERMARK FOR"))
}
