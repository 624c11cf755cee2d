//! What a tree of processes takes, from `/proc`: memory, processes and threads, files that no folder shows; and what lies in a
//! folder.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, statfs};
use rustix::param::page_size;

/// The file system of files that are memory: `memfd_create` and shared memory.
const TMPFS: FsWord = 0x0102_1994;

/// Bytes of a block as `stat` counts them.
const BLOCK_BYTES: u64 = 512;

/// What a tree takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Memory that is really there, of all processes together; what they share counts for each.
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) tasks: usize,
}

/// Looks at all descendants of a process from a level on: 0 is itself. Stops counting once there are more than
/// `tasks_max`.
pub(crate) fn of_tree(root: i32, level: usize, tasks_max: usize) -> Usage {
    let mut usage = Usage::default();
    walk(root, |process, depth, tasks| {
        if depth >= level {
            usage.tasks += tasks.len();
            usage.memory_bytes += resident_bytes(process).unwrap_or(0);
        }
        usage.tasks <= tasks_max
    });
    usage
}

/// Open files that no folder shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unlinked {
    /// Those that are memory, as far as it is in no process's own: bytes.
    pub(crate) memory_bytes: u64,
    /// Those on a disk, bytes.
    pub(crate) disk_bytes: u64,
}

/// Looks at what a tree holds open and has no name any more, or never had one; each file counts once. `of_threads`: also at
/// what threads have open for themselves, which is seldom anything and takes as much longer as there are threads.
pub(crate) fn unlinked(root: i32, of_threads: bool) -> Unlinked {
    let (mut seen, mut found, mut mapped) = (HashSet::new(), Unlinked::default(), 0);
    walk(root, |process, _, tasks| {
        mapped += status_bytes(process, "RssShmem:").unwrap_or(0);
        let leader = [process];
        for file in files_of(process, if of_threads { tasks } else { &leader }) {
            let Ok(metadata) = fs::metadata(&file) else { continue };
            let bytes = metadata.blocks() * BLOCK_BYTES;
            if metadata.nlink() > 0 || bytes == 0 || !seen.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            match statfs(&file) {
                Ok(system) if system.f_type == TMPFS => found.memory_bytes += bytes,
                _ => found.disk_bytes += bytes,
            }
        }
        true
    });
    // What of it is mapped is counted as the memory of those who map it.
    found.memory_bytes = found.memory_bytes.saturating_sub(mapped);
    found
}

/// All processes that descend from one.
pub(crate) fn descendants(root: i32) -> Vec<i32> {
    let mut found = Vec::new();
    walk(root, |process, depth, _| {
        if depth > 0 {
            found.push(process);
        }
        true
    });
    found
}

/// The open files of a process, as places in `/proc`. Threads may have files of their own.
pub(crate) fn open_files(process: i32) -> Vec<PathBuf> {
    files_of(process, &tasks(process)).collect()
}

fn files_of(process: i32, tasks: &[i32]) -> impl Iterator<Item = PathBuf> {
    let folders = tasks.iter().map(move |task| fs::read_dir(format!("/proc/{process}/task/{task}/fd")));
    folders.flatten().flatten().flatten().map(|entry| entry.path())
}

/// Shows a process and all that descend from it, each with its depth and its threads, until that is enough.
fn walk(root: i32, mut go_on: impl FnMut(i32, usize, &[i32]) -> bool) {
    let family = Family::now();
    let mut left = vec![(root, 0)];
    while let Some((process, depth)) = left.pop() {
        let tasks = tasks(process);
        if !go_on(process, depth, &tasks) {
            return;
        }
        left.extend(family.children(process, &tasks).into_iter().map(|child| (child, depth + 1)));
    }
}

/// Who started whom.
enum Family {
    /// The kernel tells the children of each thread.
    Told,
    /// It does not (it is built without `PROC_CHILDREN`): all processes with their parents.
    Parents(Vec<(i32, i32)>),
}

impl Family {
    fn now() -> Self {
        if Path::new("/proc/thread-self/children").exists() { Self::Told } else { Self::Parents(parents()) }
    }

