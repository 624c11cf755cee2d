//! Namespaces of a process's own: it is somebody without rights, sees only the processes that it started, has its own
//! `/tmp`, and does not find the node's data folder.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, mount_remount, move_mount,
    open_tree,
};
use rustix::process::{getgid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, configure_capability_in_ambient_set,
    set_capabilities,
};

use super::Plan;

/// Who a process of a node that runs as root is: anybody but root, so that it loses all rights when its program starts.
const NOBODY_IN_PARTICULAR: u32 = 1_000;

const TMP: &str = "/tmp";

/// Moves this process into namespaces of its own; what it starts from now on is in a process namespace too. Only while
/// there is one thread.
pub(super) fn enter(plan: &Plan) -> io::Result<()> {
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", map(user))?;
    fs::write("/proc/self/gid_map", map(group))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    hide(plan)?;
    // The init is another program run by somebody who is not root: without this it would have lost the right to settle.
    let own = capabilities(None)?;
    let passed = own.inheritable | CapabilitySet::SYS_ADMIN;
    set_capabilities(None, CapabilitySets { inheritable: passed, ..own })?;
    configure_capability_in_ambient_set(CapabilitySet::SYS_ADMIN, true)?;
    Ok(())
}

/// One identity, the caller's own.
fn map(outside: u32) -> String {
    let inside = if outside == 0 { NOBODY_IN_PARTICULAR } else { outside };
    format!("{inside} {outside} 1")
}

/// Puts the process's own folder on `/tmp` and nothing in place of what is hidden, then brings back what of it must
/// be seen.
fn hide(plan: &Plan) -> io::Result<()> {
    let tmp = Path::new(TMP);
    let hidden: Vec<&Path> = plan.hidden.iter().map(PathBuf::as_path).chain([tmp]).collect();
    let seen = plan.readable.iter().filter(|path| hidden.iter().any(|folder| path.starts_with(folder)));
    let mut kept: Vec<(&PathBuf, OwnedFd)> = Vec::new();
    for path in seen {
        // What is not there cannot be kept: a library folder that was named and is missing.
        if path.exists() {
            kept.push((path, copy(path)?));
        }
    }
    let own = copy(&plan.temporary)?;
    for folder in plan.hidden.iter().filter(|folder| !folder.starts_with(tmp)) {
        mount("none", folder, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"size=1m,mode=0755")?;
    }
    attach(&own, tmp)?;
    for (path, tree) in kept {
        make_place(path, &tree)?;
        attach(&tree, path)?;
        make_read_only(path)?;
    }
    Ok(())
}

/// Takes the right to write from a mount: below `/tmp`, where all else may be written, too.
fn make_read_only(path: &Path) -> io::Result<()> {
    // A mount in a user namespace may be changed only if it keeps what it already had.
    let had = rustix::fs::statvfs(path)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ];
    let kept = kept.into_iter().filter(|(flag, _)| had.contains(*flag)).map(|(_, flag)| flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, flag| all | flag);
    Ok(mount_remount(path, flags, "")?)
}

/// A mount of what lies at a path, not yet attached anywhere.
fn copy(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, flags)?)
}

fn attach(tree: &OwnedFd, path: &Path) -> io::Result<()> {
    Ok(move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Something to mount on: a folder for a folder, a file for a file.
fn make_place(path: &Path, tree: &OwnedFd) -> io::Result<()> {
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode);
    if kind == rustix::fs::FileType::Directory {
        return fs::create_dir_all(path);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
}

/// What only the first process of the new process namespace can do: a `/proc` that shows no other, and how many there
/// may be.
pub(super) fn settle(tasks: u64) -> io::Result<()> {
    mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?;
    // Kernels before 6.14 know this number only for the whole machine and refuse it: there the node counts.
    let _ = fs::write("/proc/sys/kernel/pid_max", tasks.to_string());
    // Shared memory of System V belongs to no process and no limit: there is none. Older kernels ask for more rights.
    let _ = fs::write("/proc/sys/kernel/shmmni", "0");
    // What is started from here on has no rights.
    clear_ambient_capability_set()?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}
