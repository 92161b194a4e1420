//! Other CPUs than this machine's: toolchains for WebAssembly and Arm, made of Debian packages, and the kernels' tests
//! run with them.

mod agreement;
pub(crate) mod guests;
mod packages;
mod target;
mod toolchain;

use std::path::Path;

use anyhow::Result;

use self::{target::Target, toolchain::Toolchain};
use crate::shell::Progress;

/// Options of `cargo xtask toolchain`.
#[derive(Debug, clap::Args)]
pub struct ToolchainArgs {
    /// The machine to build for
    target: Target,
    /// Compare its kernels with the reference, as `cargo xtask test` does, and print no variables
    #[arg(long)]
    test: bool,
}

/// Makes the toolchain when it is not in the cache, and prints the variables that make cargo use it, for `eval`.
pub fn run(root: &Path, args: &ToolchainArgs) -> Result<()> {
    let progress = Progress::new();
    let toolchain = Toolchain::ensure(&progress)?;
    toolchain.ensure_std(&[args.target], &progress)?;
    if args.test {
        return test_target(root, &toolchain, args.target);
    }
    let own = toolchain.variables().map(|(name, value)| (name.to_owned(), value));
    for (name, value) in own.into_iter().chain(args.target.variables(root, toolchain.tree())?) {
        println!("export {name}='{value}'");
    }
    progress.say(format_args!("ready: cargo test --target {}", args.target.triple()));
    Ok(())
}

/// Compares the kernels of other CPUs with the scalar reference. Where the toolchain is not to be had it says so.
pub(crate) fn test(root: &Path) -> Result<()> {
    if let Some(reason) = Toolchain::missing() {
        println!("test: the kernels of other CPUs were left out: {reason}");
        return Ok(());
    }
    let progress = Progress::new();
    let toolchain = Toolchain::ensure(&progress)?;
    toolchain.ensure_std(&Target::ALL, &progress)?;
    Target::ALL.into_iter().try_for_each(|target| test_target(root, &toolchain, target))
}

fn test_target(root: &Path, toolchain: &Toolchain, target: Target) -> Result<()> {
    agreement::run(root, toolchain, target)?;
    if target == Target::Wasm {
        agreement::check_bare(root, toolchain)?;
    }
    Ok(())
}
