//! What callers may have: so many calls in a stretch of time, so many at once, so many in a period. Both kinds of APIs
//! count here.
//!
//! Read next: [`rate`] (any stretch of time), [`bucket`] (a rate with bursts), [`quota`] (periods, durable).

pub(crate) mod bucket;
mod counters;
pub(crate) mod period;
pub(crate) mod quota;
pub(crate) mod rate;
