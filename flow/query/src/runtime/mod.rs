//! Queries at work on a node: they read streams, keep checkpoints, and hand their rows on.
//!
//! A query's rows, its state and its positions commit as one transaction, so inside the node each result is there exactly
//! once. Rows for functions are delivered from the query's own stream, at least once, under a stable id.
//! Read next: [`mod@definitions`] (made, changed, started), [`engine`] (what runs), [`task`] (one query at work), [`delivery`] (rows to the outside),
//! [`mod@trial`] (a query over samples: [`mod@sample`]).

mod binding;
mod busy;
mod check;
mod checkpoint;
mod commit;
mod definitions;
mod delivery;
mod encoded;
pub mod engine;
mod error;
mod fingerprint;
mod held;
mod numbered;
mod outbox;
mod pieces;
mod preview;
mod processing;
mod reference;
mod resume;
mod rows;
mod sample;
mod status;
mod task;
mod trial;
mod versions;

pub use definitions::{NewQuery, TAGS_MAX};
pub use delivery::{DeliveryAnswer, DeliveryRecord, OutputCodec, Outside};
pub use engine::Queries;
pub use error::QueryError;
pub use preview::{Missed, Preview, PreviewStart, PreviewTold};
pub use processing::{Processed, ProcessingBatch, ProcessingCodec};
pub use reference::REFERENCE_SCAN;
pub use sample::{SAMPLE_ARRIVAL, SAMPLE_SHARD, SAMPLE_TEXT, TrialInput, sample_schemas};
pub use status::{DeliveryStatus, Failing, QueryState, QueryStatus, ResultRow, SeenError};
pub use trial::{TRIAL_ROWS_MAX, Trial, TrialAsk, TrialError, TrialOutput, TrialRow, trial};
