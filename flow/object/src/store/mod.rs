//! Where the bytes are: folders of this machine, or buckets of an S3-class store. Knows no entries and no conditions.

mod folder;
mod s3;
mod snapshot;
mod staged;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use folder::{FileState, Folder, OpenFile, Unfinished};
pub(crate) use s3::S3Store;
pub(crate) use walk::{Step, Walk};

/// Which store the buckets are in.
#[derive(Debug, Clone)]
pub enum ObjectStoreOptions {
    /// Each bucket is a folder below this one.
    Folder(PathBuf),
    /// Each bucket is one of an S3-class store.
    S3 {
        /// Its address.
        endpoint: String,
        /// Its region.
        region: String,
        /// An access key of it.
        access_key: String,
        /// The key's secret.
        secret: String,
    },
}

/// The node's object store.
pub(crate) enum Store {
    Folder(Arc<Folder>),
    S3(S3Store),
}

impl Store {
    pub(crate) fn new(options: ObjectStoreOptions) -> Self {
        match options {
            ObjectStoreOptions::Folder(root) => Self::Folder(Arc::new(Folder::new(root))),
            ObjectStoreOptions::S3 { endpoint, region, access_key, secret } => {
                Self::S3(S3Store::new(endpoint, region, access_key, secret))
            }
        }
    }
}
