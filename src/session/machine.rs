//! How much memory a job may take where nobody has said so: a share of what the container or the machine has.

use std::path::{Path, PathBuf};

use crate::storage::Store;

/// Hundredths of it that a job may hold in rows and state; the rest is for the code, for what is not counted, and for
/// everybody else.
const SHARE_PERCENT: u64 = 70;
/// What a control group without a limit says, rounded to pages, begins here.
const NO_LIMIT: u64 = 1 << 60;

/// The default of `beadline.memory.limit` in bytes; `None` where the machine does not say what it has.
pub(super) fn default_memory_limit(store: &dyn Store) -> Option<u64> {
    let groups = read(store, Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(group_files).filter_map(|file| number(store, &file));
    limits.chain(total_memory(store)).min().map(|bytes| bytes / 100 * SHARE_PERCENT)
}

/// The files that may limit one of the process's control groups, its own and those above it: version 2 says
/// `0::/a/b`, version 1 `4:memory:/a/b`.
fn group_files(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    // Within a container the group may be named as the host sees it: then only the root is there.
    Path::new(group.trim_start_matches('/')).ancestors().map(|above| Path::new(root).join(above).join(file)).collect()
}

fn number(store: &dyn Store, file: &Path) -> Option<u64> {
    read(store, file)?.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT)
}

/// `MemTotal:       16303016 kB`.
fn total_memory(store: &dyn Store) -> Option<u64> {
    let text = read(store, Path::new("/proc/meminfo"))?;
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn read(store: &dyn Store, file: &Path) -> Option<String> {
    String::from_utf8(store.read_all(file).ok()?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FakeStore;

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        let store = FakeStore::new();
        for (path, content) in files {
            store.put_if_absent(Path::new(path), content.as_bytes()).unwrap();
        }
        default_memory_limit(&store)
    }

    #[test]
    fn the_tightest_of_machine_and_control_groups_counts() {
        let machine = ("/proc/meminfo", "MemFree: 1 kB\nMemTotal:       1000 kB\n");
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[machine]), Some(1_024_000 / 100 * 70));
        let two = ("/proc/self/cgroup", "0::/user/job\n");
        assert_eq!(limit(&[machine, two, ("/sys/fs/cgroup/user/memory.max", "5000\n")]), Some(3500));
        assert_eq!(limit(&[machine, two, ("/sys/fs/cgroup/memory.max", "max\n")]), Some(1_024_000 / 100 * 70));
        let one = ("/proc/self/cgroup", "7:cpu,cpuacct:/x\n4:memory:/docker/1\n");
        assert_eq!(limit(&[one, ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n")]), Some(1400));
        let unlimited = ("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(&[one, unlimited]), None);
    }
}
