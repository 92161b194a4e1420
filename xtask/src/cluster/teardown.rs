//! Takes the whole cluster away: processes, mounts, network, control groups, kernel settings, files. Works
//! on what it finds, not on what a start remembers, so that it also clears up after a crash; touches
//! only what lies in our network namespace, our control groups and below our folders.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use crate::{
    cluster::{cgroups, kernel_settings, layout, mounts, network, processes},
    shell::{self, Progress},
};

/// Control groups empty themselves after the last kill; new processes of a dying pod appear meanwhile.
const QUIET_LIMIT: Duration = Duration::from_secs(30);

/// Removes everything.
pub(crate) fn run(progress: &Progress) -> Result<()> {
    for name in ["kubelet", "kube-proxy", "kube-controller-manager", "kube-scheduler"] {
        processes::stop(name)?;
    }
    let sockets = shim_sockets();
    kill_pods()?;
    processes::stop("containerd")?;
    kill_rest()?;
    progress.say("processes have ended");
    for folder in [layout::STATE, layout::RUN] {
        mounts::detach_below(Path::new(folder))?;
    }
    network::remove()?;
    cgroups::remove()?;
    kernel_settings::restore()?;
    sockets.iter().for_each(|socket| drop(fs::remove_file(socket)));
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

/// Sockets of containerd's shims lie outside our folders, in a place that all containerds share; each
/// shim wrote its own socket's path down.
fn shim_sockets() -> Vec<PathBuf> {
    let bundles = WalkDir::new(layout::run("containerd")).max_depth(4).into_iter();
    let files =
        bundles.filter_map(Result::ok).filter(|entry| entry.file_name() == "bootstrap.json");
    files.filter_map(|entry| socket_of(entry.path())).collect()
}

fn socket_of(bootstrap: &Path) -> Option<PathBuf> {
    let values: serde_json::Value = serde_json::from_slice(&fs::read(bootstrap).ok()?).ok()?;
    let address = values.get("address")?.as_str()?.strip_prefix("unix://")?;
    address.starts_with("/run/containerd/s/").then(|| address.into())
}

fn remove_folder(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))
}
