//! The policy language: documents of statements that allow and deny actions on resources, as IAM defines it.
//!
//! The language is the engine's own as SQL is the query engine's: pure and synchronous, texts in, verdicts out. Actions,
//! resources and principals are texts that fronts make; nothing here knows a service.
//! Source: the IAM user guide, "IAM JSON policy element reference" and "Policy evaluation logic".
//! Read next: [`statement`] (what a document says), `document` (how it is read), `pattern` (wildcards and variables),
//! `condition`, [`request`] (what is asked), `evaluate` (the verdict).

mod condition;
mod document;
mod evaluate;
mod operator;
mod pattern;
pub mod request;
pub mod statement;

pub use document::{DOCUMENT_BYTES_MAX, MalformedPolicy, Use};
pub use evaluate::{Verdict, evaluate};
pub use request::{AccessRequest, Context, Identity, RESOURCE_CHARS_MAX, UNKNOWN};
pub use statement::Policy;
