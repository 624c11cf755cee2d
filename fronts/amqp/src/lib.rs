//! The server's side of AMQP 1.0: types and performatives, frames, and the state of one connection.
//!
//! Knows no service: who speaks through it decides about links, credit and what becomes of deliveries. Not here:
//! transactions, resuming links, the client's side. Source: OASIS AMQP 1.0, parts 1 (types), 2 (transport), 3 (messaging)
//! and 5 (security). Read next: [`codec`], then [`connection`] (pure: bytes in, events out), then [`wire`] (the socket).

pub mod codec;
pub mod condition;
pub mod connection;
mod error;
pub mod frame;
#[cfg(test)]
mod fuzz;
pub mod message;
pub mod wire;

pub use codec::{Array, Text, Value};
pub use connection::{Accepted, Connection, Delivery, Event, LinkId, Options};
pub use error::{AmqpError, DecodeError};
pub use wire::Wire;
