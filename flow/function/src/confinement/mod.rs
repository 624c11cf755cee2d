//! What keeps a function's process to itself: the files it may see, the processes it may see and signal, and how much it
//! may take. Linux only, without privileges.
//!
//! A process is not started directly but by a launcher, the node's own binary under another command, which confines
//! itself and then becomes the runtime: so nothing has to be done between `fork` and `exec`, and the function's variables
//! (`LD_PRELOAD`) have no effect until everything is in force.
//! Read next: [`launcher`] (the order of things), [`namespaces`] (own processes, `/tmp`, `/proc`), [`files`] (Landlock).

mod files;
mod launcher;
mod namespaces;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde::{Deserialize, Serialize};

pub(crate) use launcher::SIGNALED;
pub use launcher::launch;

/// The first processes of a tree under namespaces are the launcher and its init.
const LAUNCHER_LEVELS: usize = 2;

/// How to start the launcher: the arguments must lead to [`launch`].
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// What is in force on this machine for each process of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Landlock: only the package, the runtime and the system's programs can be read, only its own `/tmp` written; no
    /// signal reaches another process and no memory or environment of another can be read.
    pub files: Extent,
    /// User, mount, process and IPC namespaces: it sees no other process, not the data folder, and has its own `/tmp`;
    /// all that it started ends with it.
    pub namespaces: bool,
    /// Limits of memory, files, processes and disk.
    pub limits: bool,
    /// The machine tells who is at the other end of a connection: a process's work and the console are out of reach of
    /// others.
    #[serde(default)]
    pub peers: bool,
}

/// How much of a layer this machine's kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// Nothing.
    None,
    /// What an older kernel has: of [`Confinement::files`] not all kinds of access, or no protection from signals.
    Part,
    /// All of it.
    Whole,
}

impl Confinement {
    /// What holds without any help of the kernel's.
    pub(crate) const LIMITED: Self = Self { files: Extent::None, namespaces: false, limits: true, peers: false };

    /// Whether everything there is holds.
    #[must_use]
    pub fn whole(self) -> bool {
        self.files == Extent::Whole && self.namespaces && self.limits && self.peers
    }

    /// How many processes stand between the node and the runtime.
    pub(crate) fn levels(self) -> usize {
        if self.namespaces { LAUNCHER_LEVELS } else { 0 }
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let say = |there: bool| if there { "in force" } else { "not available" };
        let files = match self.files {
            Extent::None => "not available",
            Extent::Part => "in force in part, the kernel is older than 6.12",
            Extent::Whole => "in force",
        };
        write!(
            formatter,
            "files (Landlock): {}; processes (namespaces): {}; limits: {}; peers: {}",
            files,
            say(self.namespaces),
            say(self.limits),
            say(self.peers)
        )
    }
}

/// What the launcher is told, as one line of JSON on its standard input.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The variables of the runtime, all of them.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it starts.
    pub(crate) folder: PathBuf,
    /// What it may read and run besides the system's programs.
    pub(crate) readable: Vec<PathBuf>,
    /// Folders that it does not see at all under namespaces.
    pub(crate) hidden: Vec<PathBuf>,
    /// What it may write; its `/tmp` under namespaces.
    pub(crate) temporary: PathBuf,
    pub(crate) limits: Limits,
    /// Whether to use namespaces.
    pub(crate) namespaces: bool,
    /// Instead of running a program, say what is in force.
    pub(crate) probe: bool,
}

/// What a process may take.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Memory for data, bytes.
    pub(crate) data_bytes: u64,
    /// Open files.
    pub(crate) files: u64,
    /// The largest file, bytes.
    pub(crate) file_bytes: u64,
    /// Processes and threads, under namespaces.
    pub(crate) tasks: u64,
}

impl Limits {
    /// Sets what the kernel watches over, of a process or (`None`) of this one and all that it starts.
    pub(crate) fn apply(self, process: Option<Pid>) -> io::Result<()> {
        let limits = [
            (Resource::Data, self.data_bytes),
            (Resource::Nofile, self.files),
            (Resource::Fsize, self.file_bytes),
            (Resource::Core, 0),
        ];
        for (resource, value) in limits {
            prlimit(process, resource, Rlimit { current: Some(value), maximum: Some(value) })?;
        }
        Ok(())
    }
}

/// Finds out what this machine allows, by trying it. Starts processes: not for an async worker.
pub(crate) fn probe(launcher: &Launcher, temporary: PathBuf) -> Confinement {
    [true, false]
        .into_iter()
        .find_map(|namespaces| {
            let plan = Plan { namespaces, probe: true, temporary: temporary.clone(), ..Plan::default() };
            ask(launcher, &plan).ok()
        })
        .unwrap_or(Confinement::LIMITED)
}

fn ask(launcher: &Launcher, plan: &Plan) -> io::Result<Confinement> {
    let mut child = Command::new(&launcher.program)
        .args(&launcher.arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(stdin) = &mut child.stdin {
        stdin.write_all(&plan.line())?;
    }
    // The launcher ends when its standard input does, so that is kept until the answer is there.
    let kept = child.stdin.take();
    let answer = child.wait_with_output()?;
    drop(kept);
    if !answer.status.success() {
        return Err(io::Error::other("the launcher cannot confine itself so"));
    }
    serde_json::from_slice(&answer.stdout).map_err(io::Error::other)
}

impl Plan {
    /// The plan as the launcher reads it.
    pub(crate) fn line(&self) -> Vec<u8> {
        // Paths and variables are what they are: the type always has a JSON form.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}
