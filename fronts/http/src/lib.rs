//! What the fronts' listeners share: connections and TLS in front of them, their part of the descriptors, the taking of bodies
//! (all within bounds), requests' ids, and the writing of XML.
//!
//! Knows no cloud's wire format: which front a request is for is the caller's decision.

pub mod answer_body;
pub mod body;
mod connection;
mod http2;
pub mod request_id;
pub mod serve;
pub mod share;
pub mod tls;
pub mod workers;
pub mod xml;