    fn children(&self, process: i32, tasks: &[i32]) -> Vec<i32> {
        match self {
            Self::Told => tasks.iter().flat_map(|task| children(process, *task)).collect(),
            Self::Parents(all) => {
                all.iter().filter(|(_, parent)| *parent == process).map(|(child, _)| *child).collect()
            }
        }
    }
}

/// All processes of the machine, each with its parent.
fn parents() -> Vec<(i32, i32)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent = |process: i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name stands in brackets and may hold anything; behind it come the state and the parent.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((process, parent))
    };
    processes.filter_map(parent).collect()
}

/// The process at a level below another: the first child of the first child and so on.
pub(crate) fn descendant(root: i32, level: usize) -> Option<i32> {
    let family = Family::now();
    (0..level).try_fold(root, |process, _| family.children(process, &[process]).first().copied())
}

/// The largest resident size that a process has had, bytes.
pub(crate) fn peak_bytes(process: i32) -> Option<u64> {
    status_bytes(process, "VmHWM:")
}

fn resident_bytes(process: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * page_size() as u64)
}

/// A size of `/proc/PROCESS/status`, bytes.
fn status_bytes(process: i32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix(field))?;
    size.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn tasks(process: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children(process: i32, task: i32) -> Vec<i32> {
    let found = fs::read_to_string(format!("/proc/{process}/task/{task}/children")).unwrap_or_default();
    found.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Whether a folder holds more than so many bytes, or so many files that nobody can count them.
pub(crate) fn is_over(folder: &Path, bytes_max: u64, files_max: usize) -> bool {
    let (mut bytes, mut files) = (0u64, 0usize);
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            files += 1;
            // Blocks, not length: a file with holes takes no disk.
            bytes += metadata.blocks() * BLOCK_BYTES;
            if metadata.is_dir() {
                left.push(entry.path());
            }
            if bytes > bytes_max || files > files_max {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_is_counted_from_a_level_on() {
        let mut child = Command::new("sh").args(["-c", "sleep 60 & read line"]).stdin(Stdio::piped()).spawn().unwrap();
        let root = i32::try_from(child.id()).unwrap();
        while descendant(root, 1).is_none() {
            std::thread::yield_now();
        }
        let (whole, below) = (of_tree(root, 0, 100), of_tree(root, 1, 100));
        assert_eq!((whole.tasks, below.tasks), (2, 1));
        assert!(whole.memory_bytes > below.memory_bytes);
        assert!(peak_bytes(root).unwrap() > 0);
        let sleeper = descendant(root, 1).and_then(rustix::process::Pid::from_raw).unwrap();
        let sleeping = sleeper.as_raw_nonzero().get();
        assert_eq!(descendants(root), [sleeping]);
        assert_eq!(Family::Parents(parents()).children(root, &[]), [sleeping], "without the kernel's help");
        rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn open_files_without_a_name_count_once() {
        let code = "import os, sys\n\
                    fd = os.memfd_create('x'); os.dup(fd); os.write(fd, bytes(1 << 20))\n\
                    path = sys.argv[1] + '/gone'; file = open(path, 'wb'); file.write(bytes(2 << 20)); file.flush()\n\
                    os.fsync(file.fileno()); os.unlink(path)\n\
                    print('ready', flush=True); input()\n";
        // Beside the sources: what the system gives as temporary may itself be memory.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut child = Command::new("python3")
            .args(["-c", code])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let root = i32::try_from(child.id()).unwrap();
        let (found, of_leader) = (unlinked(root, true), unlinked(root, false));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(line, "ready\n");
        assert!((1 << 19..=1 << 20).contains(&found.memory_bytes), "{found:?}");
        assert!(found.disk_bytes >= 2 << 20, "{found:?}");
        assert_eq!(of_leader, found, "threads share their files");
    }

    #[test]
    fn folders_are_measured() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), vec![1; 100_000]).unwrap();
        assert!(is_over(folder.path(), 50_000, 10));
        assert!(is_over(folder.path(), 1_000_000, 1));
        assert!(!is_over(folder.path(), 1_000_000, 10));
    }
}
