//! How much memory this process may take.
//!
//! Owns the reading of what Linux says: the machine's memory, and the limits of control groups of
//! both versions. Whatever cannot be read sets no limit.

use std::fs;
use std::path::{Path, PathBuf};

/// The least of what the machine and the control groups of this process give, in bytes; none if
/// nobody says.
pub(super) fn given() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| machine_has(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = files(&groups, Path::new("/sys/fs/cgroup"));
    let limits = limits
        .into_iter()
        .filter_map(|file| limit(&fs::read_to_string(file).ok()?));
    machine.into_iter().chain(limits).min()
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn machine_has(text: &str) -> Option<usize> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The files in which limits of these groups may stand: each group's own, and those of the groups
/// around it. In a container its own group is often shown as the root of all.
fn files(groups: &str, root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|it| it == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| root.join(group).join(file)));
    }
    files
}

/// What such a file says; `max` is no limit, and version 1 writes one that no machine can have.
fn limit(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_both_versions_of_control_groups_are_read() {
        let text = "MemFree:  5 kB\nMemTotal:       16777216 kB\nSwapTotal: 1 kB\n";
        assert_eq!(machine_has(text), Some(16 << 30));
        assert_eq!(machine_has("MemTotal: much\n"), None);
        assert_eq!(limit("536870912\n"), Some(512 << 20));
        assert_eq!(limit("max\n"), None);
        let groups = "12:cpu,memory:/a/b\n3:pids:/a\n0::/c.slice\nnonsense\n";
        let shown: Vec<_> = files(groups, Path::new("/g"))
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        assert_eq!(
            shown,
            [
                "/g/memory/a/b/memory.limit_in_bytes",
                "/g/memory/a/memory.limit_in_bytes",
                "/g/memory/memory.limit_in_bytes",
                "/g/c.slice/memory.max",
                "/g/memory.max",
            ]
        );
    }

    #[test]
    fn this_machine_says_how_much_it_has() {
        assert!(given().is_some_and(|bytes| bytes > 1 << 20));
    }
}
