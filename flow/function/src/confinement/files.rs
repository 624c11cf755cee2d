//! Which files a process may reach, by Landlock: what is not named is not there for it.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

use super::{Extent, Plan};

/// The newest form of Landlock that is used; of an older kernel, what it has.
const LANDLOCK: ABI = ABI::V6;

/// Programs and libraries of the system, and what runtimes ask of it. No home, no secret of `/etc`, no device.
const SYSTEM: &[&str] = &[
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/opt",
    "/sbin",
    "/usr",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/mono",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/run/systemd/resolve",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Of a `/proc` that shows the whole machine, what says nothing of other processes. Of itself a process reads all.
const MACHINE: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys",
    "/proc/uptime",
    "/proc/version",
    "/proc/version_signature",
];

/// A `/proc` that shows only what the process itself has started.
const OWN: &[&str] = &["/proc"];

/// Devices that give or take bytes and keep nothing.
const DEVICES: &[&str] = &["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

/// Keeps this process, and all that it will start, to what the plan allows, as far as the kernel can.
pub(super) fn confine(plan: &Plan) -> Result<Extent, RulesetError> {
    let everything = AccessFs::from_all(LANDLOCK);
    let run = AccessFs::from_read(LANDLOCK);
    let system = SYSTEM.iter().chain(if plan.namespaces { OWN } else { MACHINE });
    let readable = system.map(PathBuf::from).chain(plan.readable.iter().cloned());
    let temporary: &Path = if plan.namespaces { Path::new("/tmp") } else { &plan.temporary };
    let status = Ruleset::default()
        .handle_access(everything)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(readable, run))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules([temporary], everything))?
        .restrict_self()?;
    Ok(extent(status.ruleset))
}

fn extent(status: RulesetStatus) -> Extent {
    match status {
        RulesetStatus::FullyEnforced => Extent::Whole,
        RulesetStatus::PartiallyEnforced => Extent::Part,
        RulesetStatus::NotEnforced => Extent::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confinement::Confinement;

    #[test]
    fn what_holds_in_part_is_not_all() {
        let told = |status| Confinement { files: extent(status), namespaces: true, limits: true, peers: true };
        assert!(told(RulesetStatus::FullyEnforced).whole());
        let part = told(RulesetStatus::PartiallyEnforced);
        assert!(!part.whole() && part.to_string().contains("in force in part"), "{part}");
        assert!(!told(RulesetStatus::NotEnforced).whole());
    }
}
