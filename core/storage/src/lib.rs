//! All disk access: one journal that makes transactions durable, the shard logs and the key-value store behind it.
//!
//! A [`Transaction`] holds records to append to logs and keys to set or delete; it becomes durable as one, or not at all.
//! [`Storage::submit`] orders it now and gives a [`Ticket`] that resolves when it is on disk. What is readable is durable.

mod error;
mod memory;
mod transaction;

pub use error::StorageError;
pub use memory::{LogBounds, Storage};
pub use transaction::{Append, Keyspace, Receipt, Ticket, Transaction, Write};
