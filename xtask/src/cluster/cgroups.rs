//! The control groups that hold the pods, apart from the host's: one folder per hierarchy of version 1,
//! or one in the unified hierarchy of version 2.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use crate::{
    cluster::{layout, mounts},
    shell,
};

/// Controllers that the kubelet needs of a unified hierarchy.
const CONTROLLERS: &[&str] = &["cpu", "cpuset", "memory", "pids", "io", "hugetlb"];
/// Killed processes leave their group within this time.
const EMPTY_LIMIT: Duration = Duration::from_secs(20);

/// Makes our group in every hierarchy.
pub(crate) fn ensure() -> Result<()> {
    for mount in hierarchies()? {
        let group = mount.path.join(layout::CGROUP);
        if mount.kind == "cgroup2" {
            delegate(&mount.path)?;
        }
        fs::create_dir_all(&group).with_context(|| format!("create {}", group.display()))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            inherit(&mount, &group, file)?;
        }
    }
    Ok(())
}

/// Processes in our groups: every one belongs to a pod of this cluster.
pub(crate) fn processes() -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for group in groups()? {
        let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Removes our groups, deepest first, once their last process is gone.
pub(crate) fn remove() -> Result<()> {
    shell::await_condition("the removal of the pods' control groups", EMPTY_LIMIT, || {
        let groups = groups()?;
        let left = groups.iter().filter(|group| fs::remove_dir(group).is_err()).count();
        Ok((left == 0).then_some(()))
    })
}

fn hierarchies() -> Result<Vec<mounts::Mount>> {
    let mut all = mounts::all()?;
    all.retain(|mount| mount.kind == "cgroup" || mount.kind == "cgroup2");
    all.retain(|mount| mount.path.starts_with("/sys/fs/cgroup"));
    Ok(all)
}

/// Our groups and all below them, children before parents.
fn groups() -> Result<Vec<PathBuf>> {
    let tops = hierarchies()?.into_iter().map(|mount| mount.path.join(layout::CGROUP));
    let walk = |top| WalkDir::new(top).contents_first(true).into_iter().filter_map(Result::ok);
    Ok(tops
        .flat_map(walk)
        .filter(|e| e.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .collect())
}

/// Hands the controllers that a unified root has down to its children.
fn delegate(root: &Path) -> Result<()> {
    let offered = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    let file = root.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&file).unwrap_or_default();
    let has = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    for name in CONTROLLERS.iter().filter(|name| has(&offered, name) && !has(&enabled, name)) {
        fs::write(&file, format!("+{name}")).with_context(|| {
            format!(
                "enable the {name} controller in {}; in a container, start it with its own cgroup \
                 namespace and no process in the root group",
                file.display()
            )
        })?;
    }
    Ok(())
}

/// A version 1 cpuset starts empty and takes no process until it is filled.
fn inherit(mount: &mounts::Mount, group: &Path, file: &str) -> Result<()> {
    let (from, to) = (mount.path.join(file), group.join(file));
    if mount.kind != "cgroup" || !to.is_file() {
        return Ok(());
    }
    let value = fs::read_to_string(&from).with_context(|| format!("read {}", from.display()))?;
    fs::write(&to, value).with_context(|| format!("write {}", to.display()))
}
