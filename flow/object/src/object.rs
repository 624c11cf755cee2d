//! What is known of an object besides its content.

use std::collections::BTreeMap;
use std::fmt;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::lease::Lease;

/// Which snapshot of an object: microseconds since the epoch when it was taken, of which no two of an object are alike.
pub type SnapshotId = u64;

/// An object, or a snapshot of it.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The snapshot; `None` for the object itself.
    pub snapshot: Option<SnapshotId>,
}

impl<'a> Version<'a> {
    /// The object itself.
    #[must_use]
    pub fn current(bucket: &'a str, key: &'a str) -> Self {
        Self { bucket, key, snapshot: None }
    }
}

/// An object without its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// Its name in the bucket.
    pub key: String,
    /// Which snapshot this is; `None` for the object itself.
    pub snapshot: Option<SnapshotId>,
    /// Bytes of its content.
    pub length: u64,
    /// Changes with each change of content, metadata or properties; hexadecimal digits, without quotes.
    pub etag: String,
    /// When an object of this key was first written.
    pub created: Millis,
    /// When content, metadata or properties changed last.
    pub modified: Millis,
    /// How it is written.
    pub kind: ObjectKind,
    /// What its writer said of it.
    pub properties: Properties,
    /// How many appends it is made of.
    pub append_blocks: u32,
    /// Where it was copied from; `None` when it was not.
    pub copy: Option<CopyRecord>,
    /// Its lease, or what is left of one.
    pub lease: Option<Lease>,
}

/// How an object is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// As a whole, perhaps from staged blocks.
    #[default]
    Whole,
    /// At its end.
    Append,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Whole => "a whole",
            Self::Append => "an append",
        })
    }
}

/// What the writer of an object said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    /// The media type.
    pub content_type: Option<String>,
    /// How the content is packed.
    pub content_encoding: Option<String>,
    /// The content's language.
    pub content_language: Option<String>,
    /// How it is shown or saved.
    pub content_disposition: Option<String>,
    /// How long others may keep it.
    pub cache_control: Option<String>,
    /// The content's MD5; `None` when nobody computed or told it.
    pub md5: Option<[u8; 16]>,
    /// The user's own pairs.
    pub metadata: BTreeMap<String, String>,
    /// The user's own words to find it by; they can be changed without changing it.
    pub tags: BTreeMap<String, String>,
}

/// Where an object was copied from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRecord {
    /// The copy's id.
    pub id: String,
    /// The source, as whoever asked for the copy named it.
    pub source: String,
    /// When the copy was done.
    pub done: Millis,
}

/// A block of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// Its id, unique in the object.
    pub id: String,
    /// Its bytes.
    pub length: u64,
}
