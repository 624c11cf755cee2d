//! What a tree of processes takes, from `/proc`: memory, processes and threads; and what lies in a folder.

use std::fs;
use std::path::Path;

use rustix::param::page_size;

/// What a tree takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Memory that is really there, of all processes together; what they share counts for each.
    pub(crate) resident_bytes: u64,
    /// Processes and threads.
    pub(crate) tasks: usize,
}

/// Looks at all descendants of a process from a level on: 0 is itself. Stops counting once there are more than
/// `tasks_max`.
pub(crate) fn of_tree(root: i32, level: usize, tasks_max: usize) -> Usage {
    let mut usage = Usage::default();
    let mut left = vec![(root, 0)];
    while let Some((process, depth)) = left.pop() {
        let tasks = tasks(process);
        if depth >= level {
            usage.tasks += tasks.len();
            usage.resident_bytes += resident_bytes(process).unwrap_or(0);
        }
        if usage.tasks > tasks_max {
            break;
        }
        for task in tasks {
            left.extend(children(process, task).into_iter().map(|child| (child, depth + 1)));
        }
    }
    usage
}

/// The process at a level below another: the first child of the first child and so on.
pub(crate) fn descendant(root: i32, level: usize) -> Option<i32> {
    (0..level).try_fold(root, |process, _| children(process, process).first().copied())
}

/// The largest resident size that a process has had, bytes.
pub(crate) fn peak_bytes(process: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn resident_bytes(process: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    statm.split_whitespace().nth(1)?.parse::<u64>().ok().map(|pages| pages * page_size() as u64)
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
    use std::os::unix::fs::MetadataExt as _;
    let (mut bytes, mut files) = (0u64, 0usize);
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            files += 1;
            // Blocks, not length: a file with holes takes no disk.
            bytes += metadata.blocks() * 512;
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
        assert!(whole.resident_bytes > below.resident_bytes);
        assert!(peak_bytes(root).unwrap() > 0);
        let sleeper = descendant(root, 1).and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
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
