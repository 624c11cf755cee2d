//! A disk in memory that loses power: writes that were not synced are lost, kept or torn at random, by a seed; changes of
//! names that were not synced are kept up to a random one.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::{Disk, DiskFile, Synced};
use crate::engine::lock;

/// What the hardware keeps whole.
const SECTOR: usize = 512;

/// Random numbers of a seed (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`, which is not zero.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit as u64) as usize
    }
}

/// Names that one change gives to files, or takes away.
type Names = Vec<(String, Option<usize>)>;

/// The disk.
#[derive(Clone, Default)]
pub(crate) struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names that are not durable, with the folder that they are in.
    name_changes: Vec<(String, Names)>,
    /// Calls until the power goes; `None`: it stays.
    power: Option<usize>,
    /// Whether files cannot grow.
    full: bool,
    /// Whether what is written again needs room, too, and there is some for all of a write but its last sector.
    copies: bool,
    /// Whether the power went already.
    dead: bool,
}

#[derive(Default, Clone)]
struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLength(usize),
}

impl SimulatedDisk {
    /// Lets the power go after that many more changes.
    pub(crate) fn cut_power_after(&self, changes: usize) {
        lock(&self.state).power = Some(changes);
    }

    /// Lets files grow no more, or again.
    pub(crate) fn set_full(&self, full: bool) {
        lock(&self.state).full = full;
    }

    /// Lets each write fail before its last sector, as on a full file system that copies what it changes, or none again.
    pub(crate) fn set_full_for_copies(&self, full: bool) {
        lock(&self.state).copies = full;
    }

    /// What the next start finds.
    pub(crate) fn crash(&self, random: &mut Random) {
        let mut state = lock(&self.state);
        let kept = random.below(state.name_changes.len() + 1);
        let mut names = std::mem::take(&mut state.durable_names);
        for (name, file) in state.name_changes.drain(..).take(kept).flat_map(|(_, changes)| changes) {
            set(&mut names, name, file);
        }
        state.names = names.clone();
        state.durable_names = names;
        for file in &mut state.files {
            let mut content = std::mem::take(&mut file.durable);
            for change in std::mem::take(&mut file.unsynced) {
                change.apply_partly(&mut content, random);
            }
            file.content.clone_from(&content);
            file.durable = content;
        }
        state.power = None;
        state.dead = false;
    }

    /// Flips a bit of a file.
    pub(crate) fn flip(&self, path: &str, position: usize, bit: u8) {
        let mut state = lock(&self.state);
        let file = state.names[path];
        state.files[file].content[position] ^= 1 << bit;
        state.files[file].durable[position] ^= 1 << bit;
    }

    fn change(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = lock(&self.state);
        match &mut state.power {
            Some(0) => {
                state.dead = true;
                return Err(io::Error::other("no power"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(position, bytes) => {
                let end = position + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*position..end].copy_from_slice(bytes);
            }
            Self::SetLength(length) => content.resize(*length, 0),
        }
    }

    /// All of it, nothing, or some of its sectors.
    fn apply_partly(&self, content: &mut Vec<u8>, random: &mut Random) {
        match (random.below(3), self) {
            (0, _) => self.apply(content),
            (1, Self::Write(position, bytes)) => {
                let mut at = 0;
                while at < bytes.len() {
                    let part = (SECTOR - (position + at) % SECTOR).min(bytes.len() - at);
                    if random.below(2) == 0 {
                        Self::Write(position + at, bytes[at..at + part].to_vec()).apply(content);
                    }
                    at += part;
                }
            }
            _ => {}
        }
    }
}

fn set(names: &mut BTreeMap<String, usize>, name: String, file: Option<usize>) {
    match file {
        Some(file) => names.insert(name, file),
        None => names.remove(&name),
    };
}

fn parent(path: &str) -> String {
    path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()
}

impl State {
    fn name(&mut self, path: &str, file: Option<usize>) {
        set(&mut self.names, path.to_owned(), file);
        self.name_changes.push((parent(path), vec![(path.to_owned(), file)]));
    }

    fn found(&self, path: &str) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, path.to_owned()))
    }
}

