//! What all HTTP fronts share: the listener and its part of the descriptors, the taking of bodies (both within bounds) and the writing of XML.
//!
//! Knows no cloud's wire format: which front a request is for is the caller's decision.

pub mod body;
pub mod serve;
pub mod share;
pub mod xml;
