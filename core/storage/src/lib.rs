//! All disk access: one journal that makes transactions durable, the shard logs and the key-value store behind it.
//!
//! A [`Transaction`] holds records to append to logs and keys to set or delete; it becomes durable as one, or not at all.
//! [`Storage::submit`] orders it now and gives a [`Ticket`] that resolves when it is on disk. What is readable is durable.
//!
//! Read in the order of a transaction's way: `storage` (the doors), `queue` and `engine` (order, commit, publish), `frame`
//! and `journal` (bytes on disk), `log`, `segment` and `batch`, `damage` (what is still read of a damaged segment), `keys`,
//! `checkpoint`, `recovery`. The bytes: `docs/storage-format.md`.

mod batch;
mod blocks;
mod checkpoint;
mod damage;
mod disk;
mod engine;
mod error;
mod frame;
mod journal;
mod journal_copy;
mod kept_secret;
mod keys;
mod log;
mod memory;
mod options;
mod queue;
mod recovery;
mod repair;
mod segment;
mod segment_writer;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod simulation;
mod storage;
mod threads;
mod to_the_end;
mod transaction;
mod turns;
mod verify;

pub use damage::SegmentDamage;
pub use error::StorageError;
pub use kept_secret::kept_secret;
pub use options::{Durability, LogBounds, RecoveryReport, StorageOptions, TornTail};
pub use repair::{Damage, Repair, RepairReport, repair};
pub use storage::Storage;
pub use to_the_end::to_the_end;
pub use transaction::{Append, Keyspace, Receipt, Ticket, Transaction, Write};
pub use turns::Turns;
pub use verify::{DumpedTransaction, VerifyReport, dump, verify};
