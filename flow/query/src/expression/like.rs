//! `LIKE`: the languages' patterns in the form Arrow's kernel takes.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::{LikeExpr, Literal};
use millstream_catalog::QueryDialect;

use super::scope::literal;
use super::{Binder, boolean};
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
        let Some(ScalarValue::Utf8(text)) = constant else {
            let message = "not supported yet: LIKE with a pattern that is not a constant";
            return Err(PlanError::new(PlanErrorCode::NotSupported, pattern.at, message));
        };
        let sets =
            self.dialect == QueryDialect::StreamAnalytics && text.as_ref().is_some_and(|text| text.contains('['));
        if sets {
            let message = "not supported yet: sets of characters in LIKE";
            return Err(PlanError::new(PlanErrorCode::NotSupported, pattern.at, message));
        }
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
