//! The keys of a bucket in the order of their bytes, out of folders. Everything here blocks.
//!
//! Folders are read one for each level on the way to where the walk is, and not at all when nothing in them can be asked
//! for. Of a folder only its next names are kept, so one with millions is read several times instead.

use std::collections::BinaryHeap;

use super::folder::{Folder, each_entry};
use crate::error::ObjectError;
use crate::name::check_key;

/// Names of one folder that are kept at once: more than a page, so that most walks read each folder once.
const KEYS_MAX: usize = 8_192;

/// Which keys a walk meets.
pub(crate) struct Walk {
    /// Keys that begin so.
    pub(crate) prefix: String,
    /// Keys behind this one; empty for all.
    pub(crate) after: String,
    /// Whether that one is met again.
    pub(crate) again: bool,
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
        let mut behind = String::new();
        loop {
            let keys = self.next_keys(bucket, path, walk, &behind)?;
            for key in &keys {
                // Asked again, since a visit may have said what to skip.
                if !walk.meets(key) {
                    continue;
                }
                if key.ends_with('/') {
                    if !self.descend(bucket, key, walk, visit)? {
                        return Ok(false);
                    }
                    continue;
                }
                match visit(key)? {
                    Step::Next => {}
                    Step::Skip(prefix) => walk.skip = Some(prefix),
                    Step::Stop => return Ok(false),
                }
            }
            match keys.into_iter().nth(KEYS_MAX - 1) {
                Some(last) => behind = last,
                None => return Ok(true),
            }
        }
    }

    /// The first keys behind one in a folder, sorted. A folder in it has a slash behind its name, as all its keys have:
    /// sorted so, they come in the order of whole keys.
    fn next_keys(&self, bucket: &str, path: &str, walk: &Walk, behind: &str) -> Result<Vec<String>, ObjectError> {
        let mut first = BinaryHeap::new();
        each_entry(&self.bucket(bucket).join(path), |entry| {
            let key = format!("{path}{}{}", entry.name, if entry.is_folder { "/" } else { "" });
            let addressable = entry.is_folder || check_key(&key).is_ok();
            if key.as_str() > behind && addressable && walk.meets(&key) {
                first.push(key);
                if first.len() > KEYS_MAX {
                    first.pop();
                }
            }
        })?;
        Ok(first.into_sorted_vec())
    }
}

impl Walk {
    /// Whether a key is met, or can be met in a folder: that is a key with a slash at its end.
    pub(crate) fn meets(&self, key: &str) -> bool {
        let may_hold = |part: &str| key.ends_with('/') && part.starts_with(key);
        let by_prefix = key.starts_with(&self.prefix) || may_hold(&self.prefix);
        let after = self.after.as_str();
        let behind = key > after || (self.again && key == after) || may_hold(after);
        let skipped = self.skip.as_ref().is_some_and(|skip| key.starts_with(skip));
        by_prefix && behind && !skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(folder: &Folder, prefix: &str, after: &str) -> Vec<String> {
        let mut met = Vec::new();
        let mut walk = Walk { prefix: prefix.into(), after: after.into(), again: false, skip: None };
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
