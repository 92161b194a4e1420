//! Takes the whole cluster away: processes, mounts, network, control groups, kernel settings, files. Works
//! on what it finds, not on what a start remembers, so that it also clears up after a crash; touches
//! only what lies in our network namespace, our control groups and below our folders.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    cluster::{cgroups, kernel_settings, layout, mount_namespace, mounts, network, processes},
    shell::{self, Progress},
};

/// Control groups empty themselves after the last kill; new processes of a dying pod appear meanwhile.
const QUIET_LIMIT: Duration = Duration::from_secs(30);

/// Removes everything.
pub(crate) fn run(progress: &Progress) -> Result<()> {
    for name in ["kubelet", "kube-proxy", "kube-controller-manager", "kube-scheduler"] {
        processes::stop(name)?;
    }
    kill_pods()?;
    processes::stop("containerd")?;
    kill_rest()?;
    progress.say("processes have ended");
    mount_namespace::remove()?;
    network::remove()?;
    for folder in [layout::STATE, layout::RUN] {
        mounts::detach_below(Path::new(folder))?;
    }
    cgroups::remove()?;
    kernel_settings::restore()?;
    for folder in [layout::RUN, layout::STATE] {
        remove_folder(Path::new(folder))?;
    }
    progress.say("nothing is left");
    Ok(())
}

/// Pods fork while they are killed: repeat until their groups stay empty.
fn kill_pods() -> Result<()> {
    shell::await_condition("the end of all pods", QUIET_LIMIT, || {
        let found = cgroups::processes()?;
        processes::kill_all(&found)?;
        Ok(found.is_empty().then_some(()))
    })
}

/// etcd, the API server, shims, and whatever a crash left.
fn kill_rest() -> Result<()> {
    shell::await_condition("the end of the node's processes", QUIET_LIMIT, || {
        let found = processes::in_node_network()?;
        processes::kill_all(&found)?;
        Ok(found.is_empty().then_some(()))
    })
}

/// A folder that is a mount of somebody else's stays, empty.
fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    if !mounts::is_mounted(folder)? {
        return fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()));
    }
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}
