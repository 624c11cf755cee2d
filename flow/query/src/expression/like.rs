//! `LIKE`: constant patterns in the form Arrow's kernel takes; those with sets of characters, or of the rows, become regular
//! expressions.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::{LikeExpr, Literal};
use millstream_catalog::QueryDialect;

use super::kernel::call;
use super::scope::literal;
use super::{Binder, boolean, regex};
use crate::dialect::syntax::Expr;
use crate::error::{PlanError, PlanErrorCode};
use crate::plan::ScalarExpr;

impl Binder<'_> {
    pub(super) fn like(
        &self,
        operand: &Expr,
        pattern: &Expr,
        escape: Option<char>,
        negated: bool,
    ) -> Result<ScalarExpr, PlanError> {
        let value = self.typed(self.bind(operand)?, &DataType::Utf8, operand.at)?;
        let bound = self.typed(self.bind(pattern)?, &DataType::Utf8, pattern.at)?;
        let constant = bound.physical.downcast_ref::<Literal>().map(Literal::value);
        let stream_analytics = self.dialect == QueryDialect::StreamAnalytics;
        let simple = match constant {
            Some(ScalarValue::Utf8(text)) => {
                Some(text).filter(|text| !text.as_ref().is_some_and(|text| text.contains('[')))
            }
            _ => None,
        };
        if stream_analytics && simple.is_none() {
            let escape = literal(ScalarValue::Utf8(escape.map(String::from)));
            let like = call("like", regex::like, &[value, bound, escape], DataType::Boolean);
            return if negated { self.not(like) } else { Ok(like) };
        }
        let Some(ScalarValue::Utf8(text)) = constant else {
            let message = "not supported yet: LIKE with a pattern that is not a constant";
            return Err(PlanError::new(PlanErrorCode::NotSupported, pattern.at, message));
        };
        let text = text.as_ref().map(|text| with_backslashes(text, escape));
        let pattern = literal(ScalarValue::Utf8(text)).physical;
        Ok(boolean(Arc::new(LikeExpr::new(negated, false, value.physical, pattern))))
    }
}

/// Arrow's kernel escapes with a backslash; the languages with the character behind `ESCAPE`, or with none.
fn with_backslashes(pattern: &str, escape: Option<char>) -> String {
    let mut result = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let taken = if Some(character) == escape { characters.next() } else { None };
        if taken.is_some() || character == '\\' {
            result.push('\\');
        }
        result.push(taken.unwrap_or(character));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_backslashes() {
        assert_eq!(with_backslashes("A%9", None), "A%9");
        assert_eq!(with_backslashes("50!%", Some('!')), "50\\%");
        assert_eq!(with_backslashes("a\\b", None), "a\\\\b");
    }
}
