//! A function's code folder as a zip package.

use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Files that one package may hold: far more than any sane function, few enough to notice a wrong folder.
const FILES_MAX: usize = 20_000;

/// Packs a folder, or reads a zip file as it is. Deterministic: the same files give the same bytes, so that applying an
/// unchanged pipeline changes nothing.
///
/// # Errors
/// When something cannot be read, or the folder holds more than 20,000 files.
pub fn package(code: &Path) -> io::Result<Bytes> {
    if code.is_file() {
        return fs::read(code).map(Bytes::from);
    }
    let mut files = Vec::new();
    collect(code, &mut files)?;
    files.sort();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let name = file.strip_prefix(code).map_err(io::Error::other)?;
        let name = name.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(if is_executable(&file)? { 0o755 } else { 0o644 });
        writer.start_file(name, options)?;
        writer.write_all(&fs::read(&file)?)?;
    }
    Ok(Bytes::from(writer.finish()?.into_inner()))
}

/// A package of one file: the one in which the runtime looks for the handler.
///
/// # Errors
/// When the text cannot be packed.
pub fn of_source(runtime: &str, handler: &str, text: &str) -> io::Result<Bytes> {
    let module = handler.rsplit_once('.').map_or(handler, |(module, _)| module);
    let name = match runtime {
        name if name.starts_with("python") => format!("{}.py", module.replace('.', "/")),
        name if name.starts_with("nodejs") && text.contains("export ") => format!("{module}.mjs"),
        name if name.starts_with("nodejs") => format!("{module}.js"),
        _ => "bootstrap".to_owned(),
    };
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(if name == "bootstrap" { 0o755 } else { 0o644 });
    writer.start_file(name, options)?;
    writer.write_all(text.replace("\r\n", "\n").as_bytes())?;
    Ok(Bytes::from(writer.finish()?.into_inner()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files; is it the right folder?")));
        }
    }
    Ok(())
}

/// The owner's right to execute; a `bootstrap` has it whatever the file system kept.
fn is_executable(file: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.file_name().is_some_and(|name| name == "bootstrap")
        || fs::metadata(file)?.permissions().mode() & 0o100 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_where_its_handler_is_looked_for() {
        for (runtime, handler, text, file) in [
            ("python3.12", "index.handler", "def handler", "index.py"),
            ("python3.12", "app.main.handler", "", "app/main.py"),
            ("nodejs20.x", "index.handler", "exports.handler = 1", "index.js"),
            ("nodejs20.x", "index.handler", "export const handler = 1", "index.mjs"),
            ("provided.al2023", "x", "#!/bin/sh", "bootstrap"),
        ] {
            let zip = of_source(runtime, handler, text).unwrap();
            let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
            assert_eq!(archive.by_index(0).unwrap().name().unwrap(), file, "{runtime} {handler}");
        }
    }

    #[test]
    fn a_folder_gives_the_same_package_each_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/b.py"), "b").unwrap();
        fs::write(folder.path().join("bootstrap"), "#!/bin/sh\n").unwrap();
        let first = package(folder.path()).unwrap();
        assert_eq!(first, package(folder.path()).unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(first)).unwrap();
        assert_eq!(archive.by_name("bootstrap").unwrap().unix_mode().unwrap() & 0o777, 0o755);
        assert_eq!(archive.by_name("lib/b.py").unwrap().size(), 1);
    }
}
