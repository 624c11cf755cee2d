//! Operators: which types they take and what they make.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::{BinaryExpr, NegativeExpr, NotExpr};
use millstream_catalog::QueryDialect;

use super::kernel::call;
use super::scope::{is_unknown, literal};
use super::{Binder, boolean, number as numeric, text, types};
use crate::dialect::syntax::{BinaryOperator, Expr, ExprKind, Literal, UnaryOperator};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::{ScalarExpr, TIMESTAMP, VALUE};
use crate::value;

/// A number as written: a whole number if it is one and fits 64 bits.
pub(super) fn number(digits: &str, at: Position) -> Result<ScalarExpr, PlanError> {
    if let Ok(whole) = digits.parse::<i64>() {
        return Ok(literal(ScalarValue::Int64(Some(whole))));
    }
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(literal(ScalarValue::Float64(Some(value)))),
        _ => Err(PlanError::new(PlanErrorCode::Syntax, at, format!("`{digits}` is no number this engine can hold"))),
    }
}

impl Binder<'_> {
    pub(super) fn unary(&self, operator: UnaryOperator, operand: &Expr) -> Result<ScalarExpr, PlanError> {
        if let (UnaryOperator::Negate, ExprKind::Literal(Literal::Number(digits))) = (operator, &operand.kind) {
            return number(&format!("-{digits}"), operand.at);
        }
        if operator == UnaryOperator::Not {
            let value = self.predicate(operand)?;
            return self.not(value);
        }
        let value = self.bind(operand)?;
        let data_type = value.data_type.clone();
        match operator {
            UnaryOperator::BitNot if data_type == DataType::Boolean => self.not(value),
            UnaryOperator::BitNot => {
                let value = self.typed(value, &DataType::Int64, operand.at)?;
                Ok(call("bit_not", numeric::bit_not, &[value], DataType::Int64))
            }
            UnaryOperator::Negate if data_type == VALUE => {
                self.arithmetic(BinaryOperator::Subtract, literal(ScalarValue::Int64(Some(0))), value, operand.at)
            }
            UnaryOperator::Plus if types::is_numeric(&data_type) || is_unknown(&data_type) => Ok(value),
            UnaryOperator::Negate if types::is_numeric(&data_type) => {
                Ok(ScalarExpr { physical: Arc::new(NegativeExpr::new(value.physical)), ..value })
            }
            UnaryOperator::Negate if is_unknown(&data_type) => Ok(value),
            _ => self.typed(value, &DataType::Float64, operand.at),
        }
    }

    pub(super) fn not(&self, value: ScalarExpr) -> Result<ScalarExpr, PlanError> {
        Ok(boolean(Arc::new(NotExpr::new(value.physical))))
    }

    pub(crate) fn binary(
        &self,
        operator: BinaryOperator,
        left: ScalarExpr,
        right: ScalarExpr,
        at: Position,
    ) -> Result<ScalarExpr, PlanError> {
        use BinaryOperator as B;
        match operator {
            B::And | B::Or => {
                let left = self.typed(left, &DataType::Boolean, at)?;
                let right = self.typed(right, &DataType::Boolean, at)?;
                Ok(infix(left, operator, right, DataType::Boolean))
            }
            B::Equal | B::NotEqual | B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual => {
                if left.data_type == VALUE || right.data_type == VALUE {
                    return Ok(compare_untyped(operator, left, right));
                }
                let common = types::common(self.dialect, &left, &right)
                    .ok_or_else(|| self.do_not_meet(&left, &right, "a comparison", at))?;
                let (left, right) = (types::convert(left, &common, false), types::convert(right, &common, false));
                Ok(infix(left, operator, right, DataType::Boolean))
            }
            B::BitAnd | B::BitOr | B::BitXor => {
                let data_type = DataType::Int64;
                let (left, right) = (self.bits(left, at)?, self.bits(right, at)?);
                Ok(infix(left, operator, right, data_type))
            }
            B::Concatenate => self.concatenate(left, right, at),
            B::Add if self.joins_text(&left, &right) => self.concatenate(left, right, at),
            B::Add | B::Subtract | B::Multiply | B::Divide | B::Remainder => self.arithmetic(operator, left, right, at),
        }
    }

    /// Whether `+` joins two texts: in Stream Analytics it does.
    fn joins_text(&self, left: &ScalarExpr, right: &ScalarExpr) -> bool {
        let text = |value: &ScalarExpr| value.data_type == DataType::Utf8;
        self.dialect == QueryDialect::StreamAnalytics && text(left) && text(right)
    }

    fn bits(&self, value: ScalarExpr, at: Position) -> Result<ScalarExpr, PlanError> {
        match value.data_type {
            DataType::Boolean => Ok(types::convert(value, &DataType::Int64, false)),
            _ => self.typed(value, &DataType::Int64, at),
        }
    }

    fn concatenate(&self, left: ScalarExpr, right: ScalarExpr, at: Position) -> Result<ScalarExpr, PlanError> {
        let (left, right) = (self.typed(left, &DataType::Utf8, at)?, self.typed(right, &DataType::Utf8, at)?);
        Ok(call("join", text::join, &[left, right], DataType::Utf8))
    }

    fn arithmetic(
        &self,
        operator: BinaryOperator,
        left: ScalarExpr,
        right: ScalarExpr,
        at: Position,
    ) -> Result<ScalarExpr, PlanError> {
        if let Some(shifted) = shift(operator, &left, &right) {
            return Ok(shifted);
        }
        if left.data_type == VALUE || right.data_type == VALUE {
            for side in [&left, &right] {
                let fits = types::is_numeric(&side.data_type) || is_unknown(&side.data_type) || side.data_type == VALUE;
                let joins = operator == BinaryOperator::Add && side.data_type == DataType::Utf8;
                if !(fits || joins) {
                    self.typed(side.clone(), &DataType::Float64, at)?;
                }
            }
            let (name, kernel) = value::arithmetic::kernel(operator);
            let sides = [types::convert(left, &VALUE, false), types::convert(right, &VALUE, false)];
            return Ok(call(name, kernel, &sides, VALUE));
        }
        let integers = [&left, &right].iter().all(|side| matches!(side.data_type, DataType::Int64 | DataType::Null));
        let data_type = if integers { DataType::Int64 } else { DataType::Float64 };
        let (left, right) = (self.typed(left, &data_type, at)?, self.typed(right, &data_type, at)?);
        if operator == BinaryOperator::Divide && !integers {
            return Ok(call("divide", divide, &[left, right], data_type));
        }
        Ok(infix(left, operator, right, data_type))
    }
}

