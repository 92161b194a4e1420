//! The cluster's own kubectl with the administrator's kubeconfig.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{cluster::layout, shell};

/// A kubectl call, to be given its arguments.
pub(crate) fn command() -> Command {
    let mut command = Command::new(layout::program("kubectl"));
    command
        .env("KUBECONFIG", layout::kubeconfig())
        .arg("--cache-dir")
        .arg(layout::state("kubectl-cache"));
    command
}

/// Runs kubectl and gives what it prints.
pub(crate) fn output(arguments: &[&str]) -> Result<String> {
    shell::output(command().args(arguments))
}

/// Whether kubectl ends well.
pub(crate) fn succeeds(arguments: &[&str]) -> bool {
    shell::succeeds(command().args(arguments))
}

/// Server-side apply of a file; CRDs larger than an annotation pass too.
pub(crate) fn apply_file(file: &Path) -> Result<()> {
    shell::quiet(command().args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(file))
}

/// Server-side apply of a text.
pub(crate) fn apply_text(text: &str) -> Result<()> {
    let mut child = command()
        .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start kubectl apply")?;
    let mut input = child.stdin.take().context("kubectl has no standard input")?;
    // A kubectl that ends early says why on standard error, which tells more than a broken pipe.
    let _ = input.write_all(text.as_bytes());
    drop(input);
    let done = child.wait_with_output().context("wait for kubectl apply")?;
    if !done.status.success() {
        bail!("kubectl apply failed:\n{}", shell::tail(&String::from_utf8_lossy(&done.stderr)));
    }
    Ok(())
}
