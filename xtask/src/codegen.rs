//! Files that are generated, committed and checked: one table of path and the command whose output it is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{guests::bindings, paths, program, shell};

/// A committed file, and the program below cargo's debug folder that prints it.
struct Generated {
    path: &'static str,
    program: &'static str,
    argument: &'static str,
}

const GENERATED: [Generated; 3] = [
    Generated {
        path: "crds/realmmodels.yaml",
        program: "examples/crd-yaml",
        argument: "realmmodels.yaml",
    },
    Generated {
        path: "crds/realmtenants.yaml",
        program: "examples/crd-yaml",
        argument: "realmtenants.yaml",
    },
    Generated { path: "docs/cli.md", program: "realm", argument: "help-markdown" },
];

/// Writes every generated file.
pub fn run(root: &Path) -> Result<()> {
    build(root)?;
    for file in &GENERATED {
        fs::write(root.join(file.path), generate(root, file)?)
            .with_context(|| format!("write {}", file.path))?;
        println!("codegen: {}", file.path);
    }
    for (path, content) in bindings::files(root)? {
        fs::write(root.join(&path), content).with_context(|| format!("write {path}"))?;
        println!("codegen: {path}");
    }
    Ok(())
}

/// A finding for each committed file that differs from what its command prints now.
pub fn stale(root: &Path) -> Result<Vec<String>> {
    build(root)?;
    let mut findings = Vec::new();
    for file in &GENERATED {
        let committed = fs::read_to_string(root.join(file.path)).unwrap_or_default();
        if committed != generate(root, file)? {
            findings.push(stale_finding(file.path));
        }
    }
    for (path, content) in bindings::files(root)? {
        if fs::read(root.join(&path)).unwrap_or_default() != content {
            findings.push(stale_finding(&path));
        }
    }
    Ok(findings)
}

/// The programs, built with the features that `cargo test --workspace` gives them, so that nothing is compiled twice.
fn build(root: &Path) -> Result<()> {
    let programs = ["--example", "crd-yaml", "--bin", "realm"];
    program::run(program::cargo(root).args(program::BUILD_AS_TESTS).args(programs))
}

fn generate(root: &Path, file: &Generated) -> Result<String> {
    let program = paths::target(root).join("debug").join(file.program);
    shell::output(program::command(&program, root).arg(file.argument))
        .with_context(|| format!("generate {}", file.path))
}

fn stale_finding(path: &str) -> String {
    format!("{path}: stale; run `cargo xtask codegen` and commit")
}
