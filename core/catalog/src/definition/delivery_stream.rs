//! Delivery streams: records buffered into objects.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// Records in, objects out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryStreamDefinition {
    /// Unique.
    pub name: String,
    /// When it was made.
    pub created: Millis,
    /// Where records come from.
    pub source: DeliverySource,
    /// Where they go.
    pub destination: ObjectDestination,
    /// Rises with each change; part of object names.
    pub version: u32,
}

impl DeliveryStreamDefinition {
    /// The stream whose records it delivers.
    #[must_use]
    pub fn source_stream(&self) -> String {
        match &self.source {
            DeliverySource::DirectPut => format!("delivery/{}", self.name),
            DeliverySource::Stream { name } => name.clone(),
        }
    }
}

/// Where a delivery stream's records come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverySource {
    /// Clients put records into it; they are kept in its own stream `delivery/NAME`.
    DirectPut,
    /// It reads a user's stream.
    Stream {
        /// The stream.
        name: String,
    },
}

/// A bucket and how objects are cut and named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDestination {
    /// The bucket's name: a folder of the object root, or a bucket of the configured S3-class store.
    pub bucket: String,
    /// Put before the time path of object names; empty for none.
    #[serde(default)]
    pub prefix: String,
    /// An object is closed at this size. 1 to 128 MiB.
    pub buffer_bytes: u64,
    /// An object is closed this long after its first record. 0 to 900 s.
    pub buffer_seconds: u32,
    /// How objects are packed.
    #[serde(default)]
    pub compression: Compression,
    /// The role that the maker named; recorded.
    #[serde(default)]
    pub role: String,
}

/// How objects are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// gzip, with the suffix `.gz`.
    Gzip,
}

impl Definition for DeliveryStreamDefinition {
    const KIND: &'static str = "delivery stream";

    fn key(&self) -> &str {
        &self.name
    }
}
