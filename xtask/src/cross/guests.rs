//! The Rust compiler of tenants' programs: the same toolchain, with a standard library for WebAssembly without a system.

use std::{path::Path, process::Command};

use anyhow::Result;

use super::{target::Target, toolchain::Toolchain};
use crate::shell::Progress;

/// A compiler for programs; nobody else changes it while the value is held.
#[derive(Debug)]
pub(crate) struct GuestCompiler(Toolchain);

impl GuestCompiler {
    /// Why this machine cannot have it, if so.
    pub(crate) fn missing() -> Option<String> {
        Toolchain::missing()
    }

    /// Takes it from the cache, or makes it.
    ///
    /// # Errors
    /// Packages cannot be fetched, or the library does not build.
    pub(crate) fn ensure() -> Result<Self> {
        let progress = Progress::new();
        let toolchain = Toolchain::ensure(&progress)?;
        toolchain.ensure_std(&[Target::Bare], &progress)?;
        Ok(Self(toolchain))
    }

    /// What it builds for.
    pub(crate) fn triple() -> &'static str {
        Target::Bare.triple()
    }

    /// `cargo` in that folder, with this compiler.
    pub(crate) fn cargo(&self, folder: &Path) -> Command {
        self.0.cargo(folder)
    }
}
