//! Namespaces of hubs: what they are called, who may use them, and who reads which partition.
//!
//! A hub's records are a stream's: this engine holds everything else, its name, its consumer groups, its shared access
//! policies and the readers that shut each other out. Knows no protocol. Read next: [`engine`] (the operations),
//! [`token`] (what a signature proves), [`reader`] (who reads), [`throughput`] (how
//! much at once), [`partition`] (keys to partitions).

pub mod engine;
mod error;
pub mod name;
pub mod partition;
pub mod policy;
pub mod reader;
pub mod throughput;
pub mod token;

pub use engine::{DEFAULT_NAMESPACE, Namespaces, NewHub};
pub use error::NamespaceError;
pub use policy::{KeyName, Scope};
pub use reader::{Lease, Readers, Refused};
pub use throughput::Meter;
pub use token::{Claims, Right, Token, TokenError, signature};
