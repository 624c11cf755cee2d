//! Records, arrays and values without a fixed type: JSON text in a column of type [`crate::plan::VALUE`].
//!
//! A text in such a column is valid JSON on one line and never `null`, which is NULL instead. `json.rs` walks such texts,
//! `convert.rs` turns them into other types and back, `compare.rs` and `arithmetic.rs` compute with them, `one_of.rs`
//! looks for them in lists, `access.rs` takes them apart, `record.rs` puts them together. Never reads a record: `decode` cuts the texts out of records, checked.

pub(crate) mod access;
pub(crate) mod arithmetic;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod json;
pub(crate) mod one_of;
pub(crate) mod record;
