//! Packages: checked, kept by their hash, unpacked where processes read them, removed when no function has them any more.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Cursor, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::error::FunctionError;

/// A package as it comes: the service's limit for direct upload.
const ZIPPED_BYTES_MAX: usize = 50 << 20;
/// A package unpacked: the service's limit.
const UNPACKED_BYTES_MAX: u64 = 250 << 20;
/// Files of a package.
const FILES_MAX: usize = 20_000;
/// A package is kept in pieces, since one value of the key-value store is held in memory as a whole.
const PIECE_BYTES: usize = 1 << 20;

/// The SHA-256 of a package in base64, as clients see it.
pub(crate) fn hash(package: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(package))
}

/// Refuses what is no zip or would harm when unpacked.
pub(crate) fn check(package: &[u8]) -> Result<(), FunctionError> {
    check_within(package, UNPACKED_BYTES_MAX)
}

fn check_within(package: &[u8], unpacked_bytes_max: u64) -> Result<(), FunctionError> {
    let wrong = |reason: String| FunctionError::Package { reason };
    if package.len() > ZIPPED_BYTES_MAX {
        return Err(wrong(format!("expected a package of at most {ZIPPED_BYTES_MAX} bytes, found {}", package.len())));
    }
    let mut archive = ZipArchive::new(Cursor::new(package)).map_err(|_| {
        wrong("Could not unzip uploaded file. Please check your file, then try to upload again.".into())
    })?;
    if archive.len() > FILES_MAX {
        return Err(wrong(format!("expected at most {FILES_MAX} files, found {}", archive.len())));
    }
    let mut unpacked = 0u64;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| wrong(format!("the package is damaged: {error}")))?;
        if file.enclosed_name().is_none() || file.name_raw().starts_with(b"/") || file.is_symlink() {
            let name = String::from_utf8_lossy(file.name_raw()).into_owned();
            return Err(wrong(format!("`{name}` leads out of the package or is a link")));
        }
        unpacked = unpacked.saturating_add(file.size());
    }
    if unpacked > unpacked_bytes_max {
        return Err(wrong(format!("Unzipped size must be smaller than {unpacked_bytes_max} bytes, found {unpacked}")));
    }
    Ok(())
}

/// The packages of a node.
#[derive(Clone)]
pub(crate) struct Packages {
    storage: Storage,
    keyspace: Keyspace,
    folder: PathBuf,
    used: Used,
}

/// How many processes use each folder, by its name.
type Used = Arc<Mutex<HashMap<String, usize>>>;

/// A package where processes read it, there as long as this is held.
pub(crate) struct Unpacked {
    pub(crate) folder: PathBuf,
    name: String,
    used: Used,
}

impl Unpacked {
    fn of(packages: &Packages, hash: &str) -> Self {
        let name = hex_name(hash);
        *lock(&packages.used).entry(name.clone()).or_default() += 1;
        Self { folder: packages.folder.join(&name), name, used: Arc::clone(&packages.used) }
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let mut used = lock(&self.used);
        if let Some(count) = used.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.name);
            }
        }
    }
}

fn lock(used: &Used) -> MutexGuard<'_, HashMap<String, usize>> {
    used.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Packages {
    pub(crate) fn new(storage: Storage, folder: PathBuf) -> Self {
        Self { storage, keyspace: Keyspace::new("function/code"), folder, used: Used::default() }
    }

    /// Adds a package to a transaction; a package of the same hash is the same package.
    pub(crate) fn put(&self, hash: &str, package: &Bytes, transaction: &mut Transaction) {
        for (index, begin) in (0..package.len()).step_by(PIECE_BYTES).enumerate() {
            let piece = package.slice(begin..(begin + PIECE_BYTES).min(package.len()));
            transaction.put(&self.keyspace, piece_key(hash, index), piece);
        }
    }

    /// Removes a package of so many bytes with a transaction.
    pub(crate) fn remove(&self, hash: &str, bytes: u64, transaction: &mut Transaction) {
        let pieces = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(PIECE_BYTES);
        for index in 0..pieces {
            transaction.delete(&self.keyspace, piece_key(hash, index));
        }
    }

    /// Removes what lies unpacked and is neither of the packages `kept` nor in use. Works on the disk.
    pub(crate) fn sweep<'a>(&self, kept: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let kept: HashSet<String> = kept.map(hex_name).collect();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // What begins with a dot is being unpacked, or being removed.
            if name.starts_with('.') || kept.contains(&name) {
                continue;
            }
            let gone = self.folder.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
            {
                // Out of the way at once: whoever comes now unpacks it anew.
                let used = lock(&self.used);
                if used.contains_key(&name) {
                    continue;
                }
                fs::rename(self.folder.join(&name), &gone)?;
            }
            fs::remove_dir_all(gone)?;
        }
        Ok(())
    }

    /// Removes what a crash has left half unpacked or half removed. Works on the disk; before anything runs.
    pub(crate) fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// A package's bytes. Reads the disk.
    pub(crate) fn get(&self, hash: &str) -> Result<Bytes, FunctionError> {
        let mut package = Vec::new();
        for index in 0.. {
            match self.storage.get(&self.keyspace, &piece_key(hash, index))? {
                Some(piece) => package.extend_from_slice(&piece),
                None => break,
            }
        }
        if self::hash(&package) == hash {
            return Ok(Bytes::from(package));
        }
        Err(FunctionError::Storage(StorageError::Damaged {
            file: format!("package {hash}"),
            position: 0,
            detail: "its hash is another; upload the code again".to_owned(),
        }))
    }

    /// Where a package lies unpacked, unpacking it first if need be. Works on the disk.
    pub(crate) fn unpacked(&self, hash: &str) -> Result<Unpacked, FunctionError> {
        let unpacked = Unpacked::of(self, hash);
        let (folder, name) = (&unpacked.folder, &unpacked.name);
        if folder.is_dir() {
            return Ok(unpacked);
        }
        let package = self.get(hash)?;
        // Unpacked beside its place, synced and renamed: a crash leaves no half package behind under the name.
        let unfinished = self.folder.join(format!(".{name}.{}", uuid::Uuid::new_v4()));
        let place =
            |error: io::Error| FunctionError::Package { reason: format!("unpacking to {}: {error}", folder.display()) };
        unpack(&package, &unfinished).map_err(place)?;
        match fs::rename(&unfinished, folder) {
            Ok(()) => Ok(unpacked),
            Err(_) if folder.is_dir() => {
                let _ = fs::remove_dir_all(&unfinished);
                Ok(unpacked)
            }
            Err(error) => Err(place(error)),
        }
    }
}

