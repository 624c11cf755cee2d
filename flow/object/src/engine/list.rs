//! The objects of a bucket, page by page.

use millstream_types::BoxFuture;

use std::sync::Arc;

use super::{Objects, blocking};
use crate::error::ObjectError;
use crate::name::check_bucket;
use crate::object::{Object, SnapshotId, Version};
use crate::store::{Step, Store, Walk};

/// Objects and prefixes that one listing gives at most, as Blob storage allows.
pub const LIST_MAX: usize = 5_000;

/// Between a key and the id of its snapshot with which a page ended. No key has such a character.
const WITHIN: char = '\0';

/// Which objects of a bucket.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// Keys that begin so.
    pub prefix: String,
    /// Keys that have this behind the prefix are put together to one common prefix.
    pub delimiter: Option<String>,
    /// Names behind this one: the last page's [`Listing::next`].
    pub after: String,
    /// Whether each object's snapshots come before it, oldest first.
    pub snapshots: bool,
    /// How many names at most; 5000 when it is more.
    pub limit: usize,
}

/// A page of a bucket's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects and common prefixes in the order of their names; snapshots before their objects.
    pub found: Vec<Listed>,
    /// Behind which the next page begins; `None` when this is the last.
    pub next: Option<String>,
}

/// One name of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// An object or a snapshot.
    Object(Box<Object>),
    /// The beginning of keys that were put together.
    Prefix(String),
}

impl Objects {
    /// A page of a bucket's objects.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::Disk`], [`ObjectError::Store`].
    pub fn list<'a>(&'a self, bucket: &'a str, select: Select) -> BoxFuture<'a, Result<Listing, ObjectError>> {
        Box::pin(async move {
            check_bucket(bucket)?;
            let mut page = Page::new(select);
            let mut walk = page.walk();
            match &self.shared.store {
                Store::Folder(folder) => {
                    let (folder, entries) = (Arc::clone(folder), self.shared.entries.clone());
                    let bucket = bucket.to_owned();
                    blocking(move || {
                        folder.require_bucket(&bucket)?;
                        folder.walk(&bucket, &mut walk, &mut |key| {
                            let (room, behind) = (page.room(), page.told_of(key));
                            page.take(key, || {
                                let snapshots = behind.map(|behind| entries.snapshots(&bucket, key, behind, room));
                                let ids = snapshots.transpose()?.unwrap_or_default().into_iter().map(Some);
                                let mut found = Vec::new();
                                for snapshot in ids.chain([None]) {
                                    let version = Version { bucket: &bucket, key, snapshot };
                                    // One that is not there was removed since its folder was read.
                                    if let Some(file) = folder.open_version(version)? {
                                        found.push(entries.object(version, file.state)?);
                                    }
                                }
                                Ok(found)
                            })
                        })?;
                        Ok(page.listing())
                    })
                    .await
                }
                Store::S3(store) => {
                    store
                        .walk(bucket, &mut walk, &mut |object| page.take(&object.key.clone(), || Ok(vec![object])))
                        .await?;
                    Ok(page.listing())
                }
            }
        })
    }
}

/// A page while it fills.
struct Page {
    select: Select,
    limit: usize,
    found: Vec<Listed>,
    more: bool,
}

impl Page {
    fn new(select: Select) -> Self {
        let limit = select.limit.clamp(1, LIST_MAX);
        Self { select, limit, found: Vec::new(), more: false }
    }

    fn walk(&self) -> Walk {
        let Select { prefix, delimiter, after, .. } = &self.select;
        if let Some((key, _)) = within(after) {
            return Walk { prefix: prefix.clone(), after: key.to_owned(), again: true, skip: None };
        }
        // The last page ended with a common prefix: its keys have been told of.
        let told = delimiter.as_ref().is_some_and(|delimiter| !after.is_empty() && after.ends_with(delimiter));
        Walk { prefix: prefix.clone(), after: after.clone(), again: false, skip: told.then(|| after.clone()) }
    }

    /// How many names it still takes, and one to see that there are more.
    fn room(&self) -> usize {
        self.limit + 1 - self.found.len()
    }

    /// Behind which snapshot of a key those are that have not been told of; `None` when none are wanted.
    fn told_of(&self, key: &str) -> Option<SnapshotId> {
        let told = within(&self.select.after).filter(|(of, _)| *of == key).map_or(0, |(_, id)| id);
        self.select.snapshots.then_some(told)
    }

    /// Takes a key's snapshots, oldest first, and its object.
    fn take(
        &mut self,
        key: &str,
        versions: impl FnOnce() -> Result<Vec<Object>, ObjectError>,
    ) -> Result<Step, ObjectError> {
        if self.found.len() == self.limit {
            self.more = true;
            return Ok(Step::Stop);
        }
        if let Some(prefix) = self.common_prefix(key) {
            self.found.push(Listed::Prefix(prefix.clone()));
            return Ok(Step::Skip(prefix));
        }
        for version in versions()? {
            if self.found.len() == self.limit {
                self.more = true;
                return Ok(Step::Stop);
            }
            self.found.push(Listed::Object(Box::new(version)));
        }
        Ok(Step::Next)
    }

    fn common_prefix(&self, key: &str) -> Option<String> {
        let delimiter = self.select.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
        let begin = self.select.prefix.len();
        let at = key.get(begin..)?.find(delimiter)?;
        key.get(..begin + at + delimiter.len()).map(str::to_owned)
    }

    fn listing(self) -> Listing {
        let last = self.found.last().map(|last| match last {
            Listed::Object(object) => match object.snapshot {
                None => object.key.clone(),
                Some(id) => format!("{}{WITHIN}{id}", object.key),
            },
            Listed::Prefix(prefix) => prefix.clone(),
        });
        Listing { next: last.filter(|_| self.more), found: self.found }
    }
}

/// The key and its snapshot behind which a page begins; `None` when it begins behind a whole name.
fn within(after: &str) -> Option<(&str, SnapshotId)> {
    let (key, id) = after.split_once(WITHIN)?;
    Some((key, id.parse().ok()?))
}
