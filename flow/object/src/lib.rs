//! Buckets and their objects: one store for every front.
//!
//! An object is a plain file `ROOT/BUCKET/KEY`, so people can look with `ls` and put files there themselves. What a file
//! cannot hold (its media type, metadata, ETag, …) is an entry of the key-value store, committed after the file is in its
//! place; an entry that does not match the file is not believed. Instead of a folder the root may be an S3-class store,
//! which does less. Knows no wire format.
//! Read next: [`engine`] (the operations), [`object`] (what an object is), `store` (files, and the S3-class store).

pub mod condition;
pub mod engine;
mod entry;
mod error;
pub mod lease;
mod lock;
pub mod name;
pub mod object;
mod store;

pub use condition::{Condition, Conditions, EtagMatch};
pub use engine::{
    Append, BlockSource, Bucket, ByteRange, CommitBlocks, Copy, Listed, Listing, NewBlock, ObjectBlocks, Objects, Put,
    Reading, Removal, Select, TAGS_MAX, WhichBlocks, check_tags,
};
pub use error::ObjectError;
pub use lease::{Lease, LeaseAction, LeaseRefusal, LeaseState};
pub use name::{check_bucket, check_key};
pub use object::{BlockInfo, CopyRecord, Object, ObjectKind, Properties, SnapshotId, Version};
pub use store::ObjectStoreOptions;
