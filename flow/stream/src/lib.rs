//! Streams: records by partition key into shards, numbered, kept for a time, read from any position.
//!
//! The spine of the house: every protocol that takes records in writes here, and queries, deliveries and clients read
//! here. Knows no protocol. Read next: [`engine`] (the operations), [`sequence`] (how records are named),
//! [`producer`] (batches that are numbered by who sends them).

pub mod engine;
mod error;
pub mod hash_key;
pub mod producer;
mod retention;
pub mod sequence;

pub use engine::{Entry, NewStream, Placement, ReadBatch, SHARDS_ALL_MAX, SHARDS_MAX, StagedPut, Streams, TAGS_MAX};
pub use error::{AppendError, StreamError};
pub use producer::{Announced, Appending, Placed, Producers, Sequence, ShardBatch, Welcome};
pub use sequence::{SequenceNumber, ShardId};
