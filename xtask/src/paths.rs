//! Where things are: the repository, cargo's target folder, the caches that outlive a checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository's root.
pub fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .context("xtask has no parent folder")
}

/// Cargo's target folder.
pub fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Realm's cache of this user: `$REALM_CACHE`, else `realm` in the platform's cache folder.
pub fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("REALM_CACHE") {
        return Ok(folder.into());
    }
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(Path::new(&folder).join("realm"));
    }
    let home = std::env::var_os("HOME").context("neither REALM_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/realm"))
}

/// The model store that `realm` uses by default.
pub fn model_store() -> Result<PathBuf> {
    match std::env::var_os("REALM_STORE") {
        Some(folder) => Ok(folder.into()),
        None => Ok(cache()?.join("models")),
    }
}
