//! The journal's files: writing, going on to the next file, giving files back, reading them at the start.
//!
//! `journal/<number>.wal` begins with a header of [`FILE_HEADER`] bytes, then frames. Files are written full of zeros ahead of
//! their time, since syncing bytes of a file whose blocks are already written costs two thirds of growing it; covered
//! files become `spare-<number>` and are used again. Old bytes in them are told apart by the epoch in every frame.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::blocks::{BLOCK, Blocks};
use crate::disk::{Disk, DiskFile, Synced, failed};
use crate::error::StorageError;
use crate::frame::{self, Frame, checksum, u32_at, u64_at};
use crate::options::TornTail;

/// Bytes of a file's header: `magic u32, checksum u32 (of the rest), version u32, 0 u32, number u64, first lsn u64`, zeros.
pub(crate) const FILE_HEADER: usize = 4096;
/// Size of the first file of a process, in bytes: zeros for more would delay the first start.
const FIRST_FILE_BYTES: u64 = 8 << 20;
/// Covered files kept for use again.
const SPARES_MAX: usize = 2;
const FILE_MAGIC: u32 = u32::from_le_bytes(*b"mjf1");
const VERSION: u32 = 1;
const HEADER_USED: usize = 32;
const FOLDER: &str = "journal";

/// The end of the journal, owned by the committer.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    number: u64,
    size: u64,
    position: u64,
    /// What the block at `position` holds already.
    begun: Vec<u8>,
    previous: u32,
    /// Whether frames of a group that was refused may stand behind the end.
    refused: bool,
    /// Whether writes go past the system's cache.
    direct: bool,
    /// The last transaction of which a sync was seen.
    pub(crate) synced_lsn: u64,
    /// The last transaction written.
    pub(crate) written_lsn: u64,
    file_bytes: u64,
    full: Vec<(u64, u64)>,
    spares: Vec<String>,
}

/// A place for a group of frames in the current file.
pub(crate) struct Room {
    pub(crate) epoch: u64,
    pub(crate) previous: u32,
    pub(crate) synced_lsn: u64,
}

