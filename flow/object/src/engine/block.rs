//! Objects from blocks: blocks are staged one by one and become an object by a list of their ids.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_storage::to_the_end;
use millstream_types::BoxFuture;

use super::write::md5_of;
use super::{Objects, blocking};
use crate::condition::Conditions;
use crate::error::ObjectError;
use crate::lease;
use crate::name::{check_bucket, check_key};
use crate::object::{BlockInfo, Object, ObjectKind, Properties, Version};
use crate::store::{Folder, Unfinished};

/// Blocks of one object, committed or listed.
pub const BLOCKS_MAX: usize = 50_000;

/// Blocks that may wait for one object, as Blob storage allows.
pub const STAGED_BLOCKS_MAX: usize = 100_000;

/// Bytes of a block's id; as hexadecimal digits it is the name of a file.
pub const BLOCK_ID_BYTES_MAX: usize = 96;

/// A block for an object that may not be there yet.
#[derive(Debug, Clone)]
pub struct NewBlock {
    /// The bucket.
    pub bucket: String,
    /// The key of the object to be.
    pub key: String,
    /// The block's id: unique in the object, all ids of an object are of one length.
    pub id: String,
    /// The content.
    pub data: Bytes,
    /// Its MD5, when it was promised.
    pub md5: Option<[u8; 16]>,
    /// The id of the object's lease, if it has one.
    pub lease_id: Option<String>,
}

/// An object to be made from blocks.
#[derive(Debug, Clone)]
pub struct CommitBlocks {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The blocks in their order, each with the place where it is looked for.
    pub blocks: Vec<(BlockSource, String)>,
    /// What the writer says of the object; its MD5 is kept as told.
    pub properties: Properties,
    /// What must hold before.
    pub conditions: Conditions,
}

/// Where a listed block is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockSource {
    /// Among the blocks of the object that is there.
    Committed,
    /// Among the staged ones.
    Staged,
    /// Among the staged ones, then in the object.
    Latest,
}

/// Which blocks are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichBlocks {
    /// Those of the object.
    Committed,
    /// Those that wait.
    Staged,
    /// Both.
    All,
}

/// An object's blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectBlocks {
    /// The object; `None` when only staged blocks are there.
    pub object: Option<Object>,
    /// Its blocks in their order.
    pub committed: Vec<BlockInfo>,
    /// Those that wait, in the order of their ids.
    pub staged: Vec<BlockInfo>,
}

