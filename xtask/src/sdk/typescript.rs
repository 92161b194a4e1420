//! The TypeScript client library: its npm scripts are the checks, so that they run without cargo too.

use anyhow::{Result, bail};

use super::context::SdkContext;
use crate::{program, shell};

/// The library's folder below `sdk/`.
const FOLDER: &str = "typescript";
/// Installs the locked tools, then checks; of the library: types, lint, build, packaging, tests, and the packed library
/// in a clean project.
const STEPS: [&[&str]; 2] = [&["ci", "--no-audit", "--no-fund"], &["run", "check"]];

/// Runs every check of the library.
pub(crate) fn run(context: &SdkContext) -> Result<()> {
    check(context, FOLDER)
}

/// Runs the npm scripts that check what is in a folder, which is named from `sdk/`.
pub(super) fn check(context: &SdkContext, folder: &str) -> Result<()> {
    if shell::find_program("npm").is_none() {
        bail!("no `npm` in PATH; `{folder}` needs Node 20 or newer to be checked");
    }
    STEPS.iter().try_for_each(|step| program::run(context.command(folder, "npm").args(*step)))
}
