//! Delivery streams: records are taken in, buffered by size and time, and written as objects.
//!
//! What was taken in is durable in a stream before it is acknowledged; an object is decided (its records, its name) durably
//! before it is written, so a crash writes the same object again instead of a second one.
//! Read next: [`engine`] (the operations), [`task`] (one delivery stream at work).

mod buffer;
pub mod engine;
mod error;
mod naming;
mod plan;
mod prefix;
mod task;
mod time_pattern;

pub use engine::{Deliveries, DeliveryStatus, NewDeliveryStream};
pub use error::DeliveryError;
