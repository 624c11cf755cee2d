//! The names (`#n`) and values (`:v`) that an expression's text stands for, and which of them were used.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::ExpressionError;
use crate::item::{AttributeValue, Item};

/// What `#names` and `:values` mean. One set serves all expressions of a request.
#[derive(Debug, Clone, Default)]
pub struct Placeholders {
    names: BTreeMap<String, String>,
    values: Item,
    used: BTreeSet<String>,
}

impl Placeholders {
    /// Names with their `#`, values with their `:`.
    #[must_use]
    pub fn new(names: BTreeMap<String, String>, values: Item) -> Self {
        Self { names, values, used: BTreeSet::new() }
    }

    pub(super) fn name(&mut self, placeholder: &str) -> Result<String, ExpressionError> {
        let Some(name) = self.names.get(placeholder) else {
            return Err(ExpressionError::UndefinedName { name: placeholder.to_owned() });
        };
        self.used.insert(placeholder.to_owned());
        Ok(name.clone())
    }

    pub(super) fn value(&mut self, placeholder: &str) -> Result<AttributeValue, ExpressionError> {
        let Some(value) = self.values.get(placeholder) else {
            return Err(ExpressionError::UndefinedValue { name: placeholder.to_owned() });
        };
        self.used.insert(placeholder.to_owned());
        Ok(value.clone())
    }

    /// Refuses names and values that no expression used: most likely a mistake in a text.
    ///
    /// # Errors
    /// [`ExpressionError::UnusedNames`], [`ExpressionError::UnusedValues`].
    pub fn check_all_used(&self) -> Result<(), ExpressionError> {
        let unused = |names: Vec<&String>| -> Vec<String> {
            names.into_iter().filter(|name| !self.used.contains(*name)).cloned().collect()
        };
        let names = unused(self.names.keys().collect());
        if !names.is_empty() {
            return Err(ExpressionError::UnusedNames { names });
        }
        let names = unused(self.values.keys().collect());
        if !names.is_empty() {
            return Err(ExpressionError::UnusedValues { names });
        }
        Ok(())
    }
}
