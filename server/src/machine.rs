//! What this machine has, as far as defaults depend on it.

use std::fs;
use std::thread;

/// Memory of one process of a function for the default number, KiB: what a function may take unless it asks for more.
const PROCESS_KIB: u64 = 128 << 10;

/// Processes a core: functions mostly wait for others.
const PROCESSES_PER_CORE: u64 = 32;

/// The least and the most by default: the most is what an account of the service begins with.
const PROCESSES: (u64, u64) = (4, 1_000);

/// How many processes of functions there may be at once unless it is said. Reads the disk.
pub fn function_processes() -> usize {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let number = processes_for(cores, memory_kib());
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn processes_for(cores: u64, memory_kib: Option<u64>) -> u64 {
    let by_memory = memory_kib.map_or(PROCESSES.1, |kib| kib / PROCESS_KIB);
    by_memory.min(cores * PROCESSES_PER_CORE).clamp(PROCESSES.0, PROCESSES.1)
}

/// The machine's memory, or less where the node's control group may take less; `None` where the system does not say.
fn memory_kib() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_kib(&text));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    machine.into_iter().chain(group.map(|bytes| bytes >> 10)).min()
}

/// The total of `/proc/meminfo`.
fn total_kib(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_cores_bound_the_default() {
        for (cores, mib, expected) in [
            (2, Some(8 << 10), 64),
            (2, Some(4 << 10), 32),
            (1, Some(64), 4),
            (64, Some(1 << 20), 1_000),
            (2, None, 64),
        ] {
            assert_eq!(processes_for(cores, mib.map(|mib| mib << 10)), expected, "{cores} cores, {mib:?} MiB");
        }
        assert_eq!(total_kib("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16_384));
    }
}
