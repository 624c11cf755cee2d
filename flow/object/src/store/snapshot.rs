//! The files of snapshots, in a folder of ours: one folder an object, one file a snapshot. Which of them count, their entries
//! say. Everything here blocks.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::folder::{FileState, Folder, OWN_FOLDER, OpenFile, Unfinished, disk, is_abandoned, is_absent, list_folder};
use super::staged::remove_all;
use crate::error::ObjectError;
use crate::name::hash_of_key;
use crate::object::{SnapshotId, Version};

impl Folder {
    fn snapshots(&self) -> PathBuf {
        self.root().join(OWN_FOLDER).join("snapshots")
    }

    fn snapshots_of(&self, bucket: &str, key: &str) -> PathBuf {
        self.snapshots().join(bucket).join(hex::encode(hash_of_key(key)))
    }

    /// Opens the file of an object or of a snapshot; `None` when there is none.
    pub(crate) fn open_version(&self, version: Version<'_>) -> Result<Option<OpenFile>, ObjectError> {
        let Version { bucket, key, snapshot } = version;
        match snapshot {
            None => self.open(bucket, key),
            Some(id) => OpenFile::at(&self.snapshots_of(bucket, key).join(id.to_string())),
        }
    }

    /// Puts a finished file where a snapshot's is; durable when this returns.
    pub(crate) fn finish_snapshot(
        &self,
        file: Unfinished,
        bucket: &str,
        key: &str,
        id: SnapshotId,
    ) -> Result<FileState, ObjectError> {
        let path = self.snapshots_of(bucket, key).join(id.to_string());
        file.place(&path).map_err(|error| disk("write", &path, &error))
    }

    /// Removes the files of snapshots that do not count any more.
    pub(crate) fn remove_snapshots(&self, bucket: &str, key: &str, ids: &[SnapshotId]) -> Result<(), ObjectError> {
        let folder = self.snapshots_of(bucket, key);
        for id in ids {
            let path = folder.join(id.to_string());
            match fs::remove_file(&path) {
                Err(error) if !is_absent(&error) => return Err(disk("remove", &path, &error)),
                _ => {}
            }
        }
        // Fails while there are others.
        let _ = fs::remove_dir(&folder);
        Ok(())
    }

    pub(super) fn remove_snapshots_of_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        remove_all(&self.snapshots().join(bucket))
    }

    /// Removes old files of which `counts` says that they are no snapshot (of a bucket and a key's hash): a crash came between
    /// file and entry.
    pub(crate) fn sweep_snapshots(
        &self,
        now: SystemTime,
        counts: impl Fn(&str, &[u8], SnapshotId) -> Result<bool, ObjectError>,
    ) -> Result<(), ObjectError> {
        for bucket in list_folder(&self.snapshots())? {
            let buckets = self.snapshots().join(&bucket.name);
            for object in list_folder(&buckets)? {
                let folder = buckets.join(&object.name);
                for file in list_folder(&folder)? {
                    let path = folder.join(&file.name);
                    let known = match (hex::decode(&object.name), file.name.parse()) {
                        (Ok(hash), Ok(id)) => counts(&bucket.name, &hash, id)?,
                        _ => false,
                    };
                    if !known && is_abandoned(&path, now) {
                        fs::remove_file(&path).map_err(|error| disk("remove", &path, &error))?;
                    }
                }
                // Fails while something is in it; a snapshot that is about to be there makes it again.
                let _ = fs::remove_dir(&folder);
            }
        }
        Ok(())
    }
}
