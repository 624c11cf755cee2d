//! What is wrong with a peer's bytes, and errors as they travel.

use crate::codec::Text;
use crate::condition;

/// Why bytes are not the AMQP that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("expected more bytes: a value ends early")]
    Short,
    /// Bytes are left where a value must have ended.
    #[error("expected the end of a list, map or array, found {0} bytes more")]
    Surplus(usize),
    /// No type has that constructor.
    #[error("expected a type's constructor, found 0x{0:02x}")]
    Constructor(u8),
    /// A string that is not UTF-8 (or a symbol that is not ASCII, a char that is no character).
    #[error("expected text, found bytes that are none")]
    Text,
    /// Values within values beyond the limit.
    #[error("expected at most {0} values within each other")]
    Depth(usize),
    /// More values than one frame or message may have.
    #[error("expected at most {0} values")]
    Count(usize),
    /// A map with a key that has no value.
    #[error("expected a map's keys and values in pairs, found {0} entries")]
    OddMap(u32),
    /// A value of another type than its place has.
    #[error("expected {expected} for `{field}`")]
    Type {
        /// The type's name.
        expected: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field that must be there is not.
    #[error("expected a value for `{0}`")]
    Missing(&'static str),
    /// A described value with a descriptor that has no meaning in its place.
    #[error("expected {expected}, found the descriptor {found}")]
    Descriptor {
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

/// An error as it is told to a peer: a condition, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{condition}: {description}")]
pub struct AmqpError {
    /// Which error: one of [`condition`] or a service's own.
    pub condition: Text,
    /// What was expected, what came.
    pub description: String,
}

impl AmqpError {
    /// An error of that condition.
    #[must_use]
    pub fn new(condition: &'static str, description: impl Into<String>) -> Self {
        Self { condition: Text::from(condition), description: description.into() }
    }
}

impl From<DecodeError> for AmqpError {
    fn from(error: DecodeError) -> Self {
        Self::new(condition::DECODE_ERROR, error.to_string())
    }
}
