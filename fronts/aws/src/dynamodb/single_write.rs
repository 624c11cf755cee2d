//! What `PutItem` and `DeleteItem` share: all but whether a whole item or a key is given, and what is done with it.

use std::collections::BTreeMap;

use millstream_table::expression::Condition;
use millstream_table::{Item, TableError, Write};
use serde::Deserialize;
use serde_json::{Value, json};

use super::expressions::Expressions;
use super::older::{CONDITIONAL_OPERATORS, WireExpectations};
use super::update_item::RETURN_VALUES;
use super::value::{self, WireItem};
use super::{capacity, error, input, older, table_name, validation};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    table_name: Option<String>,
    item: Option<WireItem>,
    key: Option<WireItem>,
    expected: Option<WireExpectations>,
    conditional_operator: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<WireItem>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
}

/// Which member names what is written.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    /// `Item`
    Item,
    /// `Key`
    Key,
}

/// A write of one item, read and checked.
pub(super) struct SingleWrite {
    pub(super) table: String,
    /// The whole item, or its key.
    pub(super) subject: Item,
    pub(super) condition: Option<Condition>,
    pub(super) answer: WriteAnswer,
}

impl SingleWrite {
    pub(super) fn read(request: &JsonRequest, subject: Subject) -> Result<Self, ServiceError> {
        let input: Input = input(request)?;
        let (member, subject) = match subject {
            Subject::Item => ("item", input.item),
            Subject::Key => ("key", input.key),
        };
        let mut constraints = Constraints::new();
        let table = table_name(&mut constraints, input.table_name.as_deref()).to_owned();
        older::check_expected(&mut constraints, input.expected.as_ref());
        constraints
            .required(member, subject.as_ref())
            .one_of("conditionalOperator", input.conditional_operator.as_deref(), &CONDITIONAL_OPERATORS)
            .one_of("returnValues", input.return_values.as_deref(), &RETURN_VALUES)
            .one_of("returnConsumedCapacity", input.return_consumed_capacity.as_deref(), &capacity::WANTED)
            .finish()?;
        older::refuse_mixing(
            &[("Expected", input.expected.is_some()), ("ConditionalOperator", input.conditional_operator.is_some())],
            &[("ConditionExpression", input.condition_expression.is_some())],
        )?;
        let expected = older::expected(input.expected, input.conditional_operator.as_deref())?;
        let return_old = match input.return_values.as_deref() {
            None | Some("NONE") => false,
            Some("ALL_OLD") => true,
            Some(_) => return Err(validation("Return values set to invalid value")),
        };
        let subject = value::decode_item(subject.unwrap_or_default())?;
        let mut expressions = Expressions::new(input.expression_attribute_names, input.expression_attribute_values)?;
        let condition = expressions.condition("ConditionExpression", input.condition_expression.as_deref())?;
        let condition = condition.or(expected);
        expressions.finish()?;
        let answer = WriteAnswer {
            table: table.clone(),
            return_old,
            show_item_on_failure: input.return_values_on_condition_check_failure.as_deref() == Some("ALL_OLD"),
            capacity_wanted: input.return_consumed_capacity,
        };
        Ok(Self { table, subject, condition, answer })
    }
}

/// What the client wants to be told of a write's end.
pub(super) struct WriteAnswer {
    table: String,
    return_old: bool,
    show_item_on_failure: bool,
    capacity_wanted: Option<String>,
}

impl WriteAnswer {
    /// The error when it failed.
    pub(super) fn failed(&self, failed: TableError) -> ServiceError {
        error::of_write(failed, self.show_item_on_failure)
    }

    /// Whether the write must look at the item as it was: to answer it, or to say exactly what the write counts for.
    pub(super) fn must_look(&self) -> bool {
        self.return_old || capacity::is_wanted(self.capacity_wanted.as_deref())
    }

    /// The answer when it was done.
    pub(super) fn done(&self, written: &Write) -> Value {
        let mut answer = json!({});
        if self.return_old
            && let Some(old) = &written.old
        {
            answer["Attributes"] = json!(value::encode_item(old));
        }
        capacity::tell(&mut answer, self.capacity_wanted.as_deref(), &self.table, written.units);
        answer
    }
}
