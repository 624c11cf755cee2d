//! The stock-trades example as part of the binary, so that the demo runs from anywhere.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const FILES: [(&str, &str); 4] = [
    ("pipeline.toml", include_str!("../../../examples/stock-trades/pipeline.toml")),
    ("share_change.kinesis.sql", include_str!("../../../examples/stock-trades/share_change.kinesis.sql")),
    (
        "share_change.stream-analytics.sql",
        include_str!("../../../examples/stock-trades/share_change.stream-analytics.sql"),
    ),
    ("functions/native/bootstrap", include_str!("../../../examples/stock-trades/functions/native/bootstrap")),
];

/// Writes the example into a folder and gives its pipeline file.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path) -> io::Result<PathBuf> {
    for (name, text) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        if name.ends_with("bootstrap") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(folder.join("pipeline.toml"))
}
