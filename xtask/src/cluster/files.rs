//! Configuration files, written only when they change: kube-proxy ends itself when its file is touched.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Writes a text, unless the file holds it.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|present| present == text) {
        return Ok(());
    }
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// Writes JSON, which is YAML too.
pub(crate) fn write_json(file: &Path, value: &Value) -> Result<()> {
    write(file, &format!("{value:#}\n"))
}