impl Journal {
    /// Begins a new file behind everything that there is.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        found: &Found,
        lsn: u64,
        file_bytes: u64,
        direct: bool,
    ) -> Result<Self, StorageError> {
        let number = found.last_number + 1;
        let (mut spares, stale): (Vec<_>, Vec<_>) = found.spares.iter().partition(|(_, size)| *size == file_bytes);
        let spare = match spares.pop() {
            Some((spare, _)) => spare.clone(),
            None => make_spare(&*disk, &format!("{number:020}"), FIRST_FILE_BYTES.min(file_bytes))?,
        };
        let (file, size, previous) = begin_file(&*disk, &spare, number, lsn + 1, direct)?;
        for (name, _) in stale.iter().filter(|(name, _)| *name != spare) {
            disk.unlink(name).map_err(failed("unlink", name))?;
        }
        let spares = spares.into_iter().map(|(name, _)| name.clone()).collect();
        Ok(Self {
            disk,
            file,
            number,
            size,
            position: FILE_HEADER as u64,
            begun: Vec::with_capacity(BLOCK),
            previous,
            refused: false,
            direct,
            synced_lsn: lsn,
            written_lsn: lsn,
            file_bytes,
            full: found.files.clone(),
            spares,
        })
    }

    /// The current file's number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Makes room for a frame of `bytes`, going on to the next file when the current one is full, and tells how many bytes
    /// the group may have.
    pub(crate) fn room(&mut self, bytes: usize) -> Result<(Room, usize), StorageError> {
        if self.position + bytes as u64 > self.size {
            self.next_file()?;
        }
        let room = Room { epoch: self.number, previous: self.previous, synced_lsn: self.synced_lsn };
        Ok((room, (self.size - self.position) as usize))
    }

    fn next_file(&mut self) -> Result<(), StorageError> {
        self.sync()?;
        if self.refused {
            self.end_here()?;
        }
        let number = self.number + 1;
        let spare = match self.spares.last() {
            Some(spare) => spare.clone(),
            // Whoever waits does not wait for zeros: large writes hardly gain by them.
            None => make_allocated(&*self.disk, &format!("{number:020}"), self.file_bytes)?,
        };
        let (file, size, previous) = begin_file(&*self.disk, &spare, number, self.written_lsn + 1, self.direct)?;
        self.spares.pop();
        self.full.push((self.number, self.written_lsn));
        (self.file, self.number, self.size, self.previous) = (file, number, size, previous);
        self.position = FILE_HEADER as u64;
        self.begun.clear();
        Ok(())
    }

    /// Takes away what a refused group may have left behind the end, which the next file would contradict.
    fn end_here(&mut self) -> Result<(), StorageError> {
        let first = self.position - self.begun.len() as u64;
        let mut blocks = Blocks::default();
        blocks.begin(&self.begun, BLOCK);
        let rest = usize::try_from(self.size - self.position).unwrap_or(BLOCK).min(BLOCK);
        let end = blocks.end().len() + rest;
        blocks.end().resize(end, 0);
        let name = file_name(self.number);
        self.file.write_at(blocks.filled((self.size - first) as usize), first).map_err(failed("write", &name))?;
        self.file.sync().map_err(failed("sync", &name))?;
        self.refused = false;
        Ok(())
    }

    /// Prepares `blocks` for `bytes` of frames.
    pub(crate) fn begin(&self, blocks: &mut Blocks, bytes: usize) {
        blocks.begin(&self.begun, bytes);
    }

    /// Writes frames that were put behind [`Journal::begin`] and end with transaction `lsn`. When it fails nothing moved: the
    /// next group takes the same place, and frames left over from this one do not link to it; the next file begins when they are gone.
    pub(crate) fn write(&mut self, blocks: &mut Blocks, lsn: u64, last_checksum: u32) -> Result<(), StorageError> {
        let (first, length) = (self.position - self.begun.len() as u64, blocks.length());
        let filled = blocks.filled((self.size - first) as usize);
        self.refused = true;
        self.file.write_at(filled, first).map_err(failed("write", &file_name(self.number)))?;
        self.refused = false;
        self.position = first + length as u64;
        self.begun.clear();
        self.begun.extend_from_slice(&filled[length - length % BLOCK..length]);
        self.previous = last_checksum;
        self.written_lsn = lsn;
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> Result<(), StorageError> {
        if self.synced_lsn < self.written_lsn {
            let name = file_name(self.number);
            // Even "disk full" is no answer to build on here: what reached the disk is unknown.
            self.file.sync().map_err(|error| StorageError::Io {
                action: "sync",
                file: name,
                reason: error.to_string(),
            })?;
            self.synced_lsn = self.written_lsn;
        }
        Ok(())
    }

    /// The highest file number such that it and all before hold nothing above `lsn` and will not be written again.
    pub(crate) fn covered_number(&self, lsn: u64) -> Option<u64> {
        self.full.iter().take_while(|(_, last)| *last <= lsn).map(|(number, _)| *number).last()
    }

    /// Gives the files up to `number` back.
    pub(crate) fn trim(&mut self, number: u64) -> Result<(), StorageError> {
        let mut retired = Vec::new();
        while let Some(&(oldest, _)) = self.full.first().filter(|(oldest, _)| *oldest <= number) {
            let room = SPARES_MAX.saturating_sub(self.spares.len() + retired.len());
            retired.extend(retire(&*self.disk, oldest, self.file_bytes, room > 0)?);
            self.full.remove(0);
        }
        // Only then: writing to a file whose old name could come back would damage that one.
        self.disk.sync_dir(FOLDER).map_err(failed("sync", FOLDER))?;
        self.spares.extend(retired);
        Ok(())
    }

    /// The name of a file to be prepared when the current one is half full and nothing can follow it.
    pub(crate) fn wants_spare(&self) -> Option<String> {
        (self.spares.is_empty() && self.position > self.size / 2).then(|| format!("ahead-{:020}", self.number + 1))
    }

    /// Takes a file that [`make_spare`] prepared.
    pub(crate) fn add_spare(&mut self, name: String) {
        self.spares.push(name);
    }
}

/// The path of a journal file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{FOLDER}/{number:020}.wal")
}

/// Makes a file full of zeros that can become the journal's next; gives its path.
pub(crate) fn make_spare(disk: &dyn Disk, name: &str, bytes: u64) -> Result<String, StorageError> {
    make_file(disk, name, |file| write_zeros(file, bytes))
}

/// Makes one that has its room and no content yet.
fn make_allocated(disk: &dyn Disk, name: &str, bytes: u64) -> Result<String, StorageError> {
    make_file(disk, name, |file| match file.allocate(bytes) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => write_zeros(file, bytes),
        allocated => allocated,
    })
}

