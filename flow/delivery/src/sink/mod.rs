//! Where objects go: folders of this machine, or buckets of an S3-class store.
//!
//! Writing an object again under its name replaces it by the same bytes: that is what makes a repeated write harmless.

mod folder;
mod s3;

use std::path::PathBuf;

use bytes::Bytes;

use crate::error::DeliveryError;

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
pub(crate) enum ObjectSink {
    Folder(folder::FolderSink),
    S3(s3::S3Sink),
}

impl ObjectSink {
    pub(crate) fn new(options: ObjectStoreOptions) -> Self {
        match options {
            ObjectStoreOptions::Folder(root) => Self::Folder(folder::FolderSink::new(root)),
            ObjectStoreOptions::S3 { endpoint, region, access_key, secret } => {
                Self::S3(s3::S3Sink::new(endpoint, region, access_key, secret))
            }
        }
    }

    /// Writes an object, whole or not at all; durable when this returns.
    pub(crate) async fn write(&self, bucket: &str, object: &str, parts: Vec<Bytes>) -> Result<(), DeliveryError> {
        let wrong =
            |reason: String| DeliveryError::Sink { bucket: bucket.to_owned(), object: object.to_owned(), reason };
        match self {
            Self::Folder(sink) => sink.write(bucket, object, parts).await.map_err(|error| wrong(error.to_string())),
            Self::S3(sink) => sink.write(bucket, object, parts).await.map_err(|error| wrong(error.to_string())),
        }
    }
}

/// Whether a bucket's name is one in every store and leads nowhere else as a folder.
pub(crate) fn check_bucket(bucket: &str) -> Result<(), DeliveryError> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let fine = !bucket.is_empty() && bucket.len() <= 255 && bucket.chars().all(allowed) && !bucket.starts_with('.');
    if fine { Ok(()) } else { Err(DeliveryError::BadBucket { bucket: bucket.to_owned() }) }
}
