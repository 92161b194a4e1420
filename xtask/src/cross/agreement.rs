//! The tests that compare kernels with the scalar reference, built for another machine and run there: under Node, and
//! under an emulator of Arm CPUs of different ages.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    target::Target,
    toolchain::{ALLOW_STD, STD, Toolchain},
};
use crate::{paths, program, shell};

/// Every kernel of a CPU against the scalar reference; prints the names of those that it compares.
const TEST: &str = "kernels_match_scalar";

/// A machine to test on, and the kernels that it must be found to have.
struct Machine {
    /// The emulator's CPU model; Node needs none.
    cpu: Option<&'static str>,
    kernels: &'static [&'static str],
}

const NODE: [Machine; 1] = [Machine { cpu: None, kernels: &["scalar", "simd128"] }];

const ARM: [Machine; 2] = [
    // Armv8.0.
    Machine { cpu: Some("cortex-a53"), kernels: &["scalar", "neon"] },
    // Everything that the emulator knows.
    Machine { cpu: Some("max"), kernels: &["scalar", "neon", "neon-dot"] },
];

/// Of its own, for another compiler than everywhere else.
fn folder(root: &Path) -> PathBuf {
    paths::target(root).join("cross")
}

/// Checks that the engine compiles for a bare WebAssembly host, a browser say, which has no system to call.
pub(super) fn check_bare(root: &Path, toolchain: &Toolchain) -> Result<()> {
    let mut cargo = toolchain.cargo(root);
    cargo.args(["check", "--quiet", "--package", "realm-engine", "--lib", STD]).envs([ALLOW_STD]);
    cargo.args(["--target", Target::Bare.triple()]).env("CARGO_TARGET_DIR", folder(root));
    cargo.env("RUSTFLAGS", "-Ctarget-feature=+simd128");
    println!("test: the engine compiles for {}", Target::Bare.triple());
    program::run(&mut cargo).context("the engine does not compile for WebAssembly without WASI")
}

/// Runs the tests on each machine of a target.
///
/// # Errors
/// They do not build, one fails, or a kernel that the machine must have was not among those compared.
pub(super) fn run(root: &Path, toolchain: &Toolchain, target: Target) -> Result<()> {
    let machines: &[Machine] = match target {
        Target::Wasm if shell::find_program("node").is_none() => {
            bail!("no `node` in PATH; the kernels of WebAssembly need Node 20 or newer to run")
        }
        Target::Wasm => &NODE,
        Target::Aarch64 => &ARM,
        Target::Bare => bail!(
            "nothing runs on {} here; its programs are tested by `cargo xtask guests`",
            target.triple()
        ),
    };
    machines.iter().try_for_each(|machine| run_on(root, toolchain, target, machine))
}

fn run_on(root: &Path, toolchain: &Toolchain, target: Target, machine: &Machine) -> Result<()> {
    let mut cargo = toolchain.cargo(root);
    cargo.envs(target.variables(root, toolchain.tree())?);
    if let Some(cpu) = machine.cpu {
        let (name, value) = target.on_cpu(toolchain.tree(), cpu);
        cargo.env(name, value);
    }
    cargo.env("CARGO_TARGET_DIR", folder(root));
    cargo.args(["test", "--quiet", "--package", "realm-engine", "--target", target.triple()]);
    cargo.args(["--test", TEST, "--", "--nocapture"]);
    let place = machine.cpu.unwrap_or("node");
    println!("test: kernels for {} on {place}", target.triple());
    let output = cargo.stderr(Stdio::inherit()).output().context("start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    ensure!(output.status.success(), "kernels for {} fail on {place}", target.triple());
    for name in machine.kernels {
        let line = format!("testing kernels: {name}");
        ensure!(
            text.lines().any(|found| found.ends_with(&line)),
            "no kernels named {name} were found for {} on {place}",
            target.triple()
        );
    }
    Ok(())
}
