//! What the host must have before the node starts: root, and Debian's container programs. Installs the
//! packages where it may (root on Debian), otherwise names them and the line that installs them.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, Progress};

/// A program, or a file by its path, and the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("ipset", "ipset"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

/// Checks the host and installs what it lacks.
///
/// # Errors
/// Not root, or packages are missing and cannot be installed: names them and the line to run.
pub(crate) fn ensure(progress: &Progress) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the test cluster needs root (namespaces, mounts, cgroups); run it again with sudo");
    }
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let line = format!("apt-get update && apt-get install --yes --no-install-recommends {names}");
    if !Path::new("/etc/debian_version").is_file() {
        bail!("missing programs of the Debian packages {names}; on Debian run: {line}");
    }
    progress.say(format_args!("installing Debian packages: {names}"));
    install(&missing).with_context(|| format!("install missing packages; by hand: {line}"))
}

fn missing() -> Vec<&'static str> {
    let absent = |name: &str| {
        if name.starts_with('/') {
            !Path::new(name).is_file()
        } else {
            shell::find_program(name).is_none()
        }
    };
    NEEDED.iter().filter(|(name, _)| absent(name)).map(|(_, package)| *package).collect()
}

fn install(packages: &[&str]) -> Result<()> {
    shell::quiet(Command::new("apt-get").args(["--quiet", "update"]))?;
    shell::quiet(
        Command::new("apt-get")
            .args(["--quiet", "install", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
