//! The expression parameters that many operations share: parsed with one set of names and values.

use std::collections::BTreeMap;

use millstream_catalog::KeyAttribute;
use millstream_table::expression::{Condition, KeyCondition, Placeholders, Projection, UpdateExpression};
use millstream_table::{ExpressionError, Item};

use super::value::{self, WireItem};
use super::{error, validation};
use crate::json_protocol::ServiceError;

/// Parses a request's expressions; [`Expressions::finish`] when all were parsed.
pub(super) struct Expressions {
    placeholders: Placeholders,
    names_given: bool,
    values_given: bool,
    parsed_any: bool,
}

impl Expressions {
    /// From members `ExpressionAttributeNames` and `ExpressionAttributeValues`.
    pub(super) fn new(names: Option<BTreeMap<String, String>>, values: Option<WireItem>) -> Result<Self, ServiceError> {
        if names.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(validation("ExpressionAttributeNames must not be empty"));
        }
        if values.as_ref().is_some_and(WireItem::is_empty) {
            return Err(validation("ExpressionAttributeValues must not be empty"));
        }
        let (names_given, values_given) = (names.is_some(), values.is_some());
        let mut decoded = Item::new();
        for (name, wire) in values.unwrap_or_default() {
            let value = value::decode(wire).map_err(|error| ServiceError {
                message: format!("ExpressionAttributeValues contains invalid value: {} for key {name}", error.message),
                ..error
            })?;
            decoded.insert(name, value);
        }
        let placeholders = Placeholders::new(names.unwrap_or_default(), decoded);
        Ok(Self { placeholders, names_given, values_given, parsed_any: false })
    }

    pub(super) fn condition(&mut self, parameter: &str, text: Option<&str>) -> Result<Option<Condition>, ServiceError> {
        self.parse(parameter, text, Condition::parse)
    }

    pub(super) fn projection(&mut self, text: Option<&str>) -> Result<Option<Projection>, ServiceError> {
        self.parse("ProjectionExpression", text, Projection::parse)
    }

    pub(super) fn update(&mut self, text: Option<&str>) -> Result<Option<UpdateExpression>, ServiceError> {
        self.parse("UpdateExpression", text, UpdateExpression::parse)
    }

    pub(super) fn key_condition(
        &mut self,
        text: Option<&str>,
        (hash_key, sort_key): (&KeyAttribute, Option<&KeyAttribute>),
    ) -> Result<Option<KeyCondition>, ServiceError> {
        self.parse("KeyConditionExpression", text, |text, placeholders| {
            KeyCondition::parse(text, placeholders, hash_key, sort_key)
        })
    }

    fn parse<T>(
        &mut self,
        parameter: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str, &mut Placeholders) -> Result<T, ExpressionError>,
    ) -> Result<Option<T>, ServiceError> {
        let Some(text) = text else { return Ok(None) };
        self.parsed_any = true;
        parse(text, &mut self.placeholders).map(Some).map_err(|error| error::of_expression(parameter, error))
    }

    /// Refuses names and values that stand in no expression.
    pub(super) fn finish(&self) -> Result<(), ServiceError> {
        if !self.parsed_any && self.names_given {
            return Err(validation("ExpressionAttributeNames can only be specified when using expressions"));
        }
        if !self.parsed_any && self.values_given {
            return Err(validation("ExpressionAttributeValues can only be specified when using expressions"));
        }
        self.placeholders.check_all_used().map_err(|error| error::of_expression("", error))
    }
}
