//! Buckets as folders, objects as files. An object appears whole: it is written elsewhere under the root, synced, then
//! renamed into its place, and the folder is synced. Everything here blocks: not for an async worker.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use millstream_types::Millis;

use crate::error::ObjectError;

/// The folder under the root for what is no object yet. No bucket's name begins with a point.
pub(super) const OWN_FOLDER: &str = ".millstream";

/// Bytes of the disk that objects leave free, since the journal may be on the same one.
const FREE_BYTES_MIN: u64 = 128 << 20;

/// How old an unfinished file or staged block is when nobody will finish it any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How often a rename is tried again when somebody removed the empty folder in between.
const FINISH_TRIES: usize = 3;

/// The folder of all buckets.
pub(crate) struct Folder {
    root: PathBuf,
}

/// What a file's metadata tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    /// Bytes.
    pub(crate) length: u64,
    /// Nanoseconds since the epoch of the last write.
    pub(crate) time: i64,
}

/// An object's file, open for reading: it stays the same when another takes its place.
pub(crate) struct OpenFile {
    file: File,
    pub(crate) state: FileState,
}

/// A file that is no object yet; removed unless it becomes one.
pub(crate) struct Unfinished {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn bucket(&self, bucket: &str) -> PathBuf {
        self.root.join(bucket)
    }

    fn object(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(key)
    }

    /// A folder of ours below the root, made when missing.
    fn own(&self, name: &str) -> Result<PathBuf, ObjectError> {
        let folder = self.root.join(OWN_FOLDER).join(name);
        make_folders(&folder).map_err(|error| disk("make folder", &folder, &error))?;
        Ok(folder)
    }

    /// When the bucket's folder was changed last; `None` when there is none.
    pub(crate) fn bucket_time(&self, bucket: &str) -> Result<Option<Millis>, ObjectError> {
        let folder = self.bucket(bucket);
        match fs::metadata(&folder) {
            Ok(found) if found.is_dir() => Ok(Some(state(&found).time.div_euclid(1_000_000))),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(disk("look at", &folder, &error)),
        }
    }

