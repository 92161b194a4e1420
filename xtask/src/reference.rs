//! Reference data from independent implementations: a virtual environment with pinned packages, and the scripts that
//! make the golden files again and compare them with what is committed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{paths, program};

/// Pinned packages of the reference tools that install as wheels everywhere.
const REQUIREMENTS: &str = "engine/reference/requirements.txt";
/// Scripts that take `--check` and fail when a committed golden file differs from what they would write.
const CHECKED_SCRIPTS: [&str; 1] = ["engine/reference/quant_golden.py"];

/// Makes the golden files that need no compiler anew and compares.
pub(crate) fn check(root: &Path) -> Result<()> {
    let python = environment(root)?;
    for script in CHECKED_SCRIPTS {
        program::run(program::command(&python, root).arg(script).arg("--check"))
            .with_context(|| format!("compare golden files with {script}"))?;
    }
    Ok(())
}

/// The Python of a virtual environment that holds the pinned packages.
fn environment(root: &Path) -> Result<PathBuf> {
    let folder = paths::target(root).join("reference-venv");
    let python = folder.join("bin/python");
    if !python.is_file() {
        program::run(program::command("python3", root).args(["-m", "venv"]).arg(&folder))
            .context("make a virtual environment (needs Python 3.11 with venv)")?;
    }
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS];
    program::run(program::command(&python, root).args(install))
        .context("install the reference packages")?;
    Ok(python)
}
