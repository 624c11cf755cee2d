//! What the storage services (Blob, Queue) share: accounts and their keys, addresses, signatures, XML, the form of errors.
//! Knows no operation. Source: the Azure Storage REST reference.

pub(crate) mod account;
pub(crate) mod error;
pub(crate) mod shared_key;
pub(crate) mod target;
pub(crate) mod xml;