fn make_file(
    disk: &dyn Disk,
    name: &str,
    fill: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> Result<String, StorageError> {
    let name = format!("{FOLDER}/spare-{name}");
    let file = disk.create(&name).map_err(failed("create", &name))?;
    let filled = fill(&*file).map_err(failed("write", &name));
    let synced = filled.and_then(|()| file.sync().map_err(failed("sync", &name)));
    if synced.is_err() {
        // What could not be filled must not take the room that is left; that it may not be there is fine.
        let _ = disk.unlink(&name);
    }
    synced.map(|()| name)
}

fn write_zeros(file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    const CHUNK: u64 = 1 << 20;
    let zeros = vec![0; CHUNK.min(bytes) as usize];
    let mut position = 0;
    while position < bytes {
        let part = CHUNK.min(bytes - position);
        file.write_at(&zeros[..part as usize], position)?;
        position += part;
    }
    Ok(())
}

/// Turns a spare into file `number`; gives it with its size and its header's checksum.
fn begin_file(
    disk: &dyn Disk,
    spare: &str,
    number: u64,
    first_lsn: u64,
    direct: bool,
) -> Result<(Arc<dyn DiskFile>, u64, u32), StorageError> {
    let header = file_header(number, first_lsn);
    let file = if direct { disk.open_direct(spare, Synced::ByWrite) } else { disk.open(spare) }
        .map_err(failed("open", spare))?;
    let size = file.length().map_err(failed("read", spare))?;
    file.write_at(&header, 0).map_err(failed("write", spare))?;
    file.sync().map_err(failed("sync", spare))?;
    let name = file_name(number);
    disk.rename(spare, &name).map_err(failed("rename", spare))?;
    disk.sync_dir(FOLDER).map_err(failed("sync", FOLDER))?;
    Ok((file, size, u32_at(&header, 4)))
}

/// The header of a journal file.
pub(crate) fn file_header(number: u64, first_lsn: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(FILE_HEADER);
    header.put_u32_le(FILE_MAGIC);
    header.put_u32_le(0);
    header.put_u32_le(VERSION);
    header.put_u32_le(0);
    header.put_u64_le(number);
    header.put_u64_le(first_lsn);
    let header_checksum = checksum(&header[8..]);
    header[4..8].copy_from_slice(&header_checksum.to_le_bytes());
    header.resize(FILE_HEADER, 0);
    header
}

/// Takes a file out of the journal; gives its new name when it is kept for use again.
fn retire(disk: &dyn Disk, number: u64, file_bytes: u64, keep: bool) -> Result<Option<String>, StorageError> {
    let name = file_name(number);
    let size = disk.open(&name).and_then(|file| file.length()).map_err(failed("open", &name))?;
    if keep && size == file_bytes {
        let spare = format!("{FOLDER}/spare-{number:020}");
        disk.rename(&name, &spare).map_err(failed("rename", &name))?;
        return Ok(Some(spare));
    }
    disk.unlink(&name).map_err(failed("unlink", &name))?;
    Ok(None)
}

/// What reading the journal found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The highest file number ever used.
    pub(crate) last_number: u64,
    /// Files with frames to replay: number and last lsn.
    files: Vec<(u64, u64)>,
    /// Names and sizes.
    spares: Vec<(String, u64)>,
    /// The last transaction.
    pub(crate) last_lsn: u64,
    pub(crate) torn: Option<TornTail>,
}

/// What a checkpoint says about the journal.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Covered {
    /// Everything up to this transaction is in the stores.
    pub(crate) lsn: u64,
    /// Files up to this number are not needed.
    pub(crate) number: u64,
}

impl Found {
    /// Makes what was found durable, before anything is built on it: after a crash of the process alone, the end of the
    /// journal may be in the system's memory only.
    pub(crate) fn sync(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        for &(number, _) in &self.files {
            let name = file_name(number);
            disk.open(&name).and_then(|file| file.sync()).map_err(failed("sync", &name))?;
        }
        disk.sync_dir(FOLDER).map_err(failed("sync", FOLDER))
    }
}

/// Checks the whole journal and hands on each frame behind the checkpoint, in order.
pub(crate) fn recover(
    disk: &dyn Disk,
    covered: Covered,
    mut each: impl FnMut(Frame) -> Result<(), StorageError>,
) -> Result<Found, StorageError> {
    let mut found = Found { last_lsn: covered.lsn, last_number: covered.number, ..Found::default() };
    let numbers = list(disk, &mut found)?;
    if numbers.is_empty() && covered.number > 0 {
        let detail =
            "the key-value store knows of a journal, but there is none; put its files back, or restore a backup";
        return Err(StorageError::Damaged { file: FOLDER.to_owned(), position: 0, detail: detail.to_owned() });
    }
    let mut expected: Option<u64> = None;
    for number in numbers {
        if number <= covered.number {
            found.files.push((number, covered.lsn));
            continue;
        }
        found.last_number = number;
        let bytes = read_file(disk, number)?;
        let first_lsn = read_header(&bytes, number)?;
        check_continues(number, first_lsn, expected, covered)?;
        let mut next = first_lsn;
        let end = scan(&bytes, number, first_lsn, |frame| {
            next = frame.place.lsn + 1;
            if frame.place.lsn > covered.lsn { each(frame) } else { Ok(()) }
        })?;
        found.last_lsn = found.last_lsn.max(next - 1);
        found.torn = end.or(found.torn);
        found.files.push((number, next - 1));
        expected = Some(next);
    }
    Ok(found)
}

