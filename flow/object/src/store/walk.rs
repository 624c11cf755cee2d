//! The keys of a bucket in the order of their bytes, out of folders. Everything here blocks.
//!
//! Folders are read whole, one for each level on the way to where the walk is, and not at all when nothing in them can
//! be asked for.

use super::folder::{Folder, list_folder};
use crate::error::ObjectError;
use crate::name::check_key;

/// Which keys a walk meets.
pub(crate) struct Walk {
    /// Keys that begin so.
    pub(crate) prefix: String,
    /// Keys behind this one; empty for all.
    pub(crate) after: String,
    /// No keys that begin so, when given.
    pub(crate) skip: Option<String>,
}

/// What to do after a key.
pub(crate) enum Step {
    Next,
    /// Leave out further keys that begin so.
    Skip(String),
    Stop,
}

impl Folder {
    /// Shows the keys that the walk meets, in order, until `visit` says stop.
    pub(crate) fn walk(
        &self,
        bucket: &str,
        walk: &mut Walk,
        visit: &mut dyn FnMut(&str) -> Result<Step, ObjectError>,
    ) -> Result<(), ObjectError> {
        self.descend(bucket, "", walk, visit)?;
        Ok(())
    }

    /// Walks one folder of the bucket: `path` is empty or ends with `/`. Whether to go on.
    fn descend(
        &self,
        bucket: &str,
        path: &str,
        walk: &mut Walk,
        visit: &mut dyn FnMut(&str) -> Result<Step, ObjectError>,
    ) -> Result<bool, ObjectError> {
        let entries = list_folder(&self.bucket(bucket).join(path))?;
        // A folder's keys all have a slash behind its name: sorted with it, they come in the order of whole keys.
        let name = |entry: super::folder::FolderEntry| entry.name + if entry.is_folder { "/" } else { "" };
        let mut keys: Vec<String> = entries.into_iter().map(|entry| path.to_owned() + &name(entry)).collect();
        keys.sort_unstable();
        for key in keys {
            if key.ends_with('/') {
                if walk.may_hold(&key) && !self.descend(bucket, &key, walk, visit)? {
                    return Ok(false);
                }
            } else if walk.meets(&key) && check_key(&key).is_ok() {
                match visit(&key)? {
                    Step::Next => {}
                    Step::Skip(prefix) => walk.skip = Some(prefix),
                    Step::Stop => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}

impl Walk {
    pub(crate) fn meets(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && key > self.after.as_str() && !self.skips(key)
    }

    /// Whether a key that begins with `folder` can be met.
    fn may_hold(&self, folder: &str) -> bool {
        let by_prefix = folder.starts_with(&self.prefix) || self.prefix.starts_with(folder);
        let behind = folder > self.after.as_str() || self.after.starts_with(folder);
        by_prefix && behind && !self.skips(folder)
    }

    fn skips(&self, key: &str) -> bool {
        self.skip.as_ref().is_some_and(|skip| key.starts_with(skip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(folder: &Folder, prefix: &str, after: &str) -> Vec<String> {
        let mut met = Vec::new();
        let mut walk = Walk { prefix: prefix.into(), after: after.into(), skip: None };
        let mut visit = |key: &str| {
            met.push(key.to_owned());
            Ok(if key.starts_with("skipped/") { Step::Skip("skipped/".into()) } else { Step::Next })
        };
        folder.walk("b", &mut walk, &mut visit).unwrap();
        met
    }

    #[test]
    fn keys_come_in_the_order_of_their_bytes() {
        let root = tempfile::tempdir().unwrap();
        let keys = ["a-b", "a.b", "a/1", "a/b/2", "a0", "b", "skipped/1", "skipped/2/3", "z/y/x"];
        for key in keys {
            let path = root.path().join("b").join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, key).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("b/link")).unwrap();
        let folder = Folder::new(root.path().to_owned());
        let all: Vec<&str> = keys.into_iter().filter(|key| *key != "skipped/2/3").collect();
        assert_eq!(met(&folder, "", ""), all);
        assert_eq!(met(&folder, "a/", ""), ["a/1", "a/b/2"]);
        assert_eq!(met(&folder, "a/b", ""), ["a/b/2"]);
        assert_eq!(met(&folder, "a", "a/1"), ["a/b/2", "a0"]);
        assert_eq!(met(&folder, "", "skipped/1"), ["skipped/2/3", "z/y/x"]);
        assert!(met(&folder, "none", "").is_empty() && met(&folder, "", "zz").is_empty());
    }
}
