//! What was used: a line for each metered request, and counts by plan, key, hour, API and stage.
//!
//! A request's line is durable before its answer goes out. The counts are made of the lines and know how far, so they are the
//! lines, whatever happens in between.
//! Read next: [`mod@line`] (the access log), `ledger` (how many requests become one commit), `counts` (how lines are
//! counted), [`usage`] (what is asked of them).

mod counts;
mod ledger;
pub mod line;
pub mod usage;

pub(crate) use counts::Charged;
pub(crate) use ledger::Ledger;
pub use line::AccessLine;
pub use usage::{Sold, UsageHour, UsageTotals};
