//! `cargo xtask tidy`: the rules of the house that no compiler checks. Runs as a test too (`xtask/tests/tidy.rs`).
//!
//! It reads source text only and changes nothing. Each check returns findings; a finding names the file, the line
//! where it can, the rule and what to do.

mod circles;
mod imports;
mod layers;
mod module;
mod sizes;
mod sources;

use std::path::Path;

use anyhow::{Context, Result};

use crate::codegen;

/// Runs every check on the repository at `root`.
pub fn run(root: &Path) -> Result<()> {
    let findings = findings(root)?;
    if findings.is_empty() {
        println!("tidy: no findings");
        return Ok(());
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    anyhow::bail!("tidy: {} findings", findings.len())
}

/// Every breach of a rule, as one line each.
pub fn findings(root: &Path) -> Result<Vec<String>> {
    let crates = sources::crates(root).context("read the workspace's sources")?;
    let mut findings = Vec::new();
    for krate in &crates {
        findings.extend(sizes::findings(krate));
        findings.extend(layers::findings(krate));
        findings.extend(circles::findings(krate));
    }
    findings.extend(codegen::stale(root)?);
    Ok(findings)
}