struct Handle {
    disk: SimulatedDisk,
    file: usize,
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = lock(&self.state).found(path)?;
        Ok(Arc::new(Handle { disk: self.clone(), file }))
    }

    fn open_direct(&self, path: &str, _synced: Synced) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.change()?;
        let file = state.files.len();
        state.files.push(File::default());
        state.name(path, Some(file));
        Ok(Arc::new(Handle { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let file = state.found(from)?;
        // One change: a crash keeps the old name or the new one.
        set(&mut state.names, from.to_owned(), None);
        set(&mut state.names, to.to_owned(), Some(file));
        state.name_changes.push((parent(to), vec![(from.to_owned(), None), (to.to_owned(), Some(file))]));
        Ok(())
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        let mut state = self.change()?;
        state.found(path)?;
        state.name(path, None);
        Ok(())
    }

    fn create_dir(&self, _path: &str) -> io::Result<()> {
        self.change().map(|_| ())
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let inside: Vec<_> = state.names.keys().filter(|name| parent(name) == path).cloned().collect();
        inside.iter().for_each(|name| state.name(name, None));
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<(String, u64)>> {
        let state = lock(&self.state);
        let mut found = BTreeMap::new();
        for (name, file) in &state.names {
            let below = if path.is_empty() { Some(name.as_str()) } else { name.strip_prefix(path) };
            let Some(below) = below.map(|below| below.trim_start_matches('/')) else { continue };
            let first = below.split('/').next().unwrap_or_default();
            found.insert(first.to_owned(), state.files[*file].content.len() as u64);
        }
        Ok(found.into_iter().collect())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let (synced, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.name_changes).into_iter().partition(|(folder, _)| folder == path);
        state.name_changes = left;
        for (name, file) in synced.into_iter().flat_map(|(_, changes)| changes) {
            set(&mut state.durable_names, name, file);
        }
        Ok(())
    }

    fn available(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl DiskFile for Handle {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.edit(Change::Write(position as usize, bytes.to_vec()))
    }

    fn read_at(&self, length: usize, position: u64) -> io::Result<Vec<u8>> {
        let state = lock(&self.disk.state);
        let content = &state.files[self.file].content;
        let position = position as usize;
        let bytes = content.get(position..position + length).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(bytes.to_vec())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.change()?;
        let file = &mut state.files[self.file];
        for change in std::mem::take(&mut file.unsynced) {
            change.apply(&mut file.durable);
        }
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.edit(Change::SetLength(length as usize))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.edit(Change::SetLength(length as usize))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.disk.state).files[self.file].content.len() as u64)
    }
}

impl Handle {
    /// The write during which the power goes counts as begun: some of it may be found.
    fn edit(&self, change: Change) -> io::Result<()> {
        let mut state = lock(&self.disk.state);
        let length = state.files[self.file].content.len();
        let reach = match &change {
            Change::Write(position, bytes) => position + bytes.len(),
            Change::SetLength(length) => *length,
        };
        if state.full && reach > length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let (true, Change::Write(position, bytes)) = (state.copies, &change) {
            let begun = Change::Write(*position, bytes[..bytes.len().saturating_sub(SECTOR)].to_vec());
            let file = &mut state.files[self.file];
            begun.apply(&mut file.content);
            file.unsynced.push(begun);
            return Err(io::ErrorKind::StorageFull.into());
        }
        let dying = state.power == Some(0) && !state.dead;
        state.dead |= dying;
        drop(state);
        let mut state = if dying { lock(&self.disk.state) } else { self.disk.change()? };
        let file = &mut state.files[self.file];
        change.apply(&mut file.content);
        file.unsynced.push(change);
        if dying { Err(io::Error::other("no power")) } else { Ok(()) }
    }
}
