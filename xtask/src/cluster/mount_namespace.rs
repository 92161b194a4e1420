//! The node's own view of the file system: its mounts are seen by nobody else and end with it, and the
//! few places that a kubelet and containerd insist on lie in our state instead of on the host.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    cluster::{files, layout, mounts},
    shell,
};

/// Fixed paths in Kubernetes' programs; each becomes a folder below `state/fixed`.
const FIXED: &[&str] = &["/var/lib/kubelet", "/var/lib/cni", "/var/log", "/run/containerd"];

/// Folders that were not there before, to be removed at the end.
const CREATED: &str = "created-folders.json";

/// Makes the namespace and fills it, where that is missing.
pub(crate) fn ensure() -> Result<()> {
    create_targets()?;
    let home = layout::run("namespaces");
    fs::create_dir_all(&home).with_context(|| format!("create {}", home.display()))?;
    if !mounts::is_mounted(&home)? {
        shell::quiet(Command::new("mount").arg("--bind").args([&home, &home]))?;
    }
    // The kernel refuses to keep a mount namespace in a mount that it would be copied to.
    shell::quiet(Command::new("mount").arg("--make-private").arg(&home))?;
    let file = layout::mount_namespace();
    if !mounts::is_mounted(&file)? {
        fs::write(&file, "").with_context(|| format!("create {}", file.display()))?;
        let option = format!("--mount={}", file.display());
        shell::quiet(Command::new("unshare").args([&option, "--propagation=private", "true"]))
            .context("make the node's mount namespace")?;
    }
    FIXED.iter().try_for_each(|target| replace(target))
}

/// Takes the namespace and the empty folders away, once its processes are gone.
pub(crate) fn remove() -> Result<()> {
    mounts::detach_at(&layout::mount_namespace())?;
    mounts::detach_at(&layout::run("namespaces"))?;
    let list = layout::state(CREATED);
    let Ok(bytes) = fs::read(&list) else { return Ok(()) };
    let created: Vec<PathBuf> =
        serde_json::from_slice(&bytes).with_context(|| format!("read {}", list.display()))?;
    for folder in created {
        // Not ours any more when somebody has put something there.
        drop(fs::remove_dir(folder));
    }
    Ok(())
}

/// Mounts a folder of our state over a fixed path, in the node's view only.
fn replace(target: &str) -> Result<()> {
    let source = layout::state("fixed").join(target.trim_start_matches('/').replace('/', "-"));
    fs::create_dir_all(&source).with_context(|| format!("create {}", source.display()))?;
    let script = "mountpoint -q \"$2\" || mount --bind \"$1\" \"$2\"";
    let mut command = Command::new("nsenter");
    command.arg(format!("--mount={}", layout::mount_namespace().display()));
    command.args(["sh", "-c", script, "sh"]).arg(&source).arg(target);
    shell::quiet(&mut command).with_context(|| format!("give the node its own {target}"))
}

fn create_targets() -> Result<()> {
    let list = layout::state(CREATED);
    let absent: Vec<&str> =
        FIXED.iter().copied().filter(|path| !Path::new(path).exists()).collect();
    if !list.exists() {
        files::write_json(&list, &absent.clone().into())?;
    }
    for path in absent {
        fs::create_dir_all(path).with_context(|| format!("create {path}"))?;
    }
    Ok(())
}