fn piece_key(hash: &str, index: usize) -> Vec<u8> {
    format!("{hash}/{index:06}").into_bytes()
}

/// Base64 has characters that folder names may not have.
fn hex_name(hash: &str) -> String {
    STANDARD.decode(hash).unwrap_or_default().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn unpack(package: &Bytes, folder: &Path) -> io::Result<()> {
    let mut archive = ZipArchive::new(Cursor::new(package))?;
    fs::create_dir_all(folder)?;
    let mut left = UNPACKED_BYTES_MAX;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let Some(name) = file.enclosed_name() else { continue };
        let path = folder.join(name);
        if file.is_dir() {
            fs::create_dir_all(&path)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // The sizes in a zip's directory may lie: what really comes out is counted.
        let mut out = File::create(&path)?;
        let written = io::copy(&mut file.by_ref().take(left), &mut out)?;
        left -= written;
        if left == 0 {
            return Err(io::Error::other("the package is larger unpacked than it says"));
        }
        let executable = file.unix_mode().is_some_and(|mode| mode & 0o111 != 0) || path.ends_with("bootstrap");
        fs::set_permissions(&path, fs::Permissions::from_mode(if executable { 0o555 } else { 0o444 }))?;
        out.sync_all()?;
    }
    sync_folders(folder)
}

/// Makes the names in a folder and in all below it durable.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    pub(crate) fn zip_of(files: &[(&str, &str)]) -> Bytes {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        Bytes::from(writer.finish().unwrap().into_inner())
    }

    #[test]
    fn harmful_packages_are_refused() {
        assert!(check(&zip_of(&[("app.py", "x")])).is_ok());
        assert!(check(b"no zip").is_err());
        for name in ["../evil", "/etc/passwd", "a/../../evil"] {
            assert!(check(&zip_of(&[(name, "x")])).is_err(), "{name}");
        }
        let zeros = "0".repeat(1 << 16);
        let bomb = zip_of(&[("a", &zeros), ("b", &zeros)]);
        assert!(check_within(&bomb, 1 << 17).is_ok());
        let error = check_within(&bomb, (1 << 17) - 1).unwrap_err().to_string();
        assert!(error.contains("Unzipped size"), "{error}");
    }

    #[tokio::test]
    async fn packages_are_kept_in_pieces_and_unpacked_once() {
        let storage = Storage::in_memory(std::sync::Arc::new(millstream_types::SystemClock));
        let folder = tempfile::tempdir().unwrap();
        let packages = Packages::new(storage.clone(), folder.path().to_owned());
        let package = zip_of(&[("app.py", "x = 1"), ("lib/b.py", "y"), ("bootstrap", "#!/bin/sh")]);
        let hash = hash(&package);
        let mut transaction = Transaction::new();
        packages.put(&hash, &package, &mut transaction);
        storage.commit(transaction).await.unwrap();
        assert_eq!(packages.get(&hash).unwrap(), package);
        let unpacked = packages.unpacked(&hash).unwrap();
        assert_eq!(fs::read_to_string(unpacked.folder.join("lib/b.py")).unwrap(), "y");
        assert_eq!(fs::metadata(unpacked.folder.join("bootstrap")).unwrap().permissions().mode() & 0o777, 0o555);
        assert_eq!(packages.unpacked(&hash).unwrap().folder, unpacked.folder);

        let place = unpacked.folder.clone();
        packages.sweep([hash.as_str()].into_iter()).unwrap();
        packages.sweep(std::iter::empty()).unwrap();
        assert!(place.is_dir(), "a process uses it");
        drop(unpacked);
        packages.sweep(std::iter::empty()).unwrap();
        assert!(!place.exists());
        drop(packages.unpacked(&hash).unwrap());
        fs::create_dir(folder.path().join(".half")).unwrap();
        packages.remove_unfinished().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut transaction = Transaction::new();
        packages.remove(&hash, package.len() as u64, &mut transaction);
        storage.commit(transaction).await.unwrap();
        assert!(packages.get(&hash).is_err());
    }
}
