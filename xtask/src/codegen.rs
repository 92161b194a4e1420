//! Files that are generated, committed and checked: one table of path and the command whose output it is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{program, shell};

/// A committed file and the cargo arguments that print it.
struct Generated {
    path: &'static str,
    cargo: &'static [&'static str],
}

const GENERATED: [Generated; 3] = [
    Generated {
        path: "crds/realmmodels.yaml",
        cargo: &[
            "run",
            "--quiet",
            "--package",
            "realm-crds",
            "--example",
            "crd-yaml",
            "--",
            "realmmodels.yaml",
        ],
    },
    Generated {
        path: "crds/realmtenants.yaml",
        cargo: &[
            "run",
            "--quiet",
            "--package",
            "realm-crds",
            "--example",
            "crd-yaml",
            "--",
            "realmtenants.yaml",
        ],
    },
    Generated {
        path: "docs/cli.md",
        cargo: &[
            "run",
            "--quiet",
            "--package",
            "realm-engine-server",
            "--bin",
            "realm",
            "--",
            "help-markdown",
        ],
    },
];

/// Writes every generated file.
pub fn run(root: &Path) -> Result<()> {
    for file in &GENERATED {
        fs::write(root.join(file.path), generate(root, file)?)
            .with_context(|| format!("write {}", file.path))?;
        println!("codegen: {}", file.path);
    }
    Ok(())
}

/// A finding for each committed file that differs from what its command prints now.
pub fn stale(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in &GENERATED {
        let committed = fs::read_to_string(root.join(file.path)).unwrap_or_default();
        if committed != generate(root, file)? {
            findings.push(format!("{}: stale; run `cargo xtask codegen` and commit", file.path));
        }
    }
    Ok(findings)
}

fn generate(root: &Path, file: &Generated) -> Result<String> {
    shell::output(program::cargo(root).args(file.cargo))
        .with_context(|| format!("generate {}", file.path))
}
