//! Which program runs a function: the bootstraps for Node.js and Python, or the package's own.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error::FunctionError;

const PYTHON: &str = include_str!("bootstrap/python.py");
const NODE: &str = include_str!("bootstrap/node.mjs");

/// The kinds of runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    Node,
    Python,
    /// The package's executable `bootstrap` speaks the runtime API itself.
    Provided,
}

impl Runtime {
    /// The kind of a runtime's identifier.
    pub(crate) fn of(identifier: &str) -> Result<Self, FunctionError> {
        match identifier {
            name if name.starts_with("nodejs") => Ok(Self::Node),
            name if name.starts_with("python3") => Ok(Self::Python),
            name if name.starts_with("provided") => Ok(Self::Provided),
            other => Err(FunctionError::Runtime { runtime: other.to_owned() }),
        }
    }
}

/// A program with its arguments.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

/// The interpreters of this machine, found at their first use.
pub(crate) struct Runtimes {
    folder: PathBuf,
    node: OnceCell<PathBuf>,
    python: OnceCell<PathBuf>,
}

impl Runtimes {
    /// Writes the bootstraps into a folder. Works on the disk.
    pub(crate) fn new(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("python.py"), PYTHON)?;
        std::fs::write(folder.join("node.mjs"), NODE)?;
        Ok(Self { folder, node: OnceCell::new(), python: OnceCell::new() })
    }

    /// The program of a function in `task_root`.
    pub(crate) async fn program(
        &self,
        runtime: Runtime,
        task_root: &Path,
        memory_mib: u32,
    ) -> Result<Program, FunctionError> {
        match runtime {
            Runtime::Provided => Ok(Program { path: task_root.join("bootstrap"), arguments: Vec::new() }),
            Runtime::Python => {
                let ask = ["-c", "import sys; print(sys.executable)"];
                let path = self.python.get_or_try_init(|| resolve("python3", &ask)).await?.clone();
                let bootstrap = self.folder.join("python.py").into_os_string();
                Ok(Program { path, arguments: vec!["-u".into(), bootstrap] })
            }
            Runtime::Node => {
                let ask = ["-p", "process.execPath"];
                let path = self.node.get_or_try_init(|| resolve("node", &ask)).await?.clone();
                let heap = format!("--max-old-space-size={}", memory_mib * 4 / 5);
                let bootstrap = self.folder.join("node.mjs").into_os_string();
                Ok(Program { path, arguments: vec![heap.into(), bootstrap] })
            }
        }
    }
}

/// Where an interpreter really is: version managers put slow scripts in its place.
async fn resolve(name: &str, ask: &[&str]) -> Result<PathBuf, FunctionError> {
    let wrong = |reason: String| FunctionError::Start { program: name.to_owned(), reason };
    let answer =
        Command::new(name).args(ask).stdin(Stdio::null()).output().await.map_err(|error| wrong(error.to_string()))?;
    let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if path.is_empty() { Err(wrong("it does not say where it is".to_owned())) } else { Ok(PathBuf::from(path)) }
}