/// Lists journal files, and spares into `found`.
pub(crate) fn list(disk: &dyn Disk, found: &mut Found) -> Result<Vec<u64>, StorageError> {
    let mut numbers = Vec::new();
    for (name, size) in disk.list(FOLDER).map_err(failed("list", FOLDER))? {
        if let Some(number) = name.strip_suffix(".wal").and_then(|number| number.parse().ok()) {
            numbers.push(number);
        } else if name.starts_with("spare-") {
            found.spares.push((format!("{FOLDER}/{name}"), size));
        }
    }
    Ok(numbers)
}

fn check_continues(number: u64, first: u64, expected: Option<u64>, covered: Covered) -> Result<(), StorageError> {
    let (wanted, sound) = match expected {
        Some(expected) => (expected, first == expected),
        None => (covered.lsn + 1, first <= covered.lsn + 1),
    };
    if sound {
        return Ok(());
    }
    Err(StorageError::Damaged {
        file: file_name(number),
        position: 0,
        detail: format!(
            "the journal goes on with transaction {first}, expected {wanted}: transactions between them are missing; \
             put the missing journal file back, restore the data folder from a backup, or give them up: \
             `millstream log repair`"
        ),
    })
}

/// The whole content of a journal file.
pub(crate) fn read_file(disk: &dyn Disk, number: u64) -> Result<Bytes, StorageError> {
    let name = file_name(number);
    let file = disk.open(&name).map_err(failed("open", &name))?;
    let length = file.length().map_err(failed("read", &name))?;
    Ok(file.read_at(length as usize, 0).map_err(failed("read", &name))?.into())
}

/// The first lsn of a journal file.
pub(crate) fn read_header(bytes: &[u8], number: u64) -> Result<u64, StorageError> {
    let damaged = |detail: String| StorageError::Damaged { file: file_name(number), position: 0, detail };
    if bytes.len() < FILE_HEADER
        || u32_at(bytes, 0) != FILE_MAGIC
        || checksum(&bytes[8..HEADER_USED]) != u32_at(bytes, 4)
    {
        return Err(damaged("the header of the journal file is not sound; restore the file from a backup, or give up what it needs: `millstream log repair`".to_owned()));
    }
    let (version, written_number) = (u32_at(bytes, 8), u64_at(bytes, 16));
    if version != VERSION {
        return Err(damaged(format!(
            "expected format version {VERSION}, found {version}; use a release that reads it"
        )));
    }
    if written_number != number {
        return Err(damaged(format!("its header says file {written_number}: files were exchanged or renamed")));
    }
    Ok(u64_at(bytes, 24))
}

/// Hands on the whole frames of a file in order. A frame that is not whole ends it, when nothing says that it was durable:
/// then it is the write that a crash interrupted.
pub(crate) fn scan(
    bytes: &Bytes,
    number: u64,
    first_lsn: u64,
    mut each: impl FnMut(Frame) -> Result<(), StorageError>,
) -> Result<Option<TornTail>, StorageError> {
    let (mut position, mut lsn, mut previous) = (FILE_HEADER, first_lsn, u32_at(bytes, 4));
    while let Some(frame) = frame::read(bytes, position) {
        let place = frame.place;
        if place.epoch != number || place.lsn != lsn || place.previous != previous {
            break;
        }
        (position, lsn, previous) = (position + frame.length, lsn + 1, frame.head_checksum);
        each(frame)?;
    }
    let started = frame::read_head(bytes, position).filter(|(place, _)| place.epoch == number && place.lsn == lsn);
    let mut torn_end = started.map(|(_, length)| position + length);
    for later in (position..bytes.len().saturating_sub(frame::HEAD)).step_by(8) {
        let Some((place, length)) = frame::read_head(bytes, later).filter(|(place, _)| place.epoch == number) else {
            continue;
        };
        if place.synced_lsn >= lsn {
            return Err(StorageError::Damaged {
                file: file_name(number),
                position: position as u64,
                detail: format!(
                    "transaction {lsn} does not match its checksum, yet transaction {} at byte {later} shows that it was \
                     durable; restore the data folder from a backup, or give it up: `millstream log repair`",
                    place.lsn
                ),
            });
        }
        torn_end = torn_end.max(Some(later + length));
    }
    Ok(torn_end.map(|end| TornTail {
        file: file_name(number),
        position: position as u64,
        bytes: (end.min(bytes.len()) - position) as u64,
        after_lsn: lsn - 1,
    }))
}
