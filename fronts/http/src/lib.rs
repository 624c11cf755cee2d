//! What the fronts' listeners share: connections and TLS in front of them, their part of the descriptors, the taking of bodies
//! (all within bounds) and the writing of XML.
//!
//! Knows no cloud's wire format: which front a request is for is the caller's decision.

pub mod answer_body;
pub mod body;
mod connection;
pub mod serve;
pub mod share;
pub mod tls;
pub mod xml;
