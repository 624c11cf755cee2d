//! Key conditions of queries: one hash key's value, and a range of sort keys.

use std::ops::Bound;

use bytes::Bytes;
use millstream_catalog::{KeyAttribute, TableDefinition};

use super::condition::{Comparison, Condition, Operand};
use super::placeholders::Placeholders;
use crate::error::{ExpressionError, TableError};
use crate::item::AttributeValue;
use crate::key;

/// A condition on the sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortCondition {
    /// Compared with a value; never [`Comparison::NotEqual`].
    Compare(Comparison, AttributeValue),
    /// From a value to a value, both included.
    Between(AttributeValue, AttributeValue),
    /// Begins with a text or bytes.
    BeginsWith(AttributeValue),
}

/// Which items a query covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCondition {
    /// The hash key's value.
    pub hash: AttributeValue,
    /// The range of sort keys; all when `None`.
    pub sort: Option<SortCondition>,
}

impl KeyCondition {
    /// Reads `hash = :v [AND sort …]` for the key of a table or an index.
    ///
    /// # Errors
    /// [`ExpressionError`] says what is wrong with the text.
    pub fn parse(
        text: &str,
        placeholders: &mut Placeholders,
        hash_key: &KeyAttribute,
        sort_key: Option<&KeyAttribute>,
    ) -> Result<Self, ExpressionError> {
        Self::of_condition(Condition::parse(text, placeholders)?, hash_key, sort_key)
    }

    /// A condition as one for the key of a table or an index.
    ///
    /// # Errors
    /// [`ExpressionError`] says what a key condition cannot have.
    pub fn of_condition(
        condition: Condition,
        hash_key: &KeyAttribute,
        sort_key: Option<&KeyAttribute>,
    ) -> Result<Self, ExpressionError> {
        let mut parts = Vec::new();
        split(condition, &mut parts)?;
        let (mut hash, mut sort) = (None, None);
        for (attribute, condition) in parts {
            if attribute == hash_key.name {
                check_types(hash_key, &condition)?;
                match condition {
                    SortCondition::Compare(Comparison::Equal, value) if hash.is_none() => hash = Some(value),
                    SortCondition::Compare(Comparison::Equal, _) => return Err(ExpressionError::KeyConditionRepeated),
                    _ => return Err(ExpressionError::KeyConditionUnsupported),
                }
            } else if let Some(key) = sort_key.filter(|key| key.name == attribute) {
                check_types(key, &condition)?;
                if sort.replace(condition).is_some() {
                    return Err(ExpressionError::KeyConditionRepeated);
                }
            } else {
                let known = if hash.is_none() { Some(hash_key) } else { sort_key };
                return Err(match known {
                    Some(key) => ExpressionError::KeyAttributeMissing { attribute: key.name.clone() },
                    None => ExpressionError::KeyConditionUnsupported,
                });
            }
        }
        match hash {
            Some(hash) => Ok(Self { hash, sort }),
            None => Err(ExpressionError::KeyAttributeMissing { attribute: hash_key.name.clone() }),
        }
    }

    /// The stored keys that it covers.
    pub(crate) fn range(&self, table: &TableDefinition) -> Result<(Bound<Bytes>, Bound<Bytes>), TableError> {
        let prefix = key::prefix(&table.hash_key, &self.hash)?.freeze();
        let all = (Bound::Included(prefix.clone()), end_of(&prefix));
        let (Some(sort), Some(sort_key)) = (&self.sort, &table.sort_key) else { return Ok(all) };
        let at = |value: &AttributeValue| -> Result<Bytes, TableError> {
            Ok([&prefix[..], &key::sort_bytes(sort_key, value)?].concat().into())
        };
        let (first, last) = all;
        Ok(match sort {
            SortCondition::Compare(comparison, value) => match comparison {
                Comparison::Less => (first, Bound::Excluded(at(value)?)),
                Comparison::LessOrEqual => (first, Bound::Included(at(value)?)),
                Comparison::Greater => (Bound::Excluded(at(value)?), last),
                Comparison::GreaterOrEqual => (Bound::Included(at(value)?), last),
                Comparison::Equal | Comparison::NotEqual => {
                    let key = at(value)?;
                    (Bound::Included(key.clone()), Bound::Included(key))
                }
            },
            SortCondition::Between(low, high) => (Bound::Included(at(low)?), Bound::Included(at(high)?)),
            SortCondition::BeginsWith(value) => {
                let key = at(value)?;
                (Bound::Included(key.clone()), end_of(&key))
            }
        })
    }
}

/// The end of all keys that begin with `prefix`: the prefix with its last byte that can rise one higher.
pub(crate) fn end_of(prefix: &[u8]) -> Bound<Bytes> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != u8::MAX) else { return Bound::Unbounded };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end.into())
}

/// The conditions of an AND, each on one attribute.
fn split(condition: Condition, parts: &mut Vec<(String, SortCondition)>) -> Result<(), ExpressionError> {
    let operator = |operator: &str| ExpressionError::KeyConditionOperator { operator: operator.to_owned() };
    let (path, part) = match condition {
        Condition::And(left, right) => {
            split(*left, parts)?;
            return split(*right, parts);
        }
        Condition::Compare(Comparison::NotEqual, ..) => return Err(operator("<>")),
        Condition::Compare(comparison, Operand::Path(path), Operand::Value(value)) => {
            (path, SortCondition::Compare(comparison, value))
        }
        Condition::Compare(comparison, Operand::Value(value), Operand::Path(path)) => {
            (path, SortCondition::Compare(turned(comparison), value))
        }
        Condition::Between(Operand::Path(path), Operand::Value(low), Operand::Value(high)) => {
            (path, SortCondition::Between(low, high))
        }
        Condition::BeginsWith(Operand::Path(path), Operand::Value(prefix)) => (path, SortCondition::BeginsWith(prefix)),
        Condition::Or(..) => return Err(operator("OR")),
        Condition::Not(_) => return Err(operator("NOT")),
        Condition::In(..) => return Err(operator("IN")),
        Condition::Exists(_) => return Err(operator("attribute_exists")),
        Condition::NotExists(_) => return Err(operator("attribute_not_exists")),
        Condition::HasType(..) => return Err(operator("attribute_type")),
        Condition::Contains(..) => return Err(operator("contains")),
        Condition::Compare(..) | Condition::Between(..) | Condition::BeginsWith(..) => {
            return Err(ExpressionError::KeyConditionUnsupported);
        }
    };
    if !path.rest.is_empty() {
        return Err(ExpressionError::KeyConditionUnsupported);
    }
    parts.push((path.attribute, part));
    Ok(())
}

/// The same comparison with its sides exchanged.
fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same @ (Comparison::Equal | Comparison::NotEqual) => same,
    }
}

fn check_types(key: &KeyAttribute, condition: &SortCondition) -> Result<(), ExpressionError> {
    let fits = |value: &AttributeValue| value.kind() == key::attribute_type(key.key_type);
    let all_fit = match condition {
        SortCondition::Compare(_, value) | SortCondition::BeginsWith(value) => fits(value),
        SortCondition::Between(low, high) => fits(low) && fits(high),
    };
    if all_fit { Ok(()) } else { Err(ExpressionError::KeyConditionType) }
}
