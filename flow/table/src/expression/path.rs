//! Where in an item: `a.b[2].c`.

use std::fmt;

use crate::item::{AttributeValue, Item};

/// A step into a map or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A map's member, or an attribute.
    Name(String),
    /// A list's element, from 0.
    Index(usize),
}

impl fmt::Display for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

/// The way to a value inside an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The attribute's name.
    pub attribute: String,
    /// Further steps into it.
    pub rest: Vec<Element>,
}

impl Path {
    /// A whole attribute.
    #[must_use]
    pub fn of_attribute(name: impl Into<String>) -> Self {
        Self { attribute: name.into(), rest: Vec::new() }
    }

    /// The value there, if there is one.
    #[must_use]
    pub fn find<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        self.rest.iter().try_fold(item.get(&self.attribute)?, |value, element| match (value, element) {
            (AttributeValue::Map(map), Element::Name(name)) => map.get(name),
            (AttributeValue::List(list), Element::Index(index)) => list.get(*index),
            _ => None,
        })
    }

    /// All steps, the attribute first.
    pub fn elements(&self) -> impl Iterator<Item = Element> {
        std::iter::once(Element::Name(self.attribute.clone())).chain(self.rest.iter().cloned())
    }

    /// All steps as a person writes them.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.elements().map(|element| element.to_string()).collect()
    }
}
