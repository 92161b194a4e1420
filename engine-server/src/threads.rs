//! How many threads compute: the CPU limit of the container, or what the machine has.
//!
//! Reads cgroup v2 and v1 files below a given root, so that it can be tested with sample files. A fraction of a CPU is
//! rounded down: a thread beyond the quota makes every step wait until the kernel lets it run again.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

/// Where the system's files are.
pub const SYSTEM_ROOT: &str = "/";
/// The file that says in which control groups the process is.
const MEMBERSHIP: &str = "proc/self/cgroup";
/// Where control groups are mounted.
const MOUNT: &str = "sys/fs/cgroup";

/// Threads that use the CPUs of this process fully, without going over its limit.
pub fn default_threads() -> NonZeroUsize {
    threads_under(Path::new(SYSTEM_ROOT))
}

/// The same, with the files of control groups below `root`.
pub fn threads_under(root: &Path) -> NonZeroUsize {
    let machine = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    quota(root).map_or(machine, |quota| quota.min(machine))
}

/// The CPU limit of the control groups that the process is in, whole CPUs, at least one; `None` without a limit.
pub fn quota(root: &Path) -> Option<NonZeroUsize> {
    let membership = fs::read_to_string(root.join(MEMBERSHIP)).ok()?;
    membership.lines().filter_map(|line| group_quota(root, line)).min()
}

/// The limit of one line `id:controllers:/path` of the membership file.
fn group_quota(root: &Path, line: &str) -> Option<NonZeroUsize> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let mount = root.join(MOUNT);
    if controllers.is_empty() {
        return smallest(&mount, path, read_v2);
    }
    if !controllers.split(',').any(|controller| controller == "cpu") {
        return None;
    }
    [controllers, "cpu"].iter().find_map(|folder| smallest(&mount.join(folder), path, read_v1))
}

/// The smallest limit on the way from the group up to the mount: a child cannot use more than its parents allow.
/// Inside a container the mount often is the group itself, so a path that does not exist there is skipped.
fn smallest(
    mount: &Path,
    path: &str,
    read: fn(&Path) -> Option<NonZeroUsize>,
) -> Option<NonZeroUsize> {
    let relative: PathBuf = Path::new(path).components().skip(1).collect();
    relative.ancestors().filter_map(|folder| read(&mount.join(folder))).min()
}

/// `cpu.max`: "quota period" in microseconds, or "max period".
fn read_v2(folder: &Path) -> Option<NonZeroUsize> {
    let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    whole_cpus(quota, period)
}

/// `cpu.cfs_quota_us` (-1: no limit) and `cpu.cfs_period_us`.
fn read_v1(folder: &Path) -> Option<NonZeroUsize> {
    let read = |name| fs::read_to_string(folder.join(name)).ok();
    whole_cpus(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())
}

fn whole_cpus(quota: &str, period: &str) -> Option<NonZeroUsize> {
    let (quota, period): (usize, usize) = (quota.parse().ok()?, period.parse().ok()?);
    NonZeroUsize::new(quota.checked_div(period)?.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `files` below a new root and reads the quota there.
    fn quota_of(files: &[(&str, &str)]) -> Option<usize> {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        quota(root.path()).map(NonZeroUsize::get)
    }

    #[test]
    fn version_2() {
        let at = |group, quota| {
            quota_of(&[("proc/self/cgroup", group), ("sys/fs/cgroup/cpu.max", quota)])
        };
        assert_eq!(at("0::/\n", "200000 100000\n"), Some(2));
        assert_eq!(at("0::/\n", "max 100000\n"), None);
        assert_eq!(at("0::/\n", "150000 100000\n"), Some(1), "a fraction is rounded down");
        assert_eq!(at("0::/\n", "5000 100000\n"), Some(1), "but one thread is needed");
        assert_eq!(at("0::/kubepods/pod1\n", "300000 100000\n"), Some(3), "the mount is the group");
        for broken in ["", "1", "a b", "1 0", "-1 100000"] {
            assert_eq!(at("0::/\n", broken), None, "{broken:?}");
        }
    }

    #[test]
    fn version_2_takes_the_smallest_limit_on_the_way_up() {
        let files = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/cpu.max", "800000 100000\n"),
        ];
        assert_eq!(quota_of(&files), Some(4));
    }

    #[test]
    fn version_1() {
        for folder in ["cpu,cpuacct", "cpu"] {
            let path = format!("sys/fs/cgroup/{folder}/docker/x");
            let (quota, period) =
                (format!("{path}/cpu.cfs_quota_us"), format!("{path}/cpu.cfs_period_us"));
            let group = ("proc/self/cgroup", "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n");
            assert_eq!(
                quota_of(&[group, (&quota, "250000\n"), (&period, "50000\n")]),
                Some(5),
                "{folder}"
            );
            assert_eq!(quota_of(&[group, (&quota, "-1\n"), (&period, "100000\n")]), None);
        }
    }

    #[test]
    fn without_control_groups_there_is_no_limit() {
        assert_eq!(quota_of(&[]), None);
        assert_eq!(quota_of(&[("proc/self/cgroup", "nonsense\n\n::\n")]), None);
        assert!(default_threads().get() >= 1);
    }
}
