//! What all HTTP fronts share: the listener and the taking of bodies, both within bounds.
//!
//! Knows no cloud's wire format: which front a request is for is the caller's decision.

pub mod body;
pub mod serve;
