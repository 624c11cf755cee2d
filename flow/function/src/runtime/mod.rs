//! Which program runs a function: the bootstraps for Node.js, Python and .NET, or the package's own.

mod csharp;
mod dotnet;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error::FunctionError;
use dotnet::Dotnet;
pub use dotnet::DotnetOptions;

const PYTHON: &str = include_str!("../bootstrap/python.py");
const NODE: &str = include_str!("../bootstrap/node.mjs");

/// The kinds of runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    Node,
    Python,
    /// .NET of at least this major version.
    Dotnet(u32),
    /// The package's executable `bootstrap` speaks the runtime API itself.
    Provided,
}

impl Runtime {
    /// The kind of a runtime's identifier.
    pub(crate) fn of(identifier: &str) -> Result<Self, FunctionError> {
        if let Some(version) = dotnet::version(identifier) {
            return Ok(Self::Dotnet(version));
        }
        match identifier {
            name if name.starts_with("nodejs") => Ok(Self::Node),
            name if name.starts_with("python3") => Ok(Self::Python),
            name if name.starts_with("provided") => Ok(Self::Provided),
            other => Err(FunctionError::Runtime { runtime: other.to_owned() }),
        }
    }
}

/// Refuses the identifier of a runtime that no node has.
///
/// # Errors
/// [`FunctionError::Runtime`].
pub fn check_runtime(identifier: &str) -> Result<(), FunctionError> {
    Runtime::of(identifier).map(drop)
}

/// A program with its arguments.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// What it needs besides the package's own.
    pub(crate) environment: Vec<(String, String)>,
    /// Folders that it reads and runs from.
    pub(crate) readable: Vec<PathBuf>,
}

/// The interpreters of this machine, found at their first use.
pub(crate) struct Runtimes {
    folder: PathBuf,
    node: OnceCell<PathBuf>,
    python: OnceCell<PathBuf>,
    dotnet: Dotnet,
}

impl Runtimes {
    /// Writes the bootstraps into a folder. Works on the disk.
    pub(crate) fn new(folder: PathBuf, dotnet: DotnetOptions) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("python.py"), PYTHON)?;
        std::fs::write(folder.join("node.mjs"), NODE)?;
        let dotnet = Dotnet::new(dotnet, &folder)?;
        Ok(Self { folder, node: OnceCell::new(), python: OnceCell::new(), dotnet })
    }

    /// Refuses a function whose runtime this machine does not have, as far as that can be known before it runs.
    pub(crate) async fn check(&self, runtime: Runtime, handler: &str) -> Result<(), FunctionError> {
        match runtime {
            Runtime::Dotnet(version) => self.dotnet.check(version, handler).await,
            Runtime::Node | Runtime::Python | Runtime::Provided => Ok(()),
        }
    }

    /// The program of a function in `task_root`.
    pub(crate) async fn program(
        &self,
        runtime: Runtime,
        task_root: &Path,
        handler: &str,
        memory_mib: u32,
    ) -> Result<Program, FunctionError> {
        match runtime {
            Runtime::Provided => Ok(self.of(task_root.join("bootstrap"), Vec::new())),
            Runtime::Python => {
                let ask = ["-c", "import sys; print(sys.executable)"];
                let path = self.python.get_or_try_init(|| resolve("python3", &ask)).await?.clone();
                let bootstrap = self.folder.join("python.py").into_os_string();
                Ok(self.of(path, vec!["-u".into(), bootstrap]))
            }
            Runtime::Node => {
                let ask = ["-p", "process.execPath"];
                let path = self.node.get_or_try_init(|| resolve("node", &ask)).await?.clone();
                let heap = format!("--max-old-space-size={}", memory_mib * 4 / 5);
                let bootstrap = self.folder.join("node.mjs").into_os_string();
                Ok(self.of(path, vec![heap.into(), bootstrap]))
            }
            Runtime::Dotnet(version) => self.dotnet.program(version, task_root, handler, memory_mib).await,
        }
    }

    /// Compiles C# for a package.
    pub(crate) async fn compile_csharp(&self, sources: &[PathBuf], to: &Path) -> Result<(), FunctionError> {
        self.dotnet.compile_package(sources, to).await
    }

    fn of(&self, path: PathBuf, arguments: Vec<OsString>) -> Program {
        let mut readable = homes(&path);
        readable.push(self.folder.clone());
        Program { path, arguments, environment: Vec::new(), readable }
    }
}

/// Where an interpreter and its libraries are installed: the folder above its `bin`, also of what a link leads to.
fn homes(program: &Path) -> Vec<PathBuf> {
    let home = |path: &Path| match path.parent() {
        Some(folder) if folder.ends_with("bin") => folder.parent().map(Path::to_owned),
        folder => folder.map(Path::to_owned),
    };
    let real = program.canonicalize().ok();
    let homes = [Some(program), real.as_deref()].into_iter().flatten().filter_map(home);
    // The system's own are readable anyway, and nobody may read the root.
    homes.filter(|home| home.parent().is_some()).collect()
}

/// Where an interpreter really is: version managers put slow scripts in its place.
async fn resolve(name: &str, ask: &[&str]) -> Result<PathBuf, FunctionError> {
    let wrong = |reason: String| FunctionError::Start { program: name.to_owned(), reason };
    let answer =
        Command::new(name).args(ask).stdin(Stdio::null()).output().await.map_err(|error| wrong(error.to_string()))?;
    let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if path.is_empty() { Err(wrong("it does not say where it is".to_owned())) } else { Ok(PathBuf::from(path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_name_kinds() {
        for (identifier, expected) in [
            ("nodejs20.x", Some(Runtime::Node)),
            ("python3.12", Some(Runtime::Python)),
            ("provided.al2023", Some(Runtime::Provided)),
            ("dotnet8", Some(Runtime::Dotnet(8))),
            ("dotnet10", Some(Runtime::Dotnet(10))),
            ("dotnetcore3.1", Some(Runtime::Dotnet(3))),
            ("dotnet", None),
            ("java21", None),
        ] {
            assert_eq!(Runtime::of(identifier).ok(), expected, "{identifier}");
        }
    }

    #[test]
    fn an_interpreter_is_at_home_above_its_bin() {
        assert_eq!(homes(Path::new("/x/versions/3.11/bin/python3")), [PathBuf::from("/x/versions/3.11")]);
        assert_eq!(homes(Path::new("/x/dotnet/dotnet")), [PathBuf::from("/x/dotnet")]);
        assert_eq!(homes(Path::new("/bin/sh")).iter().filter(|home| home.as_path() == Path::new("/")).count(), 0);
    }
}
