//! Realm's side: `realm bench --json`, and the figures in what it prints.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::child::{self, Ended};

/// The binary.
#[derive(Debug)]
pub(crate) struct Realm {
    binary: PathBuf,
    /// Where the packed weights are kept from run to run, as on a node.
    packed: PathBuf,
}

/// What one run printed, and the run.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) json: Value,
    pub(crate) ended: Ended,
}

impl Realm {
    pub(crate) fn new(binary: &Path, packed: PathBuf) -> Self {
        Self { binary: binary.to_owned(), packed }
    }

    /// The binary itself.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// `realm bench MODEL --json` with one repetition and no test: add what is wanted.
    pub(crate) fn command(&self, model: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("bench").arg(model).args(["--json", "--repetitions", "1"]);
        command.arg("--packed-in").arg(&self.packed);
        command
    }

    /// Runs a command of [`command`](Self::command).
    pub(crate) fn run(command: &mut Command) -> Result<Measured> {
        let ended = child::run(command)?;
        let json =
            serde_json::from_str(&ended.stdout).context("read what `realm bench` printed")?;
        Ok(Measured { json, ended })
    }
}

impl Measured {
    /// A number at a JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> Result<f64> {
        let value = self.json.pointer(pointer).and_then(Value::as_f64);
        value.with_context(|| format!("`realm bench` printed no number at {pointer}"))
    }
}
