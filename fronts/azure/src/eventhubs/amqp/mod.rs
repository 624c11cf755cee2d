//! Event Hubs over AMQP: the listener and its connections.
//!
//! A connection proves what it may do by putting tokens to `$cbs`, asks about hubs at `$management`, sends on links to
//! hubs and partitions and reads on links from partitions. Read next: `connection`.

mod answers;
mod attach;
mod claims;
mod connection;
mod ingress;
mod listener;
mod receiver;
mod request;
mod selector;
mod websocket;

pub use listener::{listen, serve};
pub use websocket::WebSockets;
