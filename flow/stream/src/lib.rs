//! Streams: records by partition key into shards, numbered, kept for a time, read from any position.
//!
//! The spine of the house: every protocol that takes records in writes here, and queries, deliveries and clients read
//! here. Knows no protocol. Read next: [`engine`] (the operations), [`sequence`] (how records are named),
//! [`producer`] (batches that are numbered by who sends them), `distribution` (which shard a record goes to), `reshard` and `gate` (shards that are split and merged).

pub mod aggregate;
mod distribution;
pub mod engine;
mod error;
mod gate;
pub mod hash_key;
pub mod producer;
mod read_limit;
mod reshard;
mod retention;
pub mod sequence;

pub use engine::{
    CONSUMERS_MAX, Entry, NewStream, Placement, ReadBatch, SCALINGS_A_DAY_MAX, SHARDS_ALL_MAX, SHARDS_MAX, Scaled,
    StagedPut, Streams, TAGS_MAX, THROUGHPUT_COMMITTED_MS,
};
pub use error::{AppendError, StreamError};
pub use gate::Gate;
pub use producer::{Announced, Appending, Placed, Producers, Sequence, ShardBatch, Welcome};
pub use read_limit::ReadLimit;
pub use sequence::{SequenceNumber, ShardId};
