//! Buckets as folders. An object appears whole: it is written beside its place, synced, then renamed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

pub(crate) struct FolderSink {
    root: PathBuf,
}

impl FolderSink {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) async fn write(&self, bucket: &str, object: &str, parts: Vec<Bytes>) -> io::Result<()> {
        let bucket = self.root.join(bucket);
        let object = object.to_owned();
        tokio::task::spawn_blocking(move || write_whole(&bucket, Path::new(&object), &parts)).await?
    }
}

fn write_whole(bucket: &Path, object: &Path, parts: &[Bytes]) -> io::Result<()> {
    if !object.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an object's name may not lead out of its bucket"));
    }
    let path = bucket.join(object);
    let folder = path.parent().unwrap_or(bucket);
    make_folders(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!(".{name}.unfinished"));
    let mut file = File::create(&unfinished)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    File::open(folder)?.sync_all()
}

/// Makes missing folders and syncs each parent, so that the way to an object is as durable as the object.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return fs::create_dir_all(folder) };
    make_folders(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_appears_whole_and_again_as_the_same() {
        let root = tempfile::tempdir().unwrap();
        let parts = [Bytes::from_static(b"one\n"), Bytes::from_static(b"two\n")];
        for _ in 0..2 {
            write_whole(&root.path().join("b"), Path::new("2026/11/o"), &parts).unwrap();
            assert_eq!(fs::read(root.path().join("b/2026/11/o")).unwrap(), b"one\ntwo\n");
            assert_eq!(fs::read_dir(root.path().join("b/2026/11")).unwrap().count(), 1);
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["../x", "/etc/x", "a/../../x"] {
            assert!(write_whole(root.path(), Path::new(name), &[]).is_err(), "{name}");
        }
    }
}
