//! What was used: a line for each metered request, and counts by plan, key, hour, API and stage.
//!
//! A request's line and its place in the counts are one transaction, so the counts are the lines, whatever happens in
//! between. It is durable before the answer goes out.
//! Read next: [`mod@line`] (the access log), `ledger` (how many requests become one commit), [`usage`] (what is asked of it).

mod ledger;
pub mod line;
pub mod usage;

pub(crate) use ledger::{Charged, Ledger};
pub use line::AccessLine;
pub use usage::{Sold, UsageHour, UsageTotals};