    pub(crate) fn require_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        match self.bucket_time(bucket)? {
            Some(_) => Ok(()),
            None => Err(ObjectError::BucketNotFound { bucket: bucket.to_owned() }),
        }
    }

    pub(crate) fn make_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        let folder = self.bucket(bucket);
        make_folders(&folder).map_err(|error| disk("make folder", &folder, &error))
    }

    /// The names of all folders that can be buckets, sorted.
    pub(crate) fn buckets(&self) -> Result<Vec<String>, ObjectError> {
        let mut names = Vec::new();
        for entry in list_folder(&self.root)? {
            if entry.is_folder && crate::name::check_bucket(&entry.name).is_ok() {
                names.push(entry.name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Takes a bucket's folder away in one step, then removes what was in it.
    pub(crate) fn remove_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        let folder = self.bucket(bucket);
        let removed = self.own("unfinished")?.join(uuid::Uuid::new_v4().simple().to_string());
        fs::rename(&folder, &removed).map_err(|error| disk("remove", &folder, &error))?;
        sync_folder(&self.root).map_err(|error| disk("sync", &self.root, &error))?;
        // The bucket is gone; what cannot be removed now is swept away later.
        if let Err(error) = fs::remove_dir_all(&removed) {
            tracing::warn!(folder = %removed.display(), %error, "what a bucket held is not removed yet");
        }
        self.remove_staged_of_bucket(bucket)?;
        self.remove_snapshots_of_bucket(bucket)
    }

    /// Opens an object's file; `None` when there is none of that name, or something else than a file.
    pub(crate) fn open(&self, bucket: &str, key: &str) -> Result<Option<OpenFile>, ObjectError> {
        OpenFile::at(&self.object(bucket, key))
    }

    /// Begins a file of `bytes` that will be an object; refused when the disk would be too full then.
    pub(crate) fn begin(&self, bytes: u64) -> Result<Unfinished, ObjectError> {
        let folder = self.own("unfinished")?;
        check_room(&folder, bytes)?;
        let path = folder.join(uuid::Uuid::new_v4().simple().to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(|error| disk("make", &path, &error))?;
        Ok(Unfinished { path, file, renamed: false })
    }

    /// Puts a finished file into its place; durable when this returns.
    pub(crate) fn finish(&self, file: Unfinished, bucket: &str, key: &str) -> Result<FileState, ObjectError> {
        let path = self.object(bucket, key);
        let found = file.place(&path);
        found.map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => {
                ObjectError::KeyClash { bucket: bucket.to_owned(), key: key.to_owned() }
            }
            _ => disk("write", &path, &error),
        })
    }

    /// Adds to the end of an object's file, of which only the first `length` bytes count; durable when this returns.
    pub(crate) fn append(&self, bucket: &str, key: &str, length: u64, data: &[u8]) -> Result<FileState, ObjectError> {
        let path = self.object(bucket, key);
        check_room(&self.root, data.len() as u64)?;
        let append = || {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(length)?;
            file.write_all_at(data, length)?;
            file.sync_all()?;
            Ok(state(&file.metadata()?))
        };
        append().map_err(|error: io::Error| disk("append to", &path, &error))
    }

    /// Removes an object's file and the folders that only it was in. Whether there was one.
    pub(crate) fn remove(&self, bucket: &str, key: &str) -> Result<bool, ObjectError> {
        let path = self.object(bucket, key);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(disk("remove", &path, &error)),
        }
        let bucket = self.bucket(bucket);
        let mut folder = path.parent().unwrap_or(&bucket);
        // A folder with something in it stays, and so does the bucket's.
        while folder != bucket && fs::remove_dir(folder).is_ok() {
            folder = folder.parent().unwrap_or(&bucket);
        }
        sync_folder(folder).map_err(|error| disk("sync", folder, &error))?;
        Ok(true)
    }

    /// Removes unfinished files and staged blocks that nobody will finish any more.
    pub(crate) fn sweep(&self, now: SystemTime) -> Result<(), ObjectError> {
        let own = self.root.join(OWN_FOLDER);
        sweep_folder(&own.join("unfinished"), now)?;
        sweep_folder(&own.join("blocks"), now)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

impl OpenFile {
    pub(super) fn at(path: &Path) -> Result<Option<Self>, ObjectError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(disk("open", path, &error)),
        };
        let found = file.metadata().map_err(|error| disk("look at", path, &error))?;
        Ok(found.is_file().then(|| Self { file, state: state(&found) }))
    }

    /// Reads exactly these bytes.
    pub(crate) fn read(&self, start: u64, length: usize) -> Result<Bytes, ObjectError> {
        let mut content = vec![0; length];
        self.file.read_exact_at(&mut content, start).map_err(|error| ObjectError::Disk {
            action: "read",
            file: "an object".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Bytes::from(content))
    }

    /// Copies these bytes to the end of an unfinished file.
    pub(crate) fn copy_to(&mut self, start: u64, length: u64, to: &mut Unfinished) -> Result<(), ObjectError> {
        let mut copy = || {
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(start))?;
            let copied = io::copy(&mut io::Read::take(&self.file, length), &mut to.file)?;
            if copied == length { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) }
        };
        let copied: io::Result<()> = copy();
        copied.map_err(|error| disk("copy to", &to.path, &error))
    }
}

impl Unfinished {
    pub(crate) fn write(&mut self, part: &[u8]) -> Result<(), ObjectError> {
        self.file.write_all(part).map_err(|error| disk("write", &self.path, &error))
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&self) -> Result<(), ObjectError> {
        self.file.sync_all().map_err(|error| disk("sync", &self.path, &error))
    }

