//! What an opener decides, what opening tells, and how far a log reaches.

use std::path::PathBuf;
use std::time::Duration;

use millstream_types::Millis;

/// When a transaction counts as durable. One that changes keys is always synced: the key-value store writes its own files
/// when it likes and must never be ahead of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After `fdatasync`: survives the loss of power.
    #[default]
    Fsync,
    /// After the write; `fdatasync` follows at this interval. The loss of power may cost what came since.
    Interval(Duration),
    /// After the write; the operating system decides when it reaches the disk. Survives only a crash of the process.
    Os,
}

/// How to open a data folder.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// The data folder; made when missing.
    pub folder: PathBuf,
    /// When a transaction counts as durable.
    pub durability: Durability,
    /// Size of a journal file in bytes. The first one of a process is smaller, so that a first start is quick.
    pub journal_file_bytes: u64,
    /// Size in bytes at which a log's segment is closed and the next one begun: the grain of retention.
    pub segment_bytes: u64,
    /// Bytes that may wait for the disk before submits are refused.
    pub waiting_bytes_max: usize,
    /// Journal bytes after which logs and the key-value store are brought to disk and the journal is trimmed.
    pub checkpoint_bytes: u64,
    /// Time after which a checkpoint is made when anything changed.
    pub checkpoint_interval: Duration,
    /// Record bytes kept in memory, over all logs, after they were written: what tailing readers are served from.
    pub tail_bytes_max: usize,
    /// Bytes of the key-value store's block cache.
    pub cache_bytes: u64,
    /// Free bytes of the disk below which writes are refused, so that the stores can always finish what they began.
    pub free_bytes_min: u64,
}

impl StorageOptions {
    /// The defaults for a data folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            durability: Durability::Fsync,
            journal_file_bytes: 64 << 20,
            segment_bytes: 64 << 20,
            waiting_bytes_max: 64 << 20,
            checkpoint_bytes: 32 << 20,
            checkpoint_interval: Duration::from_secs(10),
            tail_bytes_max: 16 << 20,
            cache_bytes: 8 << 20,
            free_bytes_min: 128 << 20,
        }
    }
}

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The last transaction that there is; 0 in a new folder.
    pub last_lsn: u64,
    /// Transactions taken from the journal, since no checkpoint covered them.
    pub replayed_transactions: u64,
    /// The write that a crash interrupted, when there was one. It was never acknowledged.
    pub torn: Option<TornTail>,
}

/// An interrupted write at the journal's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The journal file.
    pub file: String,
    /// Where in it the whole frames end.
    pub position: u64,
    /// Bytes that were dropped there.
    pub bytes: u64,
    /// The last transaction before it.
    pub after_lsn: u64,
}

/// How far a log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogBounds {
    /// The first offset that can be read.
    pub first: u64,
    /// The offset that the next record will get, as far as records are durable.
    pub next: u64,
    /// The append time of the last durable record; 0 when there never was one.
    pub last_append_time: Millis,
}