impl Objects {
    /// Keeps a block for an object; durable when this returns. It is forgotten when the object is written otherwise, and
    /// after a week.
    ///
    /// # Errors
    /// [`ObjectError::BucketNotFound`], [`ObjectError::BadBlockId`], [`ObjectError::TooManyBlocks`],
    /// [`ObjectError::WrongKind`] when an append object is there, [`ObjectError::Lease`], [`ObjectError::Md5Mismatch`],
    /// [`ObjectError::Unsupported`], [`ObjectError::DiskFull`], [`ObjectError::Disk`].
    pub fn stage_block(&self, block: NewBlock) -> BoxFuture<'_, Result<(), ObjectError>> {
        Box::pin(async move {
            check_bucket(&block.bucket)?;
            check_key(&block.key)?;
            let folder = self.folder("stage blocks")?;
            let engine = self.clone();
            to_the_end(async move {
                let NewBlock { bucket, key, id, data, md5, lease_id } = block;
                // A read lock: blocks of one object may be staged side by side, but not while the object is made of them.
                let _lock = engine.shared.locks.read(&bucket, &key).await;
                let current = engine.current(&folder, &bucket, &key).await?;
                refuse_append(&key, current.as_ref())?;
                let conditions = Conditions { lease_id, ..Conditions::default() };
                conditions.check_change(&key, current.as_ref(), engine.now())?;
                blocking(move || {
                    check_block_id(&id, &key, &folder.staged_ids(&bucket, &key)?)?;
                    md5_of(std::slice::from_ref(&data), md5)?;
                    let mut file = folder.begin(data.len() as u64)?;
                    file.write(&data)?;
                    file.sync()?;
                    folder.stage(file, &bucket, &key, &id)
                })
                .await
            })
            .await
        })
    }

    /// Makes an object from blocks; durable when this returns. Staged blocks that are not listed are forgotten.
    ///
    /// # Errors
    /// [`ObjectError::BlockNotFound`], [`ObjectError::TooManyBlocks`], [`ObjectError::ConditionFailed`],
    /// [`ObjectError::WrongKind`], [`ObjectError::Unsupported`]; further as [`Objects::put`].
    pub fn commit_blocks(&self, commit: CommitBlocks) -> BoxFuture<'_, Result<Object, ObjectError>> {
        Box::pin(async move {
            check_bucket(&commit.bucket)?;
            check_key(&commit.key)?;
            if commit.blocks.len() > BLOCKS_MAX {
                return Err(ObjectError::TooManyBlocks { key: commit.key, limit: BLOCKS_MAX });
            }
            let folder = self.folder("make objects from blocks")?;
            let engine = self.clone();
            to_the_end(async move {
                let CommitBlocks { bucket, key, blocks, properties, conditions } = commit;
                let lock = engine.shared.locks.write(&bucket, &key).await;
                let current = engine.current(&folder, &bucket, &key).await?;
                conditions.check_change(&key, current.as_ref(), engine.now())?;
                let lease = current.as_ref().and_then(|current| current.lease.clone());
                let lease = lease::after_change(lease, engine.now());
                refuse_append(&key, current.as_ref())?;
                let (entries, from, of) = (engine.shared.entries.clone(), Arc::clone(&folder), bucket.clone());
                let wanted = key.clone();
                let (file, used) = blocking(move || {
                    let committed = current.map(|object| entries.blocks(&of, &object)).transpose()?.unwrap_or_default();
                    join_blocks(&from, &of, &wanted, &blocks, &committed)
                })
                .await?;
                let length = used.iter().map(|block| block.length).sum();
                let object = Object { key, length, kind: ObjectKind::Whole, properties, lease, ..Object::default() };
                engine.replace_locked(&lock, folder, bucket, file, object, &used).await
            })
            .await
        })
    }

    /// The blocks of an object, or of a snapshot, for which none wait.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`] when there is neither an object nor a staged block, [`ObjectError::WrongKind`],
    /// [`ObjectError::Unsupported`].
    pub fn blocks<'a>(
        &'a self,
        version: Version<'a>,
        which: WhichBlocks,
    ) -> BoxFuture<'a, Result<ObjectBlocks, ObjectError>> {
        Box::pin(async move {
            let Version { bucket, key, snapshot } = version;
            check_bucket(bucket)?;
            check_key(key)?;
            let folder = self.folder("list blocks")?;
            let _lock = self.shared.locks.read(bucket, key).await;
            let object = match snapshot {
                None => self.current(&folder, bucket, key).await?,
                Some(_) => Some(self.open_locked(&folder, version).await?.1),
            };
            refuse_append(key, object.as_ref())?;
            let (entries, bucket, key) = (self.shared.entries.clone(), bucket.to_owned(), key.to_owned());
            blocking(move || {
                let staged = if snapshot.is_none() { folder.staged_blocks(&bucket, &key)? } else { Vec::new() };
                if object.is_none() && staged.is_empty() {
                    return Err(super::write::not_found(&bucket, &key));
                }
                let committed = match &object {
                    Some(object) if which != WhichBlocks::Staged => entries.blocks(&bucket, object)?,
                    _ => Vec::new(),
                };
                let staged = if which == WhichBlocks::Committed { Vec::new() } else { staged };
                Ok(ObjectBlocks { object, committed, staged })
            })
            .await
        })
    }
}

fn refuse_append(key: &str, object: Option<&Object>) -> Result<(), ObjectError> {
    match object {
        Some(object) if object.kind == ObjectKind::Append => {
            Err(ObjectError::WrongKind { key: key.to_owned(), expected: ObjectKind::Whole, found: ObjectKind::Append })
        }
        _ => Ok(()),
    }
}

