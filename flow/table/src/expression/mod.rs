//! The expression language: conditions, filters, projections, updates and key conditions.
//!
//! Pure: text and placeholders in, a checked tree out, evaluated on items. Each kind of expression has its own file; all
//! read tokens through `parser.rs`.

mod condition;
mod evaluate;
mod key_condition;
mod parser;
mod path;
mod placeholders;
mod projection;
mod reserved;
mod token;
mod update;

pub use condition::{Comparison, Condition, Operand};
pub(crate) use key_condition::end_of;
pub use key_condition::{KeyCondition, SortCondition};
pub use path::{Element, Path};
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use update::{AttributeChange, UpdateExpression};

/// Bytes of one expression's text: 4 KB, the service family's own limit.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Brackets, NOTs and calls inside each other: bounds the parser's and the evaluator's recursion.
pub const NESTING_MAX: usize = 100;
