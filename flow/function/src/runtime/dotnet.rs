//! .NET: which of the installed releases runs a function, and the bootstrap, which is compiled once, when the first function
//! needs it. How C# is compiled stands in `csharp.rs`.
//!
//! A handler `Assembly::Namespace.Class::Method` is called by the bootstrap; a handler without `::` names an assembly that
//! speaks the runtime API itself and is started directly.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::Program;
use super::csharp::{self, Kind};
use crate::error::FunctionError;

/// The framework that functions and the bootstrap run on.
const FRAMEWORK: &str = "Microsoft.NETCore.App";

/// What is asked for in the words that people know.
const HOST_NEEDED: &str = "the .NET runtime: install it so that `dotnet` is on the path, or name the program in \
                           MILLSTREAM_DOTNET or the setting `dotnet`";

/// The release that is asked for when a package is compiled. It runs on whatever there is.
const PACKAGE_RELEASE: u32 = 8;

/// How long a compiler or the host may take: a machine that takes longer has something wrong.
const PROGRAM_MAX: Duration = Duration::from_secs(60);

/// Where .NET is, and what compiles the bootstrap. What is `None` is looked for.
#[derive(Debug, Clone, Default)]
pub struct DotnetOptions {
    /// The host, `dotnet`.
    pub host: Option<PathBuf>,
    /// A C# compiler that takes `-r:`, `-out:` and files: `mcs`, `csc`.
    pub compiler: Option<PathBuf>,
    /// The assemblies that the compiler compiles against; by default those of the oldest installed release, which are
    /// in all later ones and which every compiler understands.
    pub references: Option<PathBuf>,
    /// A bootstrap that is compiled already.
    pub bootstrap: Option<PathBuf>,
}

/// The major version of an identifier: `dotnet8`, `dotnetcore3.1`.
pub(super) fn version(identifier: &str) -> Option<u32> {
    let rest = identifier.strip_prefix("dotnet")?;
    let version = rest.strip_prefix("core").unwrap_or(rest);
    version.split('.').next()?.parse().ok()
}

/// An installed release of the framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    version: String,
    /// Its assemblies.
    folder: PathBuf,
}

impl Release {
    fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }
}

/// What is installed.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    pub(super) host: PathBuf,
    releases: Vec<Release>,
}

/// .NET as far as it has been found.
pub(super) struct Dotnet {
    options: DotnetOptions,
    folder: PathBuf,
    installed: OnceCell<Installed>,
    bootstrap: OnceCell<PathBuf>,
}

impl Dotnet {
    /// Writes the sources into a folder of their own. Works on the disk.
    pub(super) fn new(options: DotnetOptions, folder: &Path) -> io::Result<Self> {
        // Sources that change make another folder: what was compiled from others is never taken for theirs.
        let folder = folder.join(format!("dotnet-{}", csharp::digest()));
        std::fs::create_dir_all(&folder)?;
        csharp::write(&folder)?;
        Ok(Self { options, folder, installed: OnceCell::new(), bootstrap: OnceCell::new() })
    }

    /// Refuses what cannot run here, and compiles the bootstrap if it will be needed.
    pub(super) async fn check(&self, version: u32, handler: &str) -> Result<(), FunctionError> {
        let installed = self.installed(version).await?;
        installed.release(version)?;
        if handler.contains("::") {
            self.bootstrap(version).await?;
        }
        Ok(())
    }

    /// The program of a function in `task_root`.
    pub(super) async fn program(
        &self,
        version: u32,
        task_root: &Path,
        handler: &str,
        memory_mib: u32,
    ) -> Result<Program, FunctionError> {
        let installed = self.installed(version).await?;
        let release = installed.release(version)?;
        let assembly = handler.split("::").next().unwrap_or_default().trim();
        let own = task_root.join(format!("{assembly}.runtimeconfig.json"));
        let arguments: Vec<OsString> = if handler.contains("::") {
            let bootstrap = self.bootstrap(version).await?;
            let settings = if own.is_file() { own } else { self.settings(release).await? };
            vec!["exec".into(), "--runtimeconfig".into(), settings.into(), bootstrap.into()]
        } else {
            vec![task_root.join(format!("{assembly}.dll")).into()]
        };
        let mut readable = super::homes(&installed.host);
        readable.push(self.folder.clone());
        readable.extend(self.options.bootstrap.clone());
        let variable = |name: &str, value: String| (name.to_owned(), value);
        let environment = vec![
            // A package for an older release runs on what there is.
            variable("DOTNET_ROLL_FORWARD", "Major".to_owned()),
            variable("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1".to_owned()),
            variable("DOTNET_EnableDiagnostics", "0".to_owned()),
            variable("DOTNET_gcServer", "0".to_owned()),
            // It would keep code in a file of two terabytes, mostly holes, which no limit of files allows.
            variable("DOTNET_EnableWriteXorExecute", "0".to_owned()),
            variable("DOTNET_GCHeapHardLimit", format!("0x{:x}", (u64::from(memory_mib) << 20) / 8 * 7)),
        ];
        Ok(Program { path: installed.host.clone(), arguments, environment, readable })
    }

    async fn installed(&self, version: u32) -> Result<&Installed, FunctionError> {
        self.installed.get_or_try_init(|| self.look(version)).await
    }