    /// Renames the file; the folders on its way are made, and made again when somebody removed them as empty.
    pub(super) fn place(mut self, path: &Path) -> io::Result<FileState> {
        let folder = path.parent().unwrap_or(path);
        let mut tries = 0;
        loop {
            make_folders(folder)?;
            match fs::rename(&self.path, path) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < FINISH_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
        self.renamed = true;
        sync_folder(folder)?;
        Ok(state(&self.file.metadata()?))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// One thing in a folder.
pub(super) struct FolderEntry {
    pub(super) name: String,
    pub(super) is_folder: bool,
}

/// The files and folders of a folder, in no order.
pub(super) fn list_folder(folder: &Path) -> Result<Vec<FolderEntry>, ObjectError> {
    let mut found = Vec::new();
    each_entry(folder, |entry| found.push(entry))?;
    Ok(found)
}

/// Shows the files and folders of a folder, in no order; none when there is no such folder. Links and names that are no
/// UTF-8 cannot be objects.
pub(super) fn each_entry(folder: &Path, mut show: impl FnMut(FolderEntry)) -> Result<(), ObjectError> {
    let failed = |error: &io::Error| disk("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(failed(&error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| failed(&error))?;
        let Ok(kind) = entry.file_type() else { continue };
        let Ok(name) = entry.file_name().into_string() else { continue };
        if kind.is_dir() || kind.is_file() {
            show(FolderEntry { name, is_folder: kind.is_dir() });
        }
    }
    Ok(())
}

/// Makes missing folders and syncs each parent, so that the way to an object is as durable as the object.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return fs::create_dir_all(folder) };
    make_folders(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !folder.is_dir() => {
            Err(io::Error::new(io::ErrorKind::NotADirectory, "there is a file of that name"))
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all()
}

fn check_room(folder: &Path, bytes: u64) -> Result<(), ObjectError> {
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let needed_bytes = bytes.saturating_add(FREE_BYTES_MIN);
    if disk.f_bavail.saturating_mul(disk.f_frsize) < needed_bytes {
        return Err(ObjectError::DiskFull { needed_bytes });
    }
    Ok(())
}

/// Removes old files, and the folders that are empty then. What cannot be looked at is left for the next sweep.
fn sweep_folder(folder: &Path, now: SystemTime) -> Result<(), ObjectError> {
    for entry in list_folder(folder)? {
        let path = folder.join(&entry.name);
        if entry.is_folder {
            sweep_folder(&path, now)?;
            // Fails while something is in it. A folder that a write is about to use is made again by it.
            let _ = fs::remove_dir(&path);
            continue;
        }
        if is_abandoned(&path, now) {
            fs::remove_file(&path).map_err(|error| disk("remove", &path, &error))?;
        }
    }
    Ok(())
}

/// Whether a file is so old that nobody is at work on it any more.
pub(super) fn is_abandoned(file: &Path, now: SystemTime) -> bool {
    let written = fs::metadata(file).and_then(|found| found.modified());
    let age = written.ok().and_then(|written| now.duration_since(written).ok());
    age.is_some_and(|age| age > ABANDONED_AFTER)
}

fn state(found: &fs::Metadata) -> FileState {
    let time = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
    FileState { length: found.len(), time }
}

/// Whether nothing of that name is there: no entry, or a file on the way to it.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidFilename
    )
}

pub(super) fn disk(action: &'static str, file: &Path, error: &io::Error) -> ObjectError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ObjectError::DiskFull { needed_bytes: FREE_BYTES_MIN }
        }
        _ => ObjectError::Disk { action, file: file.display().to_string(), reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Folder, key: &str, content: &[u8]) -> Result<FileState, ObjectError> {
        let mut file = folder.begin(0)?;
        file.write(content)?;
        file.sync()?;
        folder.finish(file, "b", key)
    }

    #[test]
    fn an_object_appears_whole_and_again_as_the_same() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().to_owned());
        for _ in 0..2 {
            put(&folder, "2026/11/o", b"one\ntwo\n").unwrap();
            assert_eq!(fs::read(root.path().join("b/2026/11/o")).unwrap(), b"one\ntwo\n");
            assert_eq!(fs::read_dir(root.path().join("b/2026/11")).unwrap().count(), 1);
            assert_eq!(fs::read_dir(root.path().join(".millstream/unfinished")).unwrap().count(), 0);
        }
        drop(folder.begin(0).unwrap());
        assert_eq!(fs::read_dir(root.path().join(".millstream/unfinished")).unwrap().count(), 0, "given up");
    }

    #[test]
    fn a_file_cannot_be_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().to_owned());
        put(&folder, "a/b", b"1").unwrap();
        for clash in ["a", "a/b/c", "a/b/c/d"] {
            assert!(matches!(put(&folder, clash, b"2"), Err(ObjectError::KeyClash { .. })), "{clash}");
            assert!(folder.open("b", clash).unwrap().is_none(), "{clash}");
        }
        assert!(folder.remove("b", "a/b").unwrap());
        assert!(!folder.remove("b", "a/b").unwrap());
        put(&folder, "a", b"3").unwrap();
    }

    #[test]
    fn what_nobody_finishes_is_swept_after_a_week() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().to_owned());
        let left = root.path().join(".millstream/unfinished/left");
        fs::create_dir_all(left.parent().unwrap()).unwrap();
        fs::write(&left, "x").unwrap();
        let week = Duration::from_secs(7 * 24 * 3_600);
        folder.sweep(SystemTime::now() + week - Duration::from_secs(60)).unwrap();
        assert!(left.exists());
        folder.sweep(SystemTime::now() + week + Duration::from_secs(60)).unwrap();
        assert!(!left.exists());
    }
}
