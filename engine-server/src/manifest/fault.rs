//! What is wrong with a manifest, and where: file, line, resource, field. A leaf.

use std::{fmt, path::PathBuf};

/// Faults that one error lists at most.
const MAX_LISTED: usize = 20;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file as the user named it; `-` is standard input.
    pub file: String,
    /// Line of the field, or of the place nearest to it; 0 when the file as a whole is meant.
    pub line: u64,
    /// Which resource, such as `RealmModel smollm2 (document at line 3)`; empty when that is not known.
    pub resource: String,
    /// Path of the field, such as `spec.engine.threads`; empty when the resource as a whole is meant.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        for part in [&self.resource, &self.field, &self.message] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        Ok(())
    }
}

/// Why manifests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {reason}")]
    Read { path: PathBuf, reason: String },
    /// Faults in the files, one a line.
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
    /// No RealmModel in the files.
    #[error("no RealmModel in {files}: `realm serve -f` needs one")]
    NoModel { files: String },
    /// Several models and no choice.
    #[error(
        "{count} RealmModels in the files ({names}): this version serves one at a time, choose it with --model NAME"
    )]
    SeveralModels { count: usize, names: String },
    /// The chosen model is not there.
    #[error("no RealmModel `{wanted}` in the files; they hold {names}")]
    UnknownModel { wanted: String, names: String },
    /// The folder for generated API keys is not known.
    #[error("no folder for generated API keys is known: give --data DIR or set REALM_DATA")]
    NoKeyFolder,
    /// A generated API key cannot be kept.
    #[error("cannot {action} the generated API key {path}: {reason}")]
    KeyFile { action: &'static str, path: PathBuf, reason: String },
}

fn list(faults: &[Fault]) -> String {
    let mut lines: Vec<_> = faults.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    if faults.len() > MAX_LISTED {
        lines.push(format!("and {} more", faults.len() - MAX_LISTED));
    }
    lines.join("\n")
}