    /// Asks the host what is installed.
    async fn look(&self, version: u32) -> Result<Installed, FunctionError> {
        let named = self.options.host.clone().or_else(|| on_path("dotnet"));
        let host = named.ok_or_else(|| missing(version, HOST_NEEDED.to_owned()))?;
        let host = std::path::absolute(&host).unwrap_or(host);
        let answer = run(Command::new(&host).arg("--list-runtimes").env("DOTNET_NOLOGO", "1")).await;
        let answer =
            answer.map_err(|reason| missing(version, format!("{HOST_NEEDED}; {}: {reason}", host.display())))?;
        Ok(Installed { host, releases: releases(&answer) })
    }

    /// Settings of the runtime for packages that bring none.
    async fn settings(&self, release: &Release) -> Result<PathBuf, FunctionError> {
        let path = self.folder.join(format!("{}.runtimeconfig.json", release.version));
        let framework = serde_json::json!({ "name": FRAMEWORK, "version": release.version });
        let settings = serde_json::json!({ "runtimeOptions": { "framework": framework } }).to_string();
        tokio::fs::write(&path, settings)
            .await
            .map_err(|error| FunctionError::Start { program: path.display().to_string(), reason: error.to_string() })?;
        Ok(path)
    }

    /// The compiled bootstrap.
    async fn bootstrap(&self, version: u32) -> Result<PathBuf, FunctionError> {
        if let Some(path) = &self.options.bootstrap {
            return Ok(path.clone());
        }
        let compiled = self.folder.join("Boot.dll");
        let path = self.bootstrap.get_or_try_init(|| async {
            if !compiled.is_file() {
                self.compile(version, &compiled).await?;
            }
            Ok(compiled)
        });
        path.await.cloned()
    }

    async fn compile(&self, version: u32, to: &Path) -> Result<(), FunctionError> {
        let installed = self.installed(version).await?;
        let sources = csharp::sources(&self.folder, csharp::BOOTSTRAP);
        csharp::compile(&self.options, installed, version, Kind::Program, &sources, to).await
    }

    /// Compiles C# for a package, with the names of events and clients that it may use without NuGet.
    pub(super) async fn compile_package(&self, sources: &[PathBuf], to: &Path) -> Result<(), FunctionError> {
        let installed = self.installed(PACKAGE_RELEASE).await?;
        let mut sources = sources.to_vec();
        sources.extend(csharp::sources(&self.folder, csharp::LIBRARIES));
        csharp::compile(&self.options, installed, PACKAGE_RELEASE, Kind::Library, &sources, to).await
    }
}

impl Installed {
    /// The release for a version: itself, else the next later one.
    fn release(&self, version: u32) -> Result<&Release, FunctionError> {
        let later = self.releases.iter().filter(|release| release.major() >= version);
        later.min_by_key(|release| release.major()).ok_or_else(|| {
            let found: Vec<&str> = self.releases.iter().map(|release| release.version.as_str()).collect();
            missing(version, format!("{FRAMEWORK} {version} or later, found {}", found.join(", ")))
        })
    }

    /// The assemblies of the oldest release.
    pub(super) fn oldest(&self) -> Option<PathBuf> {
        self.releases.iter().min_by_key(|release| release.major()).map(|release| release.folder.clone())
    }
}

/// `Microsoft.NETCore.App 8.0.4 [/usr/share/dotnet/shared/Microsoft.NETCore.App]`, a line each.
fn releases(listed: &str) -> Vec<Release> {
    let release = |line: &str| {
        let (version, folder) = line.trim().strip_prefix(FRAMEWORK)?.trim_start().split_once(" [")?;
        let folder = Path::new(folder.trim_end_matches(']')).join(version);
        Some(Release { version: version.to_owned(), folder })
    };
    listed.lines().filter_map(release).collect()
}

/// Runs a program to its end; gives what it printed, or what it said went wrong.
pub(super) async fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PROGRAM_MAX, output).await.map_err(|_| format!("it took more than {PROGRAM_MAX:?}"))?;
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = text(&output.stderr) + &text(&output.stdout);
    Err(said.lines().next().unwrap_or("it failed without a word").to_owned())
}

pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

pub(super) fn missing(version: u32, needs: String) -> FunctionError {
    FunctionError::RuntimeMissing { runtime: format!("dotnet{version}"), needs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_later_release_runs_a_function() {
        let listed = "Microsoft.AspNetCore.App 8.0.4 [/d/shared/Microsoft.AspNetCore.App]\n\
                      Microsoft.NETCore.App 3.1.23 [/d/shared/Microsoft.NETCore.App]\n\
                      Microsoft.NETCore.App 8.0.4 [/d/shared/Microsoft.NETCore.App]\n";
        let installed = Installed { host: PathBuf::new(), releases: releases(listed) };
        let of = |version| installed.release(version).map(|release| release.version.clone()).ok();
        assert_eq!(
            [of(3), of(6), of(8), of(10)].map(|found| found.unwrap_or_default()),
            ["3.1.23", "8.0.4", "8.0.4", ""]
        );
        assert_eq!(installed.oldest(), Some(PathBuf::from("/d/shared/Microsoft.NETCore.App/3.1.23")));
        let error = installed.release(10).unwrap_err().to_string();
        assert!(error.contains("dotnet10") && error.contains("3.1.23, 8.0.4"), "{error}");
    }
}
