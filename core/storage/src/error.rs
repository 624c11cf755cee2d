//! What can go wrong below every engine.

use millstream_types::{ErrorKind, LogId};

/// An error of the storage engine.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Too many bytes wait for the disk: the caller has to slow down.
    #[error("{waiting_bytes} bytes wait for the disk, more than the limit of {limit_bytes}; send slower or retry")]
    Overloaded {
        /// Bytes waiting.
        waiting_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// One transaction is larger than a journal frame may be.
    #[error("a transaction of {bytes} bytes is over the limit of {limit_bytes}")]
    TransactionTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A write or sync failed before. Nothing is acknowledged any more, since what reached the disk is unknown.
    #[error("the journal stopped after a disk error: {reason}; restart the node after mending the disk")]
    Poisoned {
        /// The first error.
        reason: String,
    },
    /// The disk is full: writes are refused until there is room.
    #[error("no space left on the data disk; free some and the node goes on by itself")]
    DiskFull,
    /// The storage is shutting down.
    #[error("the storage is closed")]
    Closed,
    /// The offset was removed by retention, or the log never existed.
    #[error("offset {offset} of log {} is gone; the log begins at {first}", log.0)]
    OffsetGone {
        /// The log.
        log: LogId,
        /// What was asked for.
        offset: u64,
        /// The first offset that there is.
        first: u64,
    },
    /// Another process has the data folder.
    #[error("the data folder {folder} is in use by another process; stop it, or use another folder")]
    InUse {
        /// The folder.
        folder: String,
    },
    /// Bytes on disk do not match their checksum.
    #[error("damaged data in {file} at byte {position}: {detail}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        position: u64,
        /// What is wrong, and what the choices are.
        detail: String,
    },
    /// The operating system refused.
    #[error("{action} {file}: {reason}")]
    Io {
        /// `read`, `write`, `sync`, …
        action: &'static str,
        /// The file.
        file: String,
        /// The system's words.
        reason: String,
    },
}

impl StorageError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Overloaded { .. } => ErrorKind::Throttled,
            Self::TransactionTooLarge { .. } => ErrorKind::TooLarge,
            Self::OffsetGone { .. } => ErrorKind::NotFound,
            Self::DiskFull | Self::Closed | Self::InUse { .. } => ErrorKind::Unavailable,
            // What stopped for good does not pass by being tried again.
            Self::Poisoned { .. } | Self::Damaged { .. } | Self::Io { .. } => ErrorKind::Internal,
        }
    }
}
