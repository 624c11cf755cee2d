//! What a policy is asked: may this be done to that, under these circumstances.

use std::collections::BTreeMap;

/// The longest resource that is compared; a longer one is nobody's and is refused.
pub const RESOURCE_CHARS_MAX: usize = 2_048;

/// A resource that could not be found out. It might be any: every statement that denies the action is about it, and of
/// those that allow only the ones for all resources.
pub const UNKNOWN: &str = "";

/// A question to policies.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// `sqs:SendMessage`
    pub action: &'a str,
    /// The resource's full name; `*` when the action has none; [`UNKNOWN`] when it has one that could not be found out.
    pub resource: &'a str,
    /// The names of whoever asks, for policies that name principals. Empty for policies of the asker itself.
    pub identities: &'a [Identity],
    /// The circumstances.
    pub context: &'a Context,
}

/// A name of a principal, with its kind as documents write it: `AWS`, `Service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
}

impl Identity {
    /// A principal's name.
    #[must_use]
    pub fn new(kind: &str, name: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), name: name.into() }
    }
}

/// Circumstances by their keys, whose case does not count: `aws:username`, `aws:SourceIp`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// Adds a value of a key.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.values.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// The same with a value of a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// All values of a key, whose letters must be small.
    pub(super) fn all(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// The value of a key that has just one.
    pub(super) fn one(&self, key: &str) -> Option<&str> {
        match self.all(&key.to_ascii_lowercase()) {
            [value] => Some(value),
            _ => None,
        }
    }
}
