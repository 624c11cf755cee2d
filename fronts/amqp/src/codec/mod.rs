//! AMQP's type system and the performatives as bytes: pure, bounded, without copies of what is large.
//!
//! Read next: [`Value`], [`decode`], [`encode`], [`performative`].

pub mod decode;
pub mod encode;
pub mod fields;
pub mod performative;
mod text;
mod value;

pub use text::Text;
pub use value::{Array, Value};
