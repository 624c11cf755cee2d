//! What the load generators share: clients of the protocols, a receiver, the disk by itself, and the figures of a run.

pub mod amqp;
pub mod client;
pub mod disk;
pub mod figures;
pub mod http1;
pub mod kafka;
