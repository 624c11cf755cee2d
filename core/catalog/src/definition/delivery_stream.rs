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
    /// The role that the maker named for reading the source; empty: none is asked.
    #[serde(default)]
    pub source_role: String,
    /// Where they go.
    pub destination: ObjectDestination,
    /// Rises with each change; part of object names.
    pub version: u32,
    /// When its destination last changed; `None`: never.
    #[serde(default)]
    pub modified: Option<Millis>,
    /// Labels.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDestination {
    /// The bucket's name: a folder of the object root, or a bucket of the configured S3-class store.
    pub bucket: String,
    /// What object names begin with. May hold `!{timestamp:PATTERN}` and `!{firehose:random-string}`; without a timestamp
    /// the time path `yyyy/MM/dd/HH/` follows it. Empty for only that.
    #[serde(default)]
    pub prefix: String,
    /// The prefix for records that could not be processed. Recorded: nothing is processed on the way, so nothing fails.
    #[serde(default)]
    pub error_prefix: String,
    /// What object names end with, instead of what the compression would give; empty for that.
    #[serde(default)]
    pub file_extension: String,
    /// The IANA name of the zone that times in object names are in; empty for UTC.
    #[serde(default)]
    pub time_zone: String,
    /// An object is closed at this size. 1 to 128 MiB.
    pub buffer_bytes: u64,
    /// An object is closed this long after its first record. 0 to 900 s.
    pub buffer_seconds: u32,
    /// How objects are packed.
    #[serde(default)]
    pub compression: Compression,
    /// The role that the maker named for writing; empty: none is asked.
    #[serde(default)]
    pub role: String,
    /// Where failed deliveries are told; `None`: only in the node's own log.
    #[serde(default)]
    pub error_log: Option<ErrorLog>,
}

/// A log stream for what goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorLog {
    /// The log group.
    pub group: String,
    /// The log stream in it.
    pub stream: String,
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
