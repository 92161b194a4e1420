//! The node's own network namespace, one virtual cable from the host to it, and the host's routes to
//! Services and pods. Every step may be run again after a crash at any point.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    cluster::{layout, mounts},
    shell,
};

/// Makes what is missing.
///
/// # Errors
/// A step fails, or another network of this host uses our addresses.
pub(crate) fn ensure() -> Result<()> {
    ensure_namespace()?;
    if !device_exists() {
        refuse_foreign_routes()?;
        let peer = layout::network_namespace();
        ip(
            &["link", "add", layout::HOST_DEVICE, "type", "veth", "peer", "name", "eth0", "netns"],
            Some(&peer),
        )?;
    }
    let end = |address: &str| format!("{address}/{}", layout::CABLE_PREFIX_BITS);
    ip(&["address", "replace", &end(layout::HOST_ADDRESS), "dev", layout::HOST_DEVICE], None)?;
    ip(&["link", "set", layout::HOST_DEVICE, "up"], None)?;
    ip_inside(&["link", "set", "lo", "up"])?;
    ip_inside(&["address", "replace", &end(layout::NODE_ADDRESS), "dev", "eth0"])?;
    ip_inside(&["link", "set", "eth0", "up"])?;
    ip_inside(&["route", "replace", "default", "via", layout::HOST_ADDRESS])?;
    for range in [layout::SERVICE_RANGE, layout::POD_RANGE] {
        ip(&["route", "replace", range, "via", layout::NODE_ADDRESS], None)?;
    }
    let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    shell::quiet(inside("sh").args(["-c", forward])).context("let the node forward packets")
}

/// A command that will run in the node's network. Not `ip netns exec`: that mounts a fresh `/sys`, which
/// hides the cgroups.
pub(crate) fn inside(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", layout::network_namespace().display())).arg(program.as_ref());
    command
}

/// Takes the cable, its routes and the namespace away.
pub(crate) fn remove() -> Result<()> {
    if device_exists() {
        ip(&["link", "delete", layout::HOST_DEVICE], None)?;
    }
    let file = layout::network_namespace();
    mounts::detach_at(&file)?;
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// A namespace lives as long as the file that it is mounted on.
fn ensure_namespace() -> Result<()> {
    let file = layout::network_namespace();
    if mounts::is_mounted(&file)? {
        return Ok(());
    }
    fs::write(&file, "").with_context(|| format!("create {}", file.display()))?;
    let option = format!("--net={}", file.display());
    shell::quiet(Command::new("unshare").arg(option).arg("true"))
        .context("make the node's network namespace")
}

fn device_exists() -> bool {
    Path::new("/sys/class/net").join(layout::HOST_DEVICE).exists()
}

/// Our ranges are fixed; a machine that routes them elsewhere must not lose its own.
fn refuse_foreign_routes() -> Result<()> {
    for range in [layout::SERVICE_RANGE, layout::POD_RANGE] {
        let found = shell::output(Command::new("ip").args(["route", "show", "root", range]))?;
        let foreign = found.lines().find(|line| !line.starts_with("default"));
        if let Some(route) = foreign {
            bail!(
                "the test cluster needs {range}, but this host already routes it: {}",
                route.trim()
            );
        }
    }
    Ok(())
}

fn ip(arguments: &[&str], last: Option<&Path>) -> Result<()> {
    shell::quiet(Command::new("ip").args(arguments).args(last))
}

fn ip_inside(arguments: &[&str]) -> Result<()> {
    shell::quiet(inside("ip").args(arguments))
}
