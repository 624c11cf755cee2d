//! Functions that a query's owner wrote and its text calls.

use serde::{Deserialize, Serialize};

/// A function of a query, in JavaScript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryFunction {
    /// The name behind `UDF.` or `UDA.`, whose case does not count.
    pub name: String,
    /// What it makes a value of.
    pub kind: QueryFunctionKind,
    /// What it does.
    pub script: String,
    /// The types of its arguments; empty: any number of any type.
    #[serde(default)]
    pub arguments: Vec<ValueType>,
    /// The type of its results.
    #[serde(default)]
    pub result: ValueType,
}

/// What a function makes a value of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryFunctionKind {
    /// Of a row's values: `UDF.name(…)`.
    #[default]
    Scalar,
    /// Of a window's rows: `UDA.name(…)`.
    Aggregate,
}

/// The type of a function's argument or result, in Stream Analytics' words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// Each value's own.
    #[default]
    Any,
    /// 64-bit integer.
    BigInt,
    /// 64-bit floating point.
    Float,
    /// Text.
    Text,
    /// A point in time, UTC, milliseconds.
    DateTime,
    /// True or false.
    Bit,
    /// Named values.
    Record,
    /// Values in an order.
    Array,
}

impl ValueType {
    /// All of them, with the names that the language has for them.
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Any, "any"),
        (Self::BigInt, "bigint"),
        (Self::Float, "float"),
        (Self::Text, "nvarchar(max)"),
        (Self::DateTime, "datetime"),
        (Self::Bit, "bit"),
        (Self::Record, "record"),
        (Self::Array, "array"),
    ];

    /// `nvarchar(max)`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|known| known.0 == self).map_or("any", |known| known.1)
    }

    /// The type of a name, in any case of letters; `None`: there is none.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|known| known.1.eq_ignore_ascii_case(name.trim())).map(|known| known.0)
    }

    /// The names of all types, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::NAMES.map(|known| known.1).join(", ")
    }
}
