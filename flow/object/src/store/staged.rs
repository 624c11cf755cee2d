//! Blocks that are no object yet: files in a folder of ours, one folder an object. Everything here blocks.

use std::fs;
use std::path::PathBuf;

use super::folder::{Folder, OWN_FOLDER, OpenFile, Unfinished, disk, is_absent, list_folder};
use crate::error::ObjectError;
use crate::name::hash_of_key;
use crate::object::BlockInfo;

impl Folder {
    /// Where the blocks of an object wait.
    fn staged(&self, bucket: &str, key: &str) -> PathBuf {
        self.staged_of_bucket(bucket).join(hex::encode(hash_of_key(key)))
    }

    fn staged_of_bucket(&self, bucket: &str) -> PathBuf {
        self.root().join(OWN_FOLDER).join("blocks").join(bucket)
    }

    /// Keeps a block in place of one of the same id; durable when this returns.
    pub(crate) fn stage(&self, file: Unfinished, bucket: &str, key: &str, id: &str) -> Result<(), ObjectError> {
        let path = self.staged(bucket, key).join(hex::encode(id));
        file.place(&path).map_err(|error| disk("write", &path, &error))?;
        Ok(())
    }

    /// The blocks that wait, in the order of their ids.
    pub(crate) fn staged_blocks(&self, bucket: &str, key: &str) -> Result<Vec<BlockInfo>, ObjectError> {
        let folder = self.staged(bucket, key);
        let mut blocks = Vec::new();
        for entry in list_folder(&folder)? {
            let id = hex::decode(&entry.name).ok().and_then(|id| String::from_utf8(id).ok());
            let (Some(id), Ok(found)) = (id, fs::metadata(folder.join(&entry.name))) else { continue };
            blocks.push(BlockInfo { id, length: found.len() });
        }
        blocks.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(blocks)
    }

    /// The ids of the blocks that wait, without looking at the blocks.
    pub(crate) fn staged_ids(&self, bucket: &str, key: &str) -> Result<Vec<String>, ObjectError> {
        let entries = list_folder(&self.staged(bucket, key))?;
        let id = |name: &str| hex::decode(name).ok().and_then(|id| String::from_utf8(id).ok());
        Ok(entries.iter().filter_map(|entry| id(&entry.name)).collect())
    }

    pub(crate) fn open_staged(&self, bucket: &str, key: &str, id: &str) -> Result<Option<OpenFile>, ObjectError> {
        OpenFile::at(&self.staged(bucket, key).join(hex::encode(id)))
    }

    /// Forgets the blocks of an object.
    pub(crate) fn remove_staged(&self, bucket: &str, key: &str) -> Result<(), ObjectError> {
        remove_all(&self.staged(bucket, key))
    }

    pub(super) fn remove_staged_of_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        remove_all(&self.staged_of_bucket(bucket))
    }
}

pub(super) fn remove_all(folder: &std::path::Path) -> Result<(), ObjectError> {
    match fs::remove_dir_all(folder) {
        Err(error) if !is_absent(&error) => Err(disk("remove", folder, &error)),
        _ => Ok(()),
    }
}
