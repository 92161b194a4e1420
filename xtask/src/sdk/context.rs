//! What the checks of every client library need: the repository, the server's binary, the demo model.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{paths, program};

/// The server; with an example, because only then cargo chooses the features that it chooses for tests.
const SERVER: [&str; 4] = ["--bin", "realm", "--example", "crd-yaml"];

/// The surroundings of a client library's checks.
#[derive(Debug)]
pub(crate) struct SdkContext {
    root: PathBuf,
    /// The server, as `cargo test --workspace` builds it.
    server: PathBuf,
    model: PathBuf,
}

impl SdkContext {
    /// Builds the server, which costs nothing after the workspace's tests.
    pub(crate) fn prepare(root: &Path, model: &Path) -> Result<Self> {
        program::run(program::cargo(root).args(program::BUILD_AS_TESTS).args(SERVER))
            .context("build the server that the client libraries are tested against")?;
        Ok(Self {
            root: root.to_path_buf(),
            // Both may be given relative to the root, and the checks run elsewhere.
            server: root.join(paths::target(root)).join("debug/realm"),
            model: root.join(model),
        })
    }

    /// The folder of a client library.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join("sdk").join(name)
    }

    /// A command in a client library's folder that knows where server and model are.
    pub(crate) fn command(&self, name: &str, program: &str) -> Command {
        let mut command = program::command(program, &self.folder(name));
        command.env("REALM_BIN", &self.server).env("REALM_TEST_MODEL", &self.model);
        command
    }
}
