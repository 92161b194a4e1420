//! `cargo xtask test`: every test of the repository in one command, on a fresh machine too.
//!
//! Order matters: the Kubernetes binaries are built before the Rust workspace, because both fill all cores and memory.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::{cluster, cross, demo_model, guests, paths, program, reference, sdk, shell};

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Leave out what needs the Kubernetes test cluster (root, network namespaces)
    #[arg(long)]
    no_cluster: bool,
}

/// Runs all tests in the repository at `root`.
pub fn run(root: &Path, args: &TestArgs) -> Result<()> {
    let started = Instant::now();
    let model = demo_model::ensure(root, &paths::model_store()?)?;
    if !args.no_cluster {
        step("cluster binaries", || cluster::build(root))?;
    }
    step("format", || program::run(program::cargo(root).args(["fmt", "--all", "--check"])))?;
    step("lints", || program::run(program::cargo(root).args(CLIPPY)))?;
    step("dependencies", || dependencies(root))?;
    step("workspace tests", || workspace_tests(root, &model))?;
    step("client libraries", || sdk::test(root, &model))?;
    step("portable kernels", || cross::test(root))?;
    step("guests", || guests::run(root))?;
    step("reference data", || reference::check(root))?;
    if args.no_cluster {
        println!("test: the Kubernetes tests were left out, as --no-cluster asks");
    } else {
        step("cluster tests", || cluster_tests(root, &model))?;
    }
    println!("test: everything passed in {} s", started.elapsed().as_secs());
    Ok(())
}

const CLIPPY: [&str; 6] = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];

/// The pinned checker of licenses, sources and banned crates, installed once.
const DENY: &str = "cargo-deny@0.20.2";

fn dependencies(root: &Path) -> Result<()> {
    if shell::find_program("cargo-deny").is_none() {
        program::run(program::cargo(root).args(["install", "--locked", "--quiet", DENY]))?;
    }
    let check = ["deny", "--log-level", "error", "check", "bans", "licenses", "sources"];
    program::run(program::cargo(root).args(check))
}

fn step(name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("test: {name}");
    let started = Instant::now();
    body().with_context(|| format!("step `{name}`"))?;
    println!("test: {name} took {} s", started.elapsed().as_secs());
    Ok(())
}

fn workspace_tests(root: &Path, model: &Path) -> Result<()> {
    program::run(
        program::cargo(root)
            .args(["test", "--workspace", "--exclude", "realm-tests"])
            .env("REALM_TEST_MODEL", model),
    )
}

fn cluster_tests(root: &Path, model: &Path) -> Result<()> {
    let kubeconfig: PathBuf = cluster::up_for_tests(root, model)?;
    let tests = program::run(
        program::cargo(root)
            .args(["test", "--package", "realm-tests", "--", "--test-threads=1", "--nocapture"])
            .env("REALM_TEST_MODEL", model)
            .env("REALM_TEST_KUBECONFIG", &kubeconfig),
    );
    let down = cluster::down(root);
    tests.and(down)
}
