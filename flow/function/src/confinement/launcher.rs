//! The launcher: reads its plan, confines itself, becomes the runtime. Runs in a process of its own, on one thread,
//! before anything else of the binary.
//!
//! Without namespaces: limits, Landlock, `exec`. With them there are three processes: the launcher, which enters them,
//! ends them when the node is gone and tells the node how it ended; the init, first of the new processes, whose end is
//! the end of all of them; the runtime.

use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_parent_process_death_signal, wait};
use rustix::thread::set_no_new_privs;

use super::{Confinement, Plan, files, namespaces};

/// The last argument of the init.
const INIT: &str = "init";

/// The launcher itself failed: what it prints says how.
const FAILED: u8 = 125;

/// A runtime that a signal ended: this and the signal's number, as shells say it.
pub(crate) const SIGNALED: i32 = 128;

/// What the kernel ends first when memory is short.
const EXPENDABLE: &str = "500";

/// Runs a function's process as the plan on standard input says. `arguments` are those that led here, without the
/// program's name.
#[must_use]
pub fn launch(arguments: &[OsString]) -> ExitCode {
    let outcome = if arguments.last().is_some_and(|last| last == INIT) { init() } else { outside(arguments) };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("cannot start the function's process: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// The launcher.
fn outside(arguments: &[OsString]) -> io::Result<u8> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let plan: Plan = serde_json::from_str(&line).map_err(io::Error::other)?;
    // Raising it needs no rights; on a kernel without it there is nothing to do.
    let _ = fs::write("/proc/self/oom_score_adj", EXPENDABLE);
    if !plan.namespaces {
        let confinement = restrict(&plan)?;
        return if plan.probe { say(confinement) } else { become_runtime(&plan).map(|never| match never {}) };
    }
    let program = env::current_exe()?;
    namespaces::enter(&plan)?;
    // The path may be hidden by now; the kernel still knows the program.
    let mut init =
        Command::new("/proc/self/exe").arg0(program).args(arguments).arg(INIT).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = init.stdin.take() {
        stdin.write_all(line.as_bytes())?;
    }
    let Some(status) = wait_or_end(&mut init)? else { return Ok(FAILED) };
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALED + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED))
}

/// Waits for the init. `None`: the node is gone, which the end of standard input tells; this ends, and the init with it.
fn wait_or_end(init: &mut Child) -> io::Result<Option<ExitStatus>> {
    // No thread can do this: none may be started once what is started lives in another process namespace.
    let pid = i32::try_from(init.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let stdin = io::stdin();
    loop {
        let mut ready = [PollFd::new(&ended, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [ended, stdin] = ready.map(|each| !each.revents().is_empty());
        if ended {
            return init.wait().map(Some);
        }
        if stdin {
            return Ok(None);
        }
    }
}

/// The first process of the new namespaces.
fn init() -> io::Result<u8> {
    // Before the plan is read: a launcher that is gone by now leaves nothing to read.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let plan: Plan = serde_json::from_reader(io::stdin().lock()).map_err(io::Error::other)?;
    namespaces::settle(plan.limits.tasks)?;
    let confinement = restrict(&plan)?;
    if plan.probe {
        return say(confinement);
    }
    let child = command(&plan).spawn().map_err(|error| named(&plan, &error))?;
    let runtime = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Also takes in what others left behind: orphans come to the first process.
    loop {
        let Some((ended, status)) = wait(WaitOptions::empty())? else { continue };
        if Some(ended) == runtime {
            let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| SIGNALED + signal));
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED));
        }
    }
}

/// What holds for this process and all that it starts from now on.
fn restrict(plan: &Plan) -> io::Result<Confinement> {
    if !plan.probe {
        plan.limits.apply(None)?;
    }
    set_no_new_privs(true)?;
    let files = files::confine(plan).map_err(io::Error::other)?;
    // Who is at the other end of connections is the node's matter.
    Ok(Confinement { files, namespaces: plan.namespaces, limits: true, peers: false })
}

fn say(confinement: Confinement) -> io::Result<u8> {
    serde_json::to_writer(io::stdout().lock(), &confinement)?;
    Ok(0)
}

fn become_runtime(plan: &Plan) -> io::Result<Infallible> {
    Err(named(plan, &command(plan).exec()))
}

fn command(plan: &Plan) -> Command {
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.arguments)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&plan.folder)
        .stdin(Stdio::null());
    command
}

fn named(plan: &Plan, error: &io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", plan.program.display()))
}
