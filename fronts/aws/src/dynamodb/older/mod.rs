//! The parameters from before expressions: each becomes what the expression in its place would be read into, so that there
//! is one evaluator. Source: the DynamoDB developer guide, "Legacy conditional parameters".
//!
//! Here is what they share; a kind of parameter has a file each: `condition.rs` (filters and key conditions), `expected.rs`,
//! `updates.rs`.

mod condition;
mod expected;
mod updates;

use std::collections::BTreeSet;

use millstream_table::expression::{Condition, Projection};

use super::validation;
use crate::json_protocol::{Constraints, ServiceError};

pub(super) use condition::{WireConditions, check_conditions, filter, key_condition};
pub(super) use expected::{WireExpectations, check_expected, expected};
pub(super) use updates::{WireUpdates, check_updates, update};

/// Values of `ConditionalOperator`, in the order that the service lists them.
pub(super) const CONDITIONAL_OPERATORS: [&str; 2] = ["OR", "AND"];

/// Refuses older parameters beside expressions: names of both, with whether they are given, as the service orders them.
pub(super) fn refuse_mixing(older: &[(&str, bool)], expressions: &[(&str, bool)]) -> Result<(), ServiceError> {
    let given = |all: &[(&str, bool)]| {
        let names = all.iter().filter(|(_, given)| *given).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    let (older, expressions) = (given(older), given(expressions));
    if older.is_empty() || expressions.is_empty() {
        return Ok(());
    }
    Err(validation(format!(
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \
         {{{older}}} Expression parameters: {{{expressions}}}"
    )))
}

/// The constraints of `AttributesToGet`.
pub(super) fn check_attributes_to_get(constraints: &mut Constraints, member: &str, names: Option<&Vec<String>>) {
    if names.is_some_and(Vec::is_empty) {
        constraints.broken(member, Some("[]"), "Member must have length greater than or equal to 1");
    }
}

/// `AttributesToGet`
pub(super) fn projection(names: Option<Vec<String>>) -> Result<Option<Projection>, ServiceError> {
    let Some(names) = names else { return Ok(None) };
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(invalid(&format!("Duplicate value in attribute name: {twice}")));
    }
    Ok(Some(Projection::of_attributes(names)))
}

/// Several conditions as one, as `ConditionalOperator` says.
fn joined(conditions: Vec<Condition>, operator: Option<&str>) -> Result<Option<Condition>, ServiceError> {
    match (operator, conditions.len()) {
        (Some(_), 0) => Err(validation("ConditionalOperator cannot be used without Filter or Expected")),
        (Some(_), 1) => {
            Err(validation("ConditionalOperator can only be used when Filter or Expected has two or more elements"))
        }
        (Some("OR"), _) => Ok(Condition::joined(conditions, Condition::Or)),
        _ => Ok(Condition::joined(conditions, Condition::And)),
    }
}

fn invalid(detail: &str) -> ServiceError {
    validation(format!("One or more parameter values were invalid: {detail}"))
}
