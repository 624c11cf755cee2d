//! The disk by itself, beside which durable calls are measured.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a write.
pub const BLOCK_BYTES: usize = 4096;

/// A file that grows by a block with each write, and is synced each time.
pub struct GrowingFile {
    file: File,
    position: u64,
    block: [u8; BLOCK_BYTES],
}

impl GrowingFile {
    /// An empty file, in place of what is there.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        Ok(Self { file, position: 0, block: [7; BLOCK_BYTES] })
    }

    /// Writes a block and waits for `fdatasync`; how long that took.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self) -> io::Result<Duration> {
        let begun = Instant::now();
        self.file.write_all_at(&self.block, self.position)?;
        self.file.sync_data()?;
        self.position += BLOCK_BYTES as u64;
        Ok(begun.elapsed())
    }
}