/// A comparison with a value without a fixed type: of values of different types neither is the other, less or more, so the
/// answer is NULL. Numbers are compared by their values.
fn compare_untyped(operator: BinaryOperator, left: ScalarExpr, right: ScalarExpr) -> ScalarExpr {
    let types = (left.data_type.clone(), right.data_type.clone());
    let (left, right) = (types::met_by(left, &types.1), types::met_by(right, &types.0));
    if left.data_type == VALUE {
        let (name, kernel) = value::compare::kernel(operator);
        return call(name, kernel, &[left, right], DataType::Boolean);
    }
    infix(left, operator, right, DataType::Boolean)
}

/// A point in time moved by a length of time, or lengths added.
fn shift(operator: BinaryOperator, left: &ScalarExpr, right: &ScalarExpr) -> Option<ScalarExpr> {
    let shifts = matches!(operator, BinaryOperator::Add | BinaryOperator::Subtract);
    let data_type = match (&left.data_type, &right.data_type) {
        (DataType::Timestamp(..), DataType::Duration(_)) => TIMESTAMP,
        (DataType::Duration(_), DataType::Timestamp(..)) if operator == BinaryOperator::Add => TIMESTAMP,
        (DataType::Duration(_), DataType::Duration(_)) => types::DURATION,
        _ => return None,
    };
    shifts.then(|| infix(left.clone(), operator, right.clone(), data_type))
}

fn infix(left: ScalarExpr, operator: BinaryOperator, right: ScalarExpr, data_type: DataType) -> ScalarExpr {
    let nullable = left.nullable || right.nullable;
    let checked = matches!(operator, BinaryOperator::Add | BinaryOperator::Subtract | BinaryOperator::Multiply)
        && data_type == DataType::Int64;
    let physical = BinaryExpr::new(left.physical, datafusion_operator(operator), right.physical);
    ScalarExpr { physical: Arc::new(physical.with_fail_on_overflow(checked)), data_type, nullable, text: String::new() }
}

fn datafusion_operator(operator: BinaryOperator) -> Operator {
    match operator {
        BinaryOperator::Or => Operator::Or,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Equal => Operator::Eq,
        BinaryOperator::NotEqual => Operator::NotEq,
        BinaryOperator::Less => Operator::Lt,
        BinaryOperator::LessOrEqual => Operator::LtEq,
        BinaryOperator::Greater => Operator::Gt,
        BinaryOperator::GreaterOrEqual => Operator::GtEq,
        BinaryOperator::BitAnd => Operator::BitwiseAnd,
        BinaryOperator::BitOr => Operator::BitwiseOr,
        BinaryOperator::BitXor => Operator::BitwiseXor,
        BinaryOperator::Add => Operator::Plus,
        BinaryOperator::Subtract => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Remainder => Operator::Modulo,
        BinaryOperator::Concatenate => Operator::StringConcat,
    }
}

/// Division of doubles, in which zero is an error in all languages (IEEE's infinity would pass unnoticed).
fn divide(arguments: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (arguments[0].as_primitive::<Float64Type>(), arguments[1].as_primitive::<Float64Type>());
    Ok(Arc::new(arrow::compute::try_binary::<_, _, _, Float64Type>(left, right, |left, right| {
        if right == 0.0 { Err(ArrowError::DivideByZero) } else { Ok(left / right) }
    })?))
}
