//! The Rust sources of the workspace, parsed once: every check reads these.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

use super::module::ModulePath;

/// The crates whose structure is checked, by folder.
const CRATES: [&str; 6] = ["crds", "engine", "engine-server", "operator", "tests", "xtask"];

/// One crate: its manifest and its files.
pub(super) struct Crate {
    pub(super) folder: &'static str,
    pub(super) manifest: String,
    pub(super) files: Vec<SourceFile>,
}

/// One parsed `.rs` file.
pub(super) struct SourceFile {
    /// Relative to the repository.
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) syntax: syn::File,
    /// `None` for tests, examples and benches, which stand outside the module tree.
    pub(super) module: Option<ModulePath>,
}

/// Reads and parses every crate of the workspace.
pub(super) fn crates(root: &Path) -> Result<Vec<Crate>> {
    CRATES.iter().map(|folder| read_crate(root, folder)).collect()
}

fn read_crate(root: &Path, folder: &'static str) -> Result<Crate> {
    let base = root.join(folder);
    let manifest = fs::read_to_string(base.join("Cargo.toml"))
        .with_context(|| format!("read {folder}/Cargo.toml"))?;
    let mut files = Vec::new();
    for entry in WalkDir::new(&base).sort_by_file_name() {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            files.push(read_file(root, &base, entry.path())?);
        }
    }
    Ok(Crate { folder, manifest, files })
}

fn read_file(root: &Path, base: &Path, path: &Path) -> Result<SourceFile> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let syntax = syn::parse_file(&text).with_context(|| format!("parse {}", path.display()))?;
    let module = path.strip_prefix(base.join("src")).ok().map(ModulePath::of_file);
    Ok(SourceFile { path: path.strip_prefix(root)?.to_path_buf(), text, syntax, module })
}
