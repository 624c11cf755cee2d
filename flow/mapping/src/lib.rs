//! Event source mappings: a function is run on batches of a stream's records or a queue's messages.
//!
//! Of a stream each shard is read in its order, and a batch that fails holds up its shard alone until it is done or
//! discarded; how far a shard is done is durable, so every record is brought at least once. Of a queue messages are deleted
//! when the function has taken them. Knows no event's shape (that is [`codec`]'s, which a front implements).
//! Read next: [`engine`] (the operations), `supervisor.rs` (one mapping), `lane/` (one shard), `piece.rs` (what becomes of a
//! batch: pure), `window.rs` (states that go from batch to batch), `queue.rs` (one queue).

mod check;
pub mod codec;
pub mod engine;
mod error;
pub mod failure;
mod lane;
mod permit;
mod piece;
mod progress;
mod queue;
mod status;
mod supervisor;
mod window;
mod work;

pub use check::{BATCH_SIZE, FILTERS_MAX, MAPPINGS_MAX};
pub use codec::{EventCodec, Filter, Origin, Report};
pub use engine::{Mappings, NewMapping};
pub use error::MappingError;
pub use failure::{DiscardReason, Discarded, FailureTargetError, FailureTargets};
pub use permit::SourcePermits;
pub use status::{Lag, LastResult, MappingView, Phase};
pub use window::WindowShown;
pub use work::{Options, Outside};
