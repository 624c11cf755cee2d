//! The Kafka protocol: a topic is a stream, a partition a shard, an offset the log's.
//!
//! Decodes, calls the engines, encodes; what a record or a group is, they know. Order of checks: the frame's size, the API
//! and its version, who calls, the request's fields, the caller's rights, the state.
//! Source: the Apache Kafka protocol guide (kafka.apache.org/protocol) and the message definitions that it names.
//! Read next: [`listener`] (sockets), `connection` (frames in, answers out in their order), `api` (what is served),
//! `operation` (a file an operation), `fetch_session` (what a client need not ask again), `records` (batches of records), `wire` (the primitive types).

mod api;
mod connection;
mod error;
mod fetch_session;
#[cfg(test)]
mod fuzz;
pub mod listener;
mod operation;
mod record;
mod records;
mod sasl;
mod service;
mod session;
mod throttle;
mod topic;
mod wire;

pub use service::{Kafka, KafkaOptions, KafkaParts, NamedValues, Permits};
