//! The operating system's file system below one data folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::{Disk, DiskFile, Synced};
use crate::blocks::BLOCK;

/// How long an open waits for a descriptor, and how often: five minutes, then something is wrong that does not pass.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(20);
const DESCRIPTOR_WAITS: u32 = 15_000;

/// A data folder.
pub(crate) struct RealDisk {
    folder: PathBuf,
}

impl RealDisk {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }
}

/// Opens a file; while the process has no descriptor left it waits: that passes, and as an answer it would be taken for
/// damage. Called on threads that may block.
fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    for turn in 0..DESCRIPTOR_WAITS {
        match options.open(path) {
            Err(error) if has_no_descriptor(&error) => {
                if turn == 0 {
                    tracing::warn!(path = %path.display(), "no descriptor is left to open a file; waiting for one");
                }
                std::thread::sleep(DESCRIPTOR_WAIT);
            }
            opened => return opened,
        }
    }
    options.open(path)
}

fn has_no_descriptor(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(number, Some(Errno::MFILE | Errno::NFILE))
}

impl Disk for RealDisk {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(open(OpenOptions::new().read(true).write(true), &self.folder.join(path))?))
    }

    fn open_direct(&self, path: &str, synced: Synced) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.folder.join(path);
        let cached = open(OpenOptions::new().read(true).write(true), &path)?;
        let flags = match synced {
            Synced::ByWrite => OFlags::DIRECT | OFlags::DSYNC,
            Synced::BySync => OFlags::DIRECT,
        };
        let flags = flags.bits().cast_signed();
        match open(OpenOptions::new().write(true).custom_flags(flags), &path) {
            Ok(direct) => {
                let (works, unsynced) = (AtomicBool::new(true), AtomicBool::new(false));
                Ok(Arc::new(DirectFile { direct, cached, synced, works, unsynced }))
            }
            Err(error) if is_unsupported(&error) => Ok(Arc::new(cached)),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(open(&options, &self.folder.join(path))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(path))
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.folder.join(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn list(&self, path: &str) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(self.folder.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        open(OpenOptions::new().read(true), &self.folder.join(path))?.sync_all()
    }

    fn available(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// A file open twice: whole blocks go past the system's cache, which saves a copy and the search for what is dirty, and, when they
/// are durable as their write returns, a second call; the rest goes through the cache and waits for a sync.
struct DirectFile {
    direct: File,
    cached: File,
    /// When what `direct` writes is durable.
    synced: Synced,
    /// Some file systems take the flag and refuse the first write.
    works: AtomicBool,
    /// Whether anything was written that waits for a sync.
    unsynced: AtomicBool,
}

/// Whether a file system says that it has no direct writes.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

impl DiskFile for DirectFile {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let at_border = position.is_multiple_of(BLOCK as u64) && bytes.as_ptr().align_offset(BLOCK) == 0;
        let whole = if at_border { bytes.len() - bytes.len() % BLOCK } else { 0 };
        let mut done = 0;
        if whole > 0 && self.works.load(Ordering::Relaxed) {
            if self.synced == Synced::BySync {
                self.unsynced.store(true, Ordering::Relaxed);
            }
            match self.direct.write_all_at(&bytes[..whole], position) {
                Err(error) if is_unsupported(&error) => self.works.store(false, Ordering::Relaxed),
                result => {
                    result?;
                    done = whole;
                }
            }
        }
        if done == bytes.len() {
            return Ok(());
        }
        self.unsynced.store(true, Ordering::Relaxed);
        self.cached.write_all_at(&bytes[done..], position + done as u64)
    }

    fn read_at(&self, length: usize, position: u64) -> io::Result<Vec<u8>> {
        DiskFile::read_at(&self.cached, length, position)
    }

    fn sync(&self) -> io::Result<()> {
        if !self.unsynced.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.cached.sync_data().inspect_err(|_| self.unsynced.store(true, Ordering::Relaxed))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.unsynced.store(true, Ordering::Relaxed);
        DiskFile::allocate(&self.cached, length)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.unsynced.store(true, Ordering::Relaxed);
        self.cached.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.cached.metadata()?.len())
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    /// Into memory that nobody has filled with zeros before.
    fn read_at(&self, length: usize, position: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = position + bytes.len() as u64;
            match rustix::io::pread(self, spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // There may be room for more than was wanted.
        bytes.truncate(length);
        Ok(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, length) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            result => Ok(result?),
        }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
