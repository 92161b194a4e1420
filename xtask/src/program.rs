//! Commands in the repository whose output the developer watches: builds, tests, package installs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Arguments of a build that shares its dependencies with `cargo test --workspace --exclude realm-tests`.
pub(crate) const BUILD_AS_TESTS: [&str; 5] =
    ["build", "--quiet", "--workspace", "--exclude", "realm-tests"];

/// `cargo` of the toolchain that runs xtask, in `folder`.
pub(crate) fn cargo(folder: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command(&cargo, folder)
}

/// A command in `folder` with no standard input.
pub(crate) fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs with output shown; a non-zero exit is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ");
    let status = command.status().with_context(|| format!("start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}
