//! C#: the sources that come with this engine, what compiles them, and against which assemblies.
//!
//! The bootstrap calls a function's handler. The libraries give the names of Amazon's packages that handlers use, for machines
//! without NuGet.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::DotnetOptions;
use super::dotnet::{Installed, missing, on_path, run};
use crate::error::FunctionError;

/// A source file: its name and its text.
pub(super) type Source = (&'static str, &'static str);

const JSON: Source = ("Json.cs", include_str!("../../dotnet/boot/Json.cs"));

/// What calls handlers.
pub(super) const BOOTSTRAP: &[Source] = &[
    ("Boot.cs", include_str!("../../dotnet/boot/Boot.cs")),
    ("Handler.cs", include_str!("../../dotnet/boot/Handler.cs")),
    ("Context.cs", include_str!("../../dotnet/boot/Context.cs")),
    JSON,
];

/// What handlers may use.
pub(super) const LIBRARIES: &[Source] = &[
    ("APIGatewayEvents.cs", include_str!("../../dotnet/events/APIGatewayEvents.cs")),
    ("Core.cs", include_str!("../../dotnet/events/Core.cs")),
    ("DynamoDBEvents.cs", include_str!("../../dotnet/events/DynamoDBEvents.cs")),
    ("KinesisAnalyticsEvents.cs", include_str!("../../dotnet/events/KinesisAnalyticsEvents.cs")),
    ("KinesisEvents.cs", include_str!("../../dotnet/events/KinesisEvents.cs")),
    ("KinesisFirehoseEvents.cs", include_str!("../../dotnet/events/KinesisFirehoseEvents.cs")),
    ("S3Events.cs", include_str!("../../dotnet/events/S3Events.cs")),
    ("SNSEvents.cs", include_str!("../../dotnet/events/SNSEvents.cs")),
    ("SQSEvents.cs", include_str!("../../dotnet/events/SQSEvents.cs")),
    ("Serialization.cs", include_str!("../../dotnet/events/Serialization.cs")),
    ("Lambda.cs", include_str!("../../dotnet/clients/Lambda.cs")),
    JSON,
];

const COMPILER_NEEDED: &str = "a C# compiler once, for its bootstrap: install the .NET SDK or Mono's `mcs`, name one in \
                               MILLSTREAM_CSHARP_COMPILER, or name a compiled bootstrap in MILLSTREAM_DOTNET_BOOTSTRAP";

/// What comes out of the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Program,
    Library,
}

/// Tells one set of sources from another.
pub(super) fn digest() -> String {
    let mut hash = Sha256::new();
    BOOTSTRAP.iter().chain(LIBRARIES).for_each(|(_, source)| hash.update(source));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes all sources into a folder. Works on the disk.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    BOOTSTRAP.iter().chain(LIBRARIES).try_for_each(|(name, source)| fs::write(folder.join(name), source))
}

/// Where sources lie in that folder.
pub(super) fn sources(folder: &Path, sources: &[Source]) -> Vec<PathBuf> {
    sources.iter().map(|(name, _)| folder.join(name)).collect()
}

/// Compiles sources into an assembly.
pub(super) async fn compile(
    options: &DotnetOptions,
    installed: &Installed,
    version: u32,
    kind: Kind,
    sources: &[PathBuf],
    to: &Path,
) -> Result<(), FunctionError> {
    let compiler = compiler(options, installed).await.ok_or_else(|| missing(version, COMPILER_NEEDED.to_owned()))?;
    let references = options.references.clone().or_else(|| installed.oldest()).unwrap_or_default();
    // The assembly's name is the file's, so it is compiled under it, in a folder beside its place, and renamed: a crash leaves
    // no half assembly behind.
    let wrong = |reason: String| missing(version, format!("{COMPILER_NEEDED}; {}: {reason}", compiler[0].display()));
    let beside = to.parent().unwrap_or(Path::new(".")).join(uuid::Uuid::new_v4().to_string());
    let unfinished = beside.join(to.file_name().unwrap_or_default());
    tokio::fs::create_dir_all(&beside).await.map_err(|error| wrong(error.to_string()))?;
    let mut command = Command::new(&compiler[0]);
    command
        .args(&compiler[1..])
        .args(["-nologo", "-noconfig", "-nostdlib", "-optimize"])
        .arg(if kind == Kind::Program { "-target:exe" } else { "-target:library" })
        .arg(joined("-out:", &unfinished))
        .args(assemblies(&references).iter().map(|path| joined("-r:", path)))
        .args(sources);
    let compiled = run(&mut command).await.map_err(wrong);
    let moved = match compiled {
        Ok(_) => tokio::fs::rename(&unfinished, to).await.map_err(|error| wrong(error.to_string())),
        Err(error) => Err(error),
    };
    // What could not be compiled leaves nothing that anybody would miss.
    let _ = tokio::fs::remove_dir_all(&beside).await;
    moved
}

/// The compiler and its first arguments: what is named, Mono's, the SDK's.
async fn compiler(options: &DotnetOptions, installed: &Installed) -> Option<Vec<PathBuf>> {
    if let Some(compiler) = options.compiler.clone().or_else(|| on_path("mcs")) {
        return Some(vec![compiler]);
    }
    let listed = run(Command::new(&installed.host).arg("--list-sdks")).await.ok()?;
    let (version, folder) = listed.lines().filter_map(|line| line.trim().split_once(" [")).next_back()?;
    let compiler = Path::new(folder.trim_end_matches(']')).join(version).join("Roslyn/bincore/csc.dll");
    compiler.is_file().then(|| vec![installed.host.clone(), compiler])
}

/// What is compiled against. What old compilers stumble over, and nothing here needs, is left out.
fn assemblies(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let managed = ["System", "Microsoft", "mscorlib", "netstandard"].iter().any(|start| name.starts_with(start));
        managed && name.ends_with(".dll") && !name.contains("WindowsRuntime") && !name.contains("VisualBasic")
    });
    found.sort();
    found
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push(path);
    argument
}
