//! The Python client library, and the conformance suite that asks the server through Python's official clients: both in
//! one virtual environment with pinned tools.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::context::SdkContext;
use crate::{paths, program};

/// The library's folder below `sdk/`.
const LIBRARY: &str = "python";
/// The conformance suite's folder, from `sdk/`.
const CONFORMANCE: &str = "../tests/conformance/python";
/// The virtual environment, in Realm's cache.
const ENVIRONMENT: &str = "sdk-python-venv";
/// Installs the pinned tools, then the library as its users get it.
const INSTALL: [&[&str]; 2] = [
    &["pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"],
    &[
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "--force-reinstall",
        ".",
    ],
];
/// Checks of any Python here, cheapest first.
const CHECKS: [&[&str]; 4] = [
    &["ruff", "check", "--quiet"],
    &["ruff", "format", "--check", "--quiet"],
    &["mypy"],
    &["pytest", "-q"],
];

/// Runs every check of the library and the conformance suite.
pub(crate) fn run(context: &SdkContext) -> Result<()> {
    let python = environment(&context.folder(LIBRARY))?;
    for step in INSTALL {
        module(context, &python, LIBRARY, step)?;
    }
    let interpreter = python.to_string_lossy();
    module(context, &python, LIBRARY, &["pyright", "--pythonpath", &interpreter])?;
    for folder in [LIBRARY, CONFORMANCE] {
        CHECKS.iter().try_for_each(|step| module(context, &python, folder, step))?;
    }
    Ok(())
}

/// Runs a Python module as a program in one of the folders.
fn module(context: &SdkContext, python: &Path, folder: &str, words: &[&str]) -> Result<()> {
    program::run(context.command(folder, &python.to_string_lossy()).arg("-m").args(words))
        .with_context(|| format!("check {}", context.folder(folder).display()))
}

/// The Python of the virtual environment, made first when it is not there.
fn environment(folder: &Path) -> Result<PathBuf> {
    let environment = paths::cache()?.join(ENVIRONMENT);
    let python = environment.join("bin/python");
    if !python.is_file() {
        program::run(program::command("python3", folder).args(["-m", "venv"]).arg(&environment))
            .context("make a virtual environment (needs Python 3.11 with venv)")?;
    }
    Ok(python)
}
