//!
//! Paths are relative to the data folder, with `/` between names.

mod real;
#[cfg(test)]
pub(crate) mod simulated;

use std::io;
use std::sync::Arc;

pub(crate) use real::RealDisk;

use crate::error::StorageError;

/// A folder tree that survives the process.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for writing whole blocks past the system's cache, where the file system can.
    fn open_direct(&self, path: &str, synced: Synced) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes an empty file, or empties the one that is there.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Makes a folder; no error when it is there.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Removes a folder with its files; no error when it is missing.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// Names and sizes of what is in a folder, in the order of names; empty when it is missing.
    fn list(&self, path: &str) -> io::Result<Vec<(String, u64)>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// Bytes that may still be written.
    fn available(&self) -> io::Result<u64>;
}

/// When whole blocks of a file that is written past the system's cache are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synced {
    /// When their write returns.
    ByWrite,
    /// With the next sync, as everything else.
    BySync,
}

/// An open file.
pub(crate) trait DiskFile: Send + Sync {
    /// Writes all bytes at a position.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// So many bytes from a position; fails with `UnexpectedEof` when the file is shorter.
    fn read_at(&self, length: usize, position: u64) -> io::Result<Vec<u8>>;
    /// Makes content and length durable. After an error nothing is known about what was written.
    fn sync(&self) -> io::Result<()>;
    /// Gives the file room up to a length, in which it reads as zeros where nothing is written; fails with `Unsupported` where
    /// the file system cannot.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Shortens the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
}

/// Says which action on which file failed.
pub(crate) fn failed<'a>(action: &'static str, file: &'a str) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::DiskFull,
        _ => StorageError::Io { action, file: file.to_owned(), reason: error.to_string() },
    }
}
