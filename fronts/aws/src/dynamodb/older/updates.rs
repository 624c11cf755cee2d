//! `AttributeUpdates`: what becomes of whole attributes. Source: the API reference, `AttributeValueUpdate`.

use std::collections::BTreeMap;

use millstream_table::ExpressionError;
use millstream_table::expression::{AttributeChange, UpdateExpression};
use serde::Deserialize;
use serde_json::Value;

use super::invalid;
use crate::dynamodb::{error, value};
use crate::json_protocol::{Constraints, ServiceError};

/// Values of `Action`, in the order that the service lists them.
const ACTIONS: [&str; 3] = ["ADD", "PUT", "DELETE"];

/// What becomes of one attribute, as it came.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::dynamodb) struct WireUpdate {
    value: Option<Value>,
    action: Option<String>,
}

/// Updates by the attributes that they are of.
pub(in crate::dynamodb) type WireUpdates = BTreeMap<String, WireUpdate>;

/// The constraints of updates.
pub(in crate::dynamodb) fn check_updates(constraints: &mut Constraints, updates: Option<&WireUpdates>) {
    for (attribute, update) in updates.into_iter().flatten() {
        let member = format!("attributeUpdates.{attribute}.member.action");
        constraints.one_of(&member, update.action.as_deref(), &ACTIONS);
    }
}

/// `AttributeUpdates`
pub(in crate::dynamodb) fn update(updates: Option<WireUpdates>) -> Result<Option<UpdateExpression>, ServiceError> {
    let Some(updates) = updates else { return Ok(None) };
    let changes = updates.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    UpdateExpression::of_attributes(changes).map(Some).map_err(|found| match found {
        ExpressionError::OperandType { operator, found } if operator == "DELETE" => {
            invalid(&format!("DELETE action with value is not supported for the type {}", found.letters()))
        }
        ExpressionError::OperandType { operator, found } => {
            invalid(&format!("{operator} action is not supported for the type {}", found.letters()))
        }
        other => error::of_expression("AttributeUpdates", other),
    })
}

fn read((attribute, wire): (String, WireUpdate)) -> Result<(String, AttributeChange), ServiceError> {
    let value = wire.value.map(value::decode).transpose()?;
    let change = match (wire.action.as_deref(), value) {
        (Some("DELETE"), None) => AttributeChange::Remove,
        (_, None) => return Err(invalid("Only DELETE action is allowed when no attribute value is specified")),
        (Some("DELETE"), Some(value)) => AttributeChange::Delete(value),
        (Some("ADD"), Some(value)) => AttributeChange::Add(value),
        (_, Some(value)) => AttributeChange::Put(value),
    };
    Ok((attribute, change))
}
