//! What the load generators share: a signed client of an AWS JSON protocol, and the figures of a run.

pub mod client;
pub mod figures;
