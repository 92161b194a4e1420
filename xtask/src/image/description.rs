//! What an image holds and how it starts; pure data, read by the writer.

use std::{collections::BTreeMap, path::PathBuf};

/// The user and group of every Realm container: not root, known to no host.
pub const NONROOT: u32 = 65532;
/// Raised when the same description shall give other bytes.
pub const FORMAT: &str = "realm image 1";

/// What an image holds and how it starts.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// `host/name:tag`.
    pub reference: String,
    pub entrypoint: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// User and group that it runs as; root without it.
    pub user: Option<u32>,
    pub files: Vec<File>,
}

/// One file of an image.
#[derive(Debug, Clone)]
pub struct File {
    pub source: PathBuf,
    /// Absolute path in the image.
    pub path: String,
    pub mode: u32,
}

impl File {
    /// A program.
    pub fn program(source: impl Into<PathBuf>, path: impl Into<String>) -> Self {
        Self { source: source.into(), path: path.into(), mode: 0o755 }
    }

    /// A file that is only read.
    pub fn data(source: impl Into<PathBuf>, path: impl Into<String>) -> Self {
        Self { source: source.into(), path: path.into(), mode: 0o644 }
    }
}
