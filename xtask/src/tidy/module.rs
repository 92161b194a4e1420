//! The path of a module inside its crate.

use std::fmt;
use std::path::Path;

/// The path of a module inside its crate: `[]` is the root, `["api", "error"]` is `crate::api::error`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModulePath(pub(super) Vec<String>);

impl ModulePath {
    /// `file` is relative to `src/`.
    pub(super) fn of_file(file: &Path) -> Self {
        let mut parts: Vec<String> = file
            .with_extension("")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if parts.len() == 1 && matches!(parts[0].as_str(), "lib" | "main") {
            parts.clear();
        }
        Self(parts)
    }

    /// The module directly below the crate's root that holds this one.
    pub(super) fn top(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    pub(super) fn is_ancestor_of(&self, other: &Self) -> bool {
        self.0.len() < other.0.len() && other.0.starts_with(&self.0)
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { write!(f, "crate") } else { write!(f, "{}", self.0.join("::")) }
    }
}