fn check_block_id(id: &str, key: &str, staged: &[String]) -> Result<(), ObjectError> {
    let fits = (1..=BLOCK_ID_BYTES_MAX).contains(&id.len());
    if !fits || staged.iter().any(|other| other.len() != id.len()) {
        return Err(ObjectError::BadBlockId { id: id.to_owned(), limit_bytes: BLOCK_ID_BYTES_MAX });
    }
    if staged.len() >= STAGED_BLOCKS_MAX && !staged.iter().any(|other| other == id) {
        return Err(ObjectError::TooManyBlocks { key: key.to_owned(), limit: STAGED_BLOCKS_MAX });
    }
    Ok(())
}

/// Where the bytes of a listed block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// In a staged block's file; else in the object's.
    staged: bool,
    start: u64,
    length: u64,
}

/// Finds each listed block in the place that the list names.
fn find_blocks(
    list: &[(BlockSource, String)],
    committed: &[BlockInfo],
    staged: &[BlockInfo],
) -> Result<Vec<Piece>, ObjectError> {
    let mut in_object = HashMap::new();
    let mut start = 0;
    for block in committed {
        in_object.insert(block.id.as_str(), Piece { staged: false, start, length: block.length });
        start += block.length;
    }
    let waiting = |block: &BlockInfo| Piece { staged: true, start: 0, length: block.length };
    let waiting: HashMap<&str, Piece> = staged.iter().map(|block| (block.id.as_str(), waiting(block))).collect();
    let find = |(source, id): &(BlockSource, String)| {
        let id = id.as_str();
        let found = match source {
            BlockSource::Committed => in_object.get(id),
            BlockSource::Staged => waiting.get(id),
            BlockSource::Latest => waiting.get(id).or_else(|| in_object.get(id)),
        };
        found.copied().ok_or_else(|| ObjectError::BlockNotFound { id: id.to_owned() })
    };
    list.iter().map(find).collect()
}

/// Writes the listed blocks one behind the other into a file, and says which they were. Works on the disk.
fn join_blocks(
    folder: &Folder,
    bucket: &str,
    key: &str,
    list: &[(BlockSource, String)],
    committed: &[BlockInfo],
) -> Result<(Unfinished, Vec<BlockInfo>), ObjectError> {
    let pieces = find_blocks(list, committed, &folder.staged_blocks(bucket, key)?)?;
    let mut object = folder.open(bucket, key)?;
    let mut file = folder.begin(pieces.iter().map(|piece| piece.length).sum())?;
    let mut used = Vec::with_capacity(list.len());
    for ((_, id), piece) in list.iter().zip(pieces) {
        let mut staged = if piece.staged { folder.open_staged(bucket, key, id)? } else { None };
        let source = if piece.staged { &mut staged } else { &mut object };
        let source = source.as_mut().ok_or_else(|| ObjectError::BlockNotFound { id: id.clone() })?;
        source.copy_to(piece.start, piece.length, &mut file)?;
        used.push(BlockInfo { id: id.clone(), length: piece.length });
    }
    file.sync()?;
    Ok((file, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_blocks_are_found_where_the_list_says() {
        let block = |id: &str, length| BlockInfo { id: id.into(), length };
        let committed = [block("a", 10), block("b", 20)];
        let staged = [block("b", 5), block("c", 6)];
        let found = |source, id: &str| find_blocks(&[(source, id.to_owned())], &committed, &staged).ok();
        let piece = |staged, start, length| Some(vec![Piece { staged, start, length }]);
        assert_eq!(found(BlockSource::Committed, "b"), piece(false, 10, 20));
        assert_eq!(found(BlockSource::Staged, "b"), piece(true, 0, 5));
        assert_eq!(found(BlockSource::Latest, "b"), piece(true, 0, 5));
        assert_eq!(found(BlockSource::Latest, "a"), piece(false, 0, 10));
        assert_eq!(found(BlockSource::Staged, "a"), None);
        assert_eq!(found(BlockSource::Committed, "c"), None);
    }

    #[test]
    fn ids_are_of_one_length() {
        let staged = ["aa".to_owned()];
        assert!(check_block_id("bb", "k", &staged).is_ok());
        for bad in ["", "b", "bbb", &"x".repeat(97)] {
            assert!(matches!(check_block_id(bad, "k", &staged), Err(ObjectError::BadBlockId { .. })), "{bad}");
        }
    }
}
